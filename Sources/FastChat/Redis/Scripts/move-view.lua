#!lua
-- Sets where a whole view stands: behind the events with which a new generation of the log begins.
--
-- KEYS[1]  fc:{pN}:view
-- ARGV     the id that is expected, applied, hash and append time of the record there
-- Reply    1; 0 where the view has another id
local view = KEYS[1]
if redis.call('HGET', view, 'id') ~= ARGV[1] then return 0 end
redis.call('HSET', view, 'applied', ARGV[2], 'hash', ARGV[3], 'appended', ARGV[4])
redis.call('HDEL', view, 'until', 'begin', 'base')
return 1
