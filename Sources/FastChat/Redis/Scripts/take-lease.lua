#!lua flags=allow-oom
-- Takes a server's lease where nobody holds it, this epoch does already, or its holder is known to be gone.
-- The server is in the set of all before its first lease: an owner that reads all leases finds it.
-- A full Redis takes it all the same: a lapse would cost registering everything again, which it takes no more.
--
-- KEYS     the lease, fc:{srv}:<server>: epoch:process:boot:host; fc:{srv}:all
-- ARGV     server, the new lease, the one that may be replaced (or nothing), milliseconds
-- Reply    1: held; else the lease of somebody else
redis.call('SADD', KEYS[2], ARGV[1])
local lease = redis.call('GET', KEYS[1])
if lease and lease ~= ARGV[3] and string.match(lease, '^%d+') ~= string.match(ARGV[2], '^%d+') then
  return lease
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[4])
return 1
