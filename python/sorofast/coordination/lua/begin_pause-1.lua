--[[
  Writes down that no run of the fleet can land, and why.

  Guarantee: of several members that find the same cause one begins the pause and the others confirm it; a pause for
  another cause takes the place of the one there was. Every pause has a number of its own, above all before it.

  KEYS[1]  control (hash: number, cause, text, since_ledger, since_s, seen_ledger, by, probe_ledger)
  ARGV[1]  cause
  ARGV[2]  the cause in words
  ARGV[3]  ledger
  ARGV[4]  its close time
  ARGV[5]  member

  Replies  {number, '1' if it begins now}
]]
local fresh = '0'
if redis.call('HGET', KEYS[1], 'cause') ~= ARGV[1] then
  fresh = '1'
  redis.call('HINCRBY', KEYS[1], 'number', 1)
  redis.call('HSET', KEYS[1], 'cause', ARGV[1], 'since_ledger', ARGV[3], 'since_s', ARGV[4], 'by', ARGV[5],
    'probe_ledger', ARGV[3])
end
redis.call('HSET', KEYS[1], 'text', ARGV[2], 'seen_ledger', ARGV[3])
return {redis.call('HGET', KEYS[1], 'number'), fresh}
