--[[
  Ends an owner's term, so that the next owner need not wait for it to expire.

  Guarantee: nobody else's term is touched, and the epoch stays, so the next grant is higher. Repeating it does nothing.

  KEYS[1]  lease (hash: owner, epoch, expires_ms, version)
  ARGV[1]  owner, not empty
  ARGV[2]  epoch, or '' for any: the supervisor has seen the owner's process end

  Replies  'ok'
           'lost'  the lease is not this owner's (any more)
]]
local held = redis.call('HMGET', KEYS[1], 'owner', 'epoch')
if held[1] ~= ARGV[1] or (ARGV[2] ~= '' and held[2] ~= ARGV[2]) then
  return 'lost'
end
redis.call('HSET', KEYS[1], 'owner', '', 'expires_ms', '0')
return 'ok'
