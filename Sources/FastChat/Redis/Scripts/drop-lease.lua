#!lua flags=allow-oom
-- Gives a server's lease up, where it is this epoch's.
--
-- KEYS[1]  the lease, fc:{srv}:<server>: epoch:process:boot:host
-- ARGV     epoch
-- Reply    how many were given up
local lease = redis.call('GET', KEYS[1])
if not lease or string.match(lease, '^%d+') ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
