--[[
  Carries out the operators' requests that a shard's owner has read, and takes them off the list; and what a new day
  brings to its dead letters.

  Guarantee: all or nothing, for the lease's holder only. Each request is taken off by its own bytes, which no other has,
  so the call may be repeated after a lost reply, and what commands append meanwhile stays.

  KEYS[1]  lease (hash: owner, epoch, expires_ms, version)
  KEYS[2]  requests (list)
  KEYS[3]  dead (hash: execution -> record)
  KEYS[4]  retry (hash: execution -> record)
  ARGV[1]  owner
  ARGV[2]  epoch
  ARGV[3]  version the caller was last told
  ARGV[4]  how many requests are carried out
  ARGV[5]  executions whose dead letter goes, msgpack
  ARGV[6]  executions that get a retry record, msgpack, in the order of the records
  ARGV[7]  executions whose retry record goes, msgpack
  ARGV[8]  executions whose dead letter is replaced, msgpack, in the order of the records after those
  ARGV[9]  request 1, then request 2, and so on, then record 1, then record 2, and so on: bytes, which Lua's msgpack does
           not know

  Replies  {'ok', version}
           {'lost', owner, epoch}  {'regressed', version}  {'stale', version}  and nothing is changed
]]
-- @include fence_shard
local refused = fence_shard(KEYS[1], ARGV[1], ARGV[2], ARGV[3])
if refused then
  return refused
end
redis.call('LLEN', KEYS[2])
redis.call('HLEN', KEYS[3])
redis.call('HLEN', KEYS[4])
local requests = tonumber(ARGV[4])
local revived = cmsgpack.unpack(ARGV[5])
local retried = cmsgpack.unpack(ARGV[6])
local forgotten = cmsgpack.unpack(ARGV[7])
local rewritten = cmsgpack.unpack(ARGV[8])
for _, execution in ipairs(revived) do
  redis.call('HDEL', KEYS[3], execution)
end
for _, execution in ipairs(forgotten) do
  redis.call('HDEL', KEYS[4], execution)
end
for number, execution in ipairs(retried) do
  redis.call('HSET', KEYS[4], execution, ARGV[8 + requests + number])
end
for number, execution in ipairs(rewritten) do
  if redis.call('HEXISTS', KEYS[3], execution) == 1 then
    redis.call('HSET', KEYS[3], execution, ARGV[8 + requests + #retried + number])
  end
end
for number = 1, requests do
  redis.call('LREM', KEYS[2], 1, ARGV[8 + number])
end
return {'ok', redis.call('HINCRBY', KEYS[1], 'version', 1)}
