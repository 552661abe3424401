--[[
  Appends an operator's request to a shard's list, for its owner to carry out.

  Guarantee: the list never holds more than it may; a request that finds no room is not taken. Asked again after a lost
  reply, a request may stand twice, which does what it does once.

  KEYS[1]  requests (list)
  ARGV[1]  how many requests the list holds at most
  ARGV[2]  the request

  Replies  the length of the list, or 0 when it is full
]]
if redis.call('LLEN', KEYS[1]) >= tonumber(ARGV[1]) then
  return 0
end
return redis.call('RPUSH', KEYS[1], ARGV[2])
