--[[
  Says that a member lives, forgets those that have not said so for their time, and lists the living.

  Guarantee: everybody's life is measured on Redis's clock; the list holds the caller and is bounded by who is alive. What
  is no beat of a member, or would live for a minute without another, is forgotten too, and told.

  KEYS[1]  members (hash: member -> '<expires_ms> <info>')
  ARGV[1]  member
  ARGV[2]  its info
  ARGV[3]  how long it lives without another beat, in milliseconds

  Replies  {number of what was forgotten though it had not run out, member, info, member, info, ...}
]]
-- @include redis_now_ms
local now_ms = redis_now_ms()
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f', now_ms + tonumber(ARGV[3])) .. ' ' .. ARGV[2])
local all = redis.call('HGETALL', KEYS[1])
local reply = {0}
for index = 1, #all, 2 do
  local expires, info = string.match(string.sub(all[index + 1], 1, 65536), '^(%d+) (.*)$')
  local expires_ms = tonumber(expires)
  if not expires_ms or expires_ms > now_ms + math.max(60000, tonumber(ARGV[3])) then
    reply[1] = reply[1] + 1
    redis.call('HDEL', KEYS[1], all[index])
  elseif expires_ms > now_ms then
    reply[#reply + 1] = all[index]
    reply[#reply + 1] = info
  else
    redis.call('HDEL', KEYS[1], all[index])
  end
end
return reply
