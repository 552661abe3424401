--[[
  Lets one member of the fleet try, once per ledger, whether a pause is over.

  Guarantee: at most one grant for a ledger. The ledger in which the pause began has none: its refusal was the probe. A
  grant whose reply was lost is lost; the next ledger has another.

  KEYS[1]  control (hash, see begin_pause)
  ARGV[1]  number of the pause
  ARGV[2]  ledger

  Replies  1 when granted, else 0
]]
local stored = redis.call('HMGET', KEYS[1], 'number', 'cause', 'probe_ledger')
if stored[1] ~= ARGV[1] or not stored[2] or tonumber(stored[3] or '0') >= tonumber(ARGV[2]) then
  return 0
end
redis.call('HSET', KEYS[1], 'probe_ledger', ARGV[2])
return 1
