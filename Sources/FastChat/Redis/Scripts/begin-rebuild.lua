#!lua
-- Begins a view anew under another id (DESIGN section 5, "Rebuild"): it has no `applied` until its rows are
-- restored, so that whoever finds it begins again. All else stays, and the replay passes it by. It lacks `reads`,
-- the read positions, until the last of them is back.
--
-- KEYS[1]  fc:{pN}:view
-- ARGV     the id and `applied` that are expected (empty for none), new id, until
-- Reply    1; or 0, id, applied, hash, append time, until
local state = redis.call('HMGET', KEYS[1], 'id', 'applied', 'hash', 'appended', 'until')
if (state[1] or '') ~= ARGV[1] or (state[2] or '') ~= ARGV[2] then
  return {0, state[1], state[2], state[3], state[4], state[5]}
end
-- What stands here is all that came of the log up to `base`: rows of the state topic from below it are older.
if state[2] then redis.call('HSET', KEYS[1], 'base', state[2]) end
redis.call('HDEL', KEYS[1], 'applied', 'hash', 'appended', 'begin')
redis.call('HSET', KEYS[1], 'id', ARGV[3], 'until', ARGV[4], 'reads', '1')
return {1}
