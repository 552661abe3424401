--[[
  What the fleet learned about calls after a change that the caller knows.

  Guarantee: what is listed is as of one moment, in the order of the changes. A number above the last one means that the
  server lost something; everything is listed then.

  KEYS[1]  templates (hash: '' -> number of the last change, call -> what was learned)
  KEYS[2]  changes (sorted set: call -> number of its last change)
  ARGV[1]  number of the last change the caller knows, '0' for none
  ARGV[2]  how many are listed at most

  Replies  {last number, call, number, what was learned or '', call, ...}
]]
local last = tonumber(redis.call('HGET', KEYS[1], '') or '0')
local since = tonumber(ARGV[1])
if since > last then
  since = 0
end
local reply = {last}
if since == last then
  return reply
end
local listed = redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. since, '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[2])
for at = 1, #listed, 2 do
  reply[#reply + 1] = listed[at]
  reply[#reply + 1] = listed[at + 1]
  reply[#reply + 1] = redis.call('HGET', KEYS[1], listed[at]) or ''
end
if #listed == 2 * tonumber(ARGV[2]) then
  reply[1] = tonumber(listed[#listed])
end
return reply
