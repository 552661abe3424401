--[[
  Publishes one closed ledger and remembers how far the events were read.

  Guarantee: for the holder of the follower's lease only; entries chain without a hole, since the stream's last ledger must
  be the one the entry names as its previous. Publishing the ledger that is last already, under the same epoch, does
  nothing. Redis refuses a stream id that is not above the last, which fences even a script that forgot to. What else
  keeps Redis from writing is its error. The two are written together, so a cursor that is beyond the stream, or does not
  read, is none of ours, and the stream's last ledger counts; a stream that is beyond the cursor is begun anew.

  KEYS[1]  follower's lease (hash: owner, epoch, expires_ms)
  KEYS[2]  ledgers (stream, ids '<ledger>-0')
  KEYS[3]  cursor (hash: ledger, epoch, cursor)
  ARGV[1]  owner
  ARGV[2]  epoch
  ARGV[3]  ledger
  ARGV[4]  previous ledger, '0' for none
  ARGV[5]  events cursor after this ledger, '' for none
  ARGV[6]  the entry
  ARGV[7]  entries the stream keeps at most, about

  Replies  {'ok'}  or {'ok', 'anew'}
           {'lost', owner, epoch}
           {'conflict', last ledger, its epoch}  the stream's last ledger is not the previous one, or is above this one
]]
local held = redis.call('HMGET', KEYS[1], 'owner', 'epoch')
if held[1] ~= ARGV[1] or held[2] ~= ARGV[2] then
  return {'lost', held[1] or '', held[2] or '0'}
end
local last = redis.call('HMGET', KEYS[3], 'ledger', 'epoch')
if last[1] == ARGV[3] and last[2] == ARGV[2] then
  return {'ok'}
end
local newest = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)[1]
local newest_ledger = newest and string.match(newest[1], '^%d+')
local at = last[1]
if not at or not string.find(at, '^%d+$') or (newest and tonumber(at) > tonumber(newest_ledger)) then
  at = newest_ledger or '0'
end
if at ~= ARGV[4] then
  return {'conflict', at, last[2] or '0'}
end
local anew = nil
if newest and tonumber(newest_ledger) > tonumber(at) then
  redis.call('DEL', KEYS[2])
  anew = 'anew'
end
local added = redis.pcall('XADD', KEYS[2], 'MAXLEN', '~', ARGV[7], ARGV[3] .. '-0', 'entry', ARGV[6])
if type(added) == 'table' and added.err then
  if not string.find(added.err, 'equal or smaller', 1, true) then
    return added  -- out of memory, no replicas, a disk that is full: an error, and no word about the lease
  end
  return {'conflict', newest and newest[1] or '0', last[2] or '0'}
end
redis.call('HSET', KEYS[3], 'ledger', ARGV[3], 'epoch', ARGV[2], 'cursor', ARGV[5])
return {'ok', anew}
