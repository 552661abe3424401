--[[
  Creates the fleet with the caller's parameters, or tells with which it was created.

  Guarantee: of several engines that start at once, one creates the fleet and all get the same answer. Nothing that
  exists is changed.

  KEYS[1]  meta (hash: parameter -> value)
  KEYS[2]  generation (string)
  ARGV[1]  generation to use if the fleet is new
  ARGV[2]  first parameter's name; ARGV[3] its value; and so on

  Replies  {generation, name, value, name, value, ...} as stored
]]
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('HSET', KEYS[1], unpack(ARGV, 2))
  redis.call('SET', KEYS[2], ARGV[1])
end
local reply = redis.call('HGETALL', KEYS[1])
local generation = redis.call('GET', KEYS[2])
if not generation then
  redis.call('SET', KEYS[2], ARGV[1])
  generation = ARGV[1]
end
table.insert(reply, 1, generation)
return reply
