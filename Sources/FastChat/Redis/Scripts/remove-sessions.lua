#!lua flags=allow-oom
-- Removes sessions of one user, where they are this server's and epoch's.
--
-- KEYS[1]  fc:{u:<user>}:d: <server>:<session> -> server:epoch:device:time of hello
-- ARGV     server, epoch, sessions
-- Reply    how many were removed
local removed = 0
for i = 3, #ARGV do
  local field = ARGV[1] .. ':' .. ARGV[i]
  local row = redis.call('HGET', KEYS[1], field)
  if row and string.match(row, '^[^:]*:(%d+):') == ARGV[2] then
    removed = removed + redis.call('HDEL', KEYS[1], field)
  end
end
return removed
