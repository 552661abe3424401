--[[
  Keeps the packed task table of a shard for its next owner, and may end the term with it.

  Guarantee: for the lease's holder only; the table and the ledger entry it includes change together. The term ends in
  the same step, so nobody can write between the snapshot and the hand-over.

  KEYS[1]  lease (hash: owner, epoch, expires_ms, version)
  KEYS[2]  snapshot (hash: data, stream_id)
  ARGV[1]  owner
  ARGV[2]  epoch
  ARGV[3]  version the caller was last told
  ARGV[4]  stream id of the last ledger entry the table includes
  ARGV[5]  the table
  ARGV[6]  '1' to end the term, else '0'

  Replies  {'ok', version}
           {'lost', owner, epoch}  {'regressed', version}  {'stale', version}  and nothing is changed
]]
-- @include fence_shard
local refused = fence_shard(KEYS[1], ARGV[1], ARGV[2], ARGV[3])
if refused then
  return refused
end
redis.call('HSET', KEYS[2], 'stream_id', ARGV[4], 'data', ARGV[5])
if ARGV[6] == '1' then
  redis.call('HSET', KEYS[1], 'owner', '', 'expires_ms', '0')
end
return {'ok', redis.call('HINCRBY', KEYS[1], 'version', 1)}
