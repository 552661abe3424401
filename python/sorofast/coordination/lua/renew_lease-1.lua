--[[
  Prolongs exactly one term.

  Guarantee: only the owner and epoch that hold the lease prolong it. One that expired without anybody taking it is
  still its owner's, because no other term has begun.

  KEYS[1]  lease (hash: owner, epoch, expires_ms, version)
  ARGV[1]  owner
  ARGV[2]  epoch
  ARGV[3]  length of the term in milliseconds, from now

  Replies  'ok'
           'lost'
]]
-- @include redis_now_ms
local held = redis.call('HMGET', KEYS[1], 'owner', 'epoch')
if held[1] ~= ARGV[1] or held[2] ~= ARGV[2] then
  return 'lost'
end
redis.call('HSET', KEYS[1], 'expires_ms', string.format('%.0f', redis_now_ms() + tonumber(ARGV[3])))
return 'ok'
