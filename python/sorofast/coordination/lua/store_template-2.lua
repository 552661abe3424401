--[[
  Keeps what one member of the fleet learned about one call, or drops it for all of them.

  Guarantee: every change gets a higher number than all before it, so that whoever reads the changes after a number it
  knows misses none. At most ARGV[4] calls are kept; the one that was changed longest ago gives way. A drop or a mark
  names the number of what it is about, and changes nothing when somebody has stored something newer since.

  KEYS[1]  templates (hash: '' -> number of the last change, call -> what was learned)
  KEYS[2]  changes (sorted set: call -> number of its last change)
  ARGV[1]  call
  ARGV[2]  what was learned, '' to drop it
  ARGV[3]  number of the change that this is about, '' for any
  ARGV[4]  how many calls are kept

  Replies  the number of this change, 0 if nothing was changed
]]
local known = redis.call('ZSCORE', KEYS[2], ARGV[1])
if ARGV[3] ~= '' and known ~= ARGV[3] then
  return 0
end
local number = redis.call('HINCRBY', KEYS[1], '', 1)
redis.call('ZADD', KEYS[2], number, ARGV[1])
if ARGV[2] == '' then
  redis.call('HDEL', KEYS[1], ARGV[1])
else
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
end
local beyond = redis.call('ZCARD', KEYS[2]) - tonumber(ARGV[4])
if beyond > 0 then
  local oldest = redis.call('ZRANGE', KEYS[2], 0, beyond - 1)
  redis.call('ZREM', KEYS[2], unpack(oldest))
  redis.call('HDEL', KEYS[1], unpack(oldest))
end
return number
