--[[
  Lists who was in hand when workers died, to a caller that does not know it yet.

  Guarantee: whoever's time is over is not in the list, and its going is a change as its coming was. Costs one look at one
  field while nothing has changed.

  KEYS[1]  suspects (hash, as in note_death)
  ARGV[1]  version the caller knows; '-' if none

  Replies  {version, '' when there are no suspects}, then, if the version is another: subject, what is noted of it, ...
]]
-- @include redis_now_ms
-- @include write_suspects_head
local now_ms = redis_now_ms()
local head = redis.call('HGET', KEYS[1], '')
if head and tonumber(string.match(head, '^%d+ (%d+)$') or '0') <= now_ms then
  write_suspects_head(KEYS[1], now_ms)
  head = redis.call('HGET', KEYS[1], '')
end
local version = head and string.match(head, '^%d+') or ''
local reply = {version}
if version ~= ARGV[1] then
  local all = redis.call('HGETALL', KEYS[1])
  for index = 1, #all, 2 do
    if all[index] ~= '' then
      reply[#reply + 1] = all[index]
      reply[#reply + 1] = all[index + 1]
    end
  end
end
return reply
