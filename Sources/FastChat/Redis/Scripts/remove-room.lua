#!lua flags=allow-oom
-- Removes a server from the servers of a room, where the entry is this epoch's.
--
-- KEYS[1]  fc:{pN}:s:<room>: server -> epoch
-- ARGV     server, epoch
-- Reply    how many were removed
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
return redis.call('HDEL', KEYS[1], ARGV[1])
