--[[
  Forgets what was noted against one subject, so that it is handled again like all others.

  Guarantee: every member learns of it with its next beat; clearing again changes nothing.

  KEYS[1]  suspects (hash, as in note_death)
  ARGV[1]  subject

  Replies  1, or 0 if nothing was noted against it
]]
-- @include redis_now_ms
-- @include write_suspects_head
if redis.call('HDEL', KEYS[1], ARGV[1]) == 0 then
  return 0
end
write_suspects_head(KEYS[1], redis_now_ms())
return 1
