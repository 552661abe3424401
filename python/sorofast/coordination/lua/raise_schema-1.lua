--[[
  Lets the fleet write a newer schema of records, for good.

  Guarantee: the schema never falls, so that a member which reads only older ones is refused when it starts. Repeating the
  call changes nothing. A fleet that does not exist is not made.

  KEYS[1]  meta (hash: parameter -> value)
  ARGV[1]  schema that every live member reads

  Replies  the fleet's schema afterwards, 0 where there is no fleet
]]
local schema = tonumber(redis.call('HGET', KEYS[1], 'schema') or '0') or 0
if schema > 0 and schema < tonumber(ARGV[1]) then
  redis.call('HSET', KEYS[1], 'schema', ARGV[1])
  return tonumber(ARGV[1])
end
return schema
