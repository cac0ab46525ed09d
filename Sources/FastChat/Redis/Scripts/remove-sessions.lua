#!lua flags=allow-oom
-- Removes sessions of one user, which this server registered in this epoch or in an earlier one of its process.
--
-- KEYS[1]  fc:{u:<user>}:d: <server>:<epoch>:<session> -> server:epoch:device:time of hello
-- ARGV     server, these epochs with a space between two, sessions
-- Reply    how many entries were removed
local removed = 0
for epoch in string.gmatch(ARGV[2], '%d+') do
  for i = 3, #ARGV do
    removed = removed + redis.call('HDEL', KEYS[1], ARGV[1] .. ':' .. epoch .. ':' .. ARGV[i])
  end
end
return removed
