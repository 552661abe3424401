--[[
  Says that a member lives, forgets those that have not said so for their time, and lists the living.

  Guarantee: everybody's life is measured on Redis's clock; the list holds the caller and is bounded by who is alive.

  KEYS[1]  members (hash: member -> '<expires_ms> <info>')
  ARGV[1]  member
  ARGV[2]  its info
  ARGV[3]  how long it lives without another beat, in milliseconds

  Replies  {member, info, member, info, ...}
]]
-- @include redis_now_ms
local now_ms = redis_now_ms()
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f', now_ms + tonumber(ARGV[3])) .. ' ' .. ARGV[2])
local all = redis.call('HGETALL', KEYS[1])
local reply = {}
for index = 1, #all, 2 do
  local space = string.find(all[index + 1], ' ', 1, true)
  if tonumber(string.sub(all[index + 1], 1, space - 1)) > now_ms then
    reply[#reply + 1] = all[index]
    reply[#reply + 1] = string.sub(all[index + 1], space + 1)
  else
    redis.call('HDEL', KEYS[1], all[index])
  end
end
return reply
