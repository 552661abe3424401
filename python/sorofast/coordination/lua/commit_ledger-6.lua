--[[
  One shard's work for one ledger: settles envelopes, claims new ones, and renews the lease.

  Guarantee: all or nothing, for the lease's holder only. A claim is stored before anybody may send it, one envelope per
  channel and per execution, on exactly the sequence after the confirmed one. Repeating the call gives the same acceptance:
  a claim whose envelope is already the channel's is accepted again, and a settle whose envelope is not the channel's any
  more changes nothing. Sequences are strings from end to end, as Lua's numbers are exact only to 2^53. A key that is not what
  it should be is an error before anything is written; only a history that takes no entry is done without, and told.

  KEYS[1]  lease (hash: owner, epoch, expires_ms, version)
  KEYS[2]  wal (hash: execution -> record)
  KEYS[3]  channels (hash: '<channel>' -> confirmed sequence, '<channel>:tx' -> the envelope it carries)
  KEYS[4]  retry (hash: execution -> record)
  KEYS[5]  dead (hash: execution -> record)
  KEYS[6]  history (stream)
  ARGV[1]  owner
  ARGV[2]  epoch
  ARGV[3]  version the caller was last told
  ARGV[4]  length of the term in milliseconds, from now
  ARGV[5]  entries the history keeps, about
  ARGV[6]  settles, msgpack: {execution, channel, tx, confirmed, retry, dead, attempt, outcome, hash, detail}, strings but
           for retry and dead: the number of the record to store there, 0 for none
  ARGV[7]  claims, msgpack: {execution, channel, tx, sequence before, number of the record}; tx is '<execution> <attempt>
           <sequence> <hash>'
  ARGV[8]  executions to drop from retry, msgpack
  ARGV[9]  record 1, then record 2, and so on: bytes, which Lua's msgpack does not know

  Replies  {'ok', version, index, reason, index, reason, ...}  the refused claims, from 0; the others are accepted. Index -1
           stands for the history, with its error
           {'lost', owner, epoch}  {'regressed', version}  {'stale', version}  and nothing is changed
]]
-- @include redis_now_ms
-- @include fence_shard
local refused = fence_shard(KEYS[1], ARGV[1], ARGV[2], ARGV[3])
if refused then
  return refused
end

redis.call('HLEN', KEYS[2])
redis.call('HLEN', KEYS[3])
redis.call('HLEN', KEYS[4])
redis.call('HLEN', KEYS[5])
local settles = cmsgpack.unpack(ARGV[6])
local claims = cmsgpack.unpack(ARGV[7])

-- Everything is decided on tables and written at the end, in a handful of commands whatever the number of envelopes. In wal,
-- retry and dead a number is the record to store under that execution, and 0 says that what is there goes.
local tx, confirmed, wal, retry, dead = {}, {}, {}, {}, {}

local fields = {}
for _, list in ipairs({settles, claims}) do
  for _, item in ipairs(list) do
    fields[#fields + 1] = item[2]
    fields[#fields + 1] = item[2] .. ':tx'
  end
end
if #fields > 0 then
  local stored = redis.call('HMGET', KEYS[3], unpack(fields))
  for at = 1, #fields, 2 do
    confirmed[fields[at]] = stored[at]
    tx[fields[at]] = stored[at + 1]
  end
end
local logged = {}
if #claims > 0 then
  for _, execution in ipairs(redis.call('HKEYS', KEYS[2])) do
    logged[execution] = true
  end
end

local channel_del, channel_set, unwritten = {}, {}, nil
for _, settle in ipairs(settles) do
  local execution, channel, name = settle[1], settle[2], settle[3]
  if tx[channel] == name then
    tx[channel] = false
    confirmed[channel] = settle[4]
    channel_del[#channel_del + 1] = channel .. ':tx'
    channel_set[#channel_set + 1] = channel
    channel_set[#channel_set + 1] = settle[4]
    logged[execution] = nil
    wal[execution], retry[execution], dead[execution] = 0, settle[5], settle[6]
    local added = redis.pcall('XADD', KEYS[6], 'MAXLEN', '~', ARGV[5], '*', 'execution', execution,
      'attempt', settle[7], 'outcome', settle[8], 'hash', settle[9], 'detail', settle[10])
    if type(added) == 'table' and added.err then
      unwritten = added.err
    end
  end
end

for _, execution in ipairs(cmsgpack.unpack(ARGV[8])) do
  retry[execution] = 0
end

local version = redis.call('HINCRBY', KEYS[1], 'version', 1)
redis.call('HSET', KEYS[1], 'expires_ms', string.format('%.0f', redis_now_ms() + tonumber(ARGV[4])))

local reply = {'ok', version}
if unwritten then
  reply = {'ok', version, -1, unwritten}
end
for index, claim in ipairs(claims) do
  local execution, channel, name = claim[1], claim[2], claim[3]
  if tx[channel] ~= name then
    local reason = nil
    if logged[execution] then
      reason = 'in_flight'
    elseif tx[channel] then
      reason = 'channel_busy'
    elseif not confirmed[channel] then
      reason = 'unconfirmed'
    elseif confirmed[channel] ~= claim[4] then
      reason = 'sequence'
    end
    if reason then
      reply[#reply + 1] = index - 1
      reply[#reply + 1] = reason
    else
      tx[channel] = name
      channel_set[#channel_set + 1] = channel .. ':tx'
      channel_set[#channel_set + 1] = name
      logged[execution] = true
      wal[execution] = claim[5]
    end
  end
end

local function store(key, records)
  local gone, kept = {}, {}
  for execution, number in pairs(records) do
    if number > 0 then
      kept[#kept + 1] = execution
      kept[#kept + 1] = ARGV[8 + number]
    else
      gone[#gone + 1] = execution
    end
  end
  if #gone > 0 then
    redis.call('HDEL', key, unpack(gone))
  end
  if #kept > 0 then
    redis.call('HSET', key, unpack(kept))
  end
end
store(KEYS[2], wal)
store(KEYS[4], retry)
store(KEYS[5], dead)
if #channel_del > 0 then
  redis.call('HDEL', KEYS[3], unpack(channel_del))
end
if #channel_set > 0 then
  redis.call('HSET', KEYS[3], unpack(channel_set))
end
return reply
