--[[
  Notes what a worker that died had in hand.

  Guarantee: a death counts once, however often it is told. Whoever was in hand alone has one death more; who was in
  hand together with others has at least one, so that nobody is ever condemned for the company it was in. Everything is
  forgotten a while after its last death, and at most ARGV[4] are kept: the least suspected, then the oldest, give way.

  KEYS[1]  suspects (hash: '' -> '<version> <when the next is forgotten>', subject -> '<deaths> <until_ms> <death> <reason>')
  ARGV[1]  death: the member that died
  ARGV[2]  its reason
  ARGV[3]  how long it is remembered, in milliseconds
  ARGV[4]  how many subjects are kept
  ARGV[5…] the subjects

  Replies  deaths of each subject, in order
]]
-- @include redis_now_ms
-- @include write_suspects_head
local now_ms = redis_now_ms()
local until_ms = now_ms + tonumber(ARGV[3])
local alone = #ARGV == 5
local reply = {}
for index = 5, #ARGV do
  local held = redis.call('HGET', KEYS[1], ARGV[index]) or ''
  local deaths, held_until, death = string.match(held, '^(%d+) (%d+) (%S+)')
  deaths = tonumber(deaths or '0')
  if deaths > 0 and tonumber(held_until) <= now_ms then
    deaths = 0
  end
  if death ~= ARGV[1] then
    deaths = alone and deaths + 1 or math.max(deaths, 1)
    redis.call('HSET', KEYS[1], ARGV[index],
      string.format('%d', deaths) .. ' ' .. string.format('%.0f', until_ms) .. ' ' .. ARGV[1] .. ' ' .. ARGV[2])
  end
  reply[#reply + 1] = deaths
end
write_suspects_head(KEYS[1], now_ms)
local beyond = redis.call('HLEN', KEYS[1]) - 1 - tonumber(ARGV[4])
if beyond > 0 then
  local all = redis.call('HGETALL', KEYS[1])
  local kept = {}
  for index = 1, #all, 2 do
    if all[index] ~= '' then
      local deaths, ends = string.match(all[index + 1], '^(%d+) (%d+)')
      kept[#kept + 1] = {all[index], tonumber(deaths), tonumber(ends)}
    end
  end
  table.sort(kept, function(one, other)
    if one[2] ~= other[2] then return one[2] < other[2] end
    if one[3] ~= other[3] then return one[3] < other[3] end
    return one[1] < other[1]
  end)
  for index = 1, beyond do
    redis.call('HDEL', KEYS[1], kept[index][1])
  end
end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return reply
