--[[
  Stores channel sequences that were read from the chain.

  Guarantee: for the lease's holder only; a channel with an envelope in flight keeps its sequence, since settling that
  envelope is what moves it. Sequences are strings.

  KEYS[1]  lease (hash: owner, epoch, expires_ms, version)
  KEYS[2]  channels (hash: '<channel>' -> confirmed sequence, '<channel>:tx' -> the envelope it carries)
  ARGV[1]  owner
  ARGV[2]  epoch
  ARGV[3]  version the caller was last told
  ARGV[4]  msgpack: {channel, sequence}, both strings

  Replies  {'ok', version}
           {'lost', owner, epoch}  {'regressed', version}  {'stale', version}  and nothing is changed
]]
-- @include fence_shard
local refused = fence_shard(KEYS[1], ARGV[1], ARGV[2], ARGV[3])
if refused then
  return refused
end
for _, pair in ipairs(cmsgpack.unpack(ARGV[4])) do
  if redis.call('HEXISTS', KEYS[2], pair[1] .. ':tx') == 0 then
    redis.call('HSET', KEYS[2], pair[1], pair[2])
  end
end
return {'ok', redis.call('HINCRBY', KEYS[1], 'version', 1)}
