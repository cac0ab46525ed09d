#!lua flags=allow-oom
-- Holds the view of a partition for an operator who has it made again: it gets an id that nobody knows and has
-- no `applied`, so that nobody reads it and no owner writes to it. Its owner waits for as long as something
-- moves here; one that has just begun takes it for a rebuild that died, and begins its own under another id.
--
-- KEYS[1]  fc:{pN}:view
-- ARGV     the id under which it is held
-- Reply    id, applied, hash, append time, until: as they were
local call, view = redis.call, KEYS[1]
local state = call('HMGET', view, 'id', 'applied', 'hash', 'appended', 'until')
local upto = state[2] or state[5]
if state[2] and state[5] and tonumber(state[5]) > tonumber(upto) then upto = state[5] end
call('HDEL', view, 'applied', 'hash', 'appended', 'until', 'begin', 'base')
call('HSET', view, 'id', ARGV[1])
if upto then call('HSET', view, 'until', upto) end
return state
