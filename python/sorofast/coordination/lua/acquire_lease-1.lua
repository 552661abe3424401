--[[
  Begins a new term with a lease that is free, expired, or the caller's own.

  Guarantee: at most one term runs at a time, and every grant has a higher epoch than any before it. A grant to the
  present holder is a new term too, since after a lost reply the holder cannot know its epoch.

  KEYS[1]  lease (hash: owner, epoch, expires_ms, version)
  ARGV[1]  owner, not empty
  ARGV[2]  length of the term in milliseconds

  Replies  {'ok', epoch, version}
           {'held', owner, epoch}
]]
-- @include redis_now_ms
local held = redis.call('HMGET', KEYS[1], 'owner', 'epoch', 'expires_ms')
local now_ms = redis_now_ms()
local holder = held[1] or ''
if holder ~= '' and holder ~= ARGV[1] and tonumber(held[3] or '0') > now_ms then
  return {'held', holder, tonumber(held[2])}
end
local epoch = redis.call('HINCRBY', KEYS[1], 'epoch', 1)
local version = redis.call('HINCRBY', KEYS[1], 'version', 1)
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'expires_ms', string.format('%.0f', now_ms + tonumber(ARGV[2])))
return {'ok', epoch, version}
