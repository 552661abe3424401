-- After a change: forgets whose time is over, and writes down that there was a change and when the next time is over.
-- Versions ascend with the clock, so that a hash which was gone in between never shows one it had before. What does not
-- read has run out.
local function write_suspects_head(key, now_ms)
  local all = redis.call('HGETALL', key)
  local next_ms
  for index = 1, #all, 2 do
    if all[index] ~= '' then
      local until_ms = tonumber(string.match(all[index + 1], '^%d+ (%d+)'))
      if not until_ms or until_ms <= now_ms then
        redis.call('HDEL', key, all[index])
      elseif not next_ms or until_ms < next_ms then
        next_ms = until_ms
      end
    end
  end
  if not next_ms then
    redis.call('DEL', key)
    return
  end
  local version = tonumber(string.match(redis.call('HGET', key, '') or '0', '^%d+') or '0')
  version = math.max(now_ms, version + 1)
  redis.call('HSET', key, '', string.format('%.0f', version) .. ' ' .. string.format('%.0f', next_ms))
end
