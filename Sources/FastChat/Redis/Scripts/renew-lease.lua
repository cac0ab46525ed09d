#!lua flags=allow-oom
-- Lets a server's lease hold for longer, where it is still this epoch's.
--
-- KEYS[1]  the lease, fc:{srv}:<server>: epoch:process:boot:host
-- ARGV     epoch, milliseconds
-- Reply    1: held; nothing: there is no lease; else the lease of somebody else
local lease = redis.call('GET', KEYS[1])
if lease and string.match(lease, '^%d+') == ARGV[1] then
  return redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return lease
