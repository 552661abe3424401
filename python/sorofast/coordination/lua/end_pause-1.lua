--[[
  Ends a pause of the fleet.

  Guarantee: only the pause of that number; one that began since stays. Repeating the call changes nothing.

  KEYS[1]  control (hash, see begin_pause)
  ARGV[1]  number of the pause

  Replies  1 when it ended now, else 0
]]
if redis.call('HGET', KEYS[1], 'number') ~= ARGV[1] then
  return 0
end
return redis.call('HDEL', KEYS[1], 'cause', 'text', 'since_ledger', 'since_s', 'seen_ledger', 'by', 'probe_ledger') > 0
  and 1 or 0
