#!lua
-- Sets where a whole view stands: behind the events with which a new generation of the log begins.
--
-- KEYS[1]  fc:{pN}:view
-- ARGV     the id and `applied` that are expected; applied, hash and append time of the record there
-- Reply    1, also where it stands there already; 0 where the view is another one or stands elsewhere
local view = KEYS[1]
local state = redis.call('HMGET', view, 'id', 'applied')
if state[1] ~= ARGV[1] then return 0 end
if state[2] == ARGV[3] then return 1 end
if state[2] ~= ARGV[2] then return 0 end
redis.call('HSET', view, 'applied', ARGV[3], 'hash', ARGV[4], 'appended', ARGV[5])
redis.call('HDEL', view, 'until', 'begin', 'base')
return 1
