--[[
  Shares what early runs have taught about the network's pace: keeps the larger lesson, and tells what the fleet knows.

  Guarantee: a lesson only grows by being told and only shrinks with the ledgers, by half every so many; telling the same
  again changes nothing, so a lost reply may be asked again. Who is ledgers behind shrinks nothing.

  KEYS[1]  timing (hash: horizon_us, clock_lag_us, and horizon_ledger, clock_lag_ledger as of which they are)
  ARGV[1]  ledger
  ARGV[2]  what the caller holds back of a horizon, in microseconds
  ARGV[3]  by how much more the caller lets a second pass, in microseconds
  ARGV[4]  ledgers in which a lesson halves
  ARGV[5]  '1' when the caller has learned from the network's headers, else '0'

  Replies  {horizon, clock lag, '1' if somebody has learned from the headers else '0'}  as of that ledger, in microseconds
]]
local ledger, half_life = tonumber(ARGV[1]), tonumber(ARGV[4])

local function share(name, told_us)
  local key = KEYS[1]
  local held = redis.call('HMGET', key, name .. '_us', name .. '_ledger')
  local held_us, held_ledger = tonumber(held[1] or '0') or 0, tonumber(held[2] or '0') or 0
  if not (held_us >= 0 and held_us < 1e12 and held_ledger <= ledger + 1000) then
    held_us = 0  -- none of ours: a day and more, or of a ledger that is far ahead
  end
  local left_us = held_us * 0.5 ^ (math.max(0, ledger - held_ledger) / half_life)
  if told_us > left_us then
    redis.call('HSET', key, name .. '_us', told_us, name .. '_ledger', ledger)
    return told_us
  end
  return left_us
end

local horizon_us = share('horizon', tonumber(ARGV[2]))
local clock_lag_us = share('clock_lag', tonumber(ARGV[3]))
if ARGV[5] == '1' then
  redis.call('HSET', KEYS[1], 'headers', '1')
end
local headers = redis.call('HGET', KEYS[1], 'headers')
return {string.format('%.0f', math.floor(horizon_us)), string.format('%.0f', math.floor(clock_lag_us)), headers or '0'}
