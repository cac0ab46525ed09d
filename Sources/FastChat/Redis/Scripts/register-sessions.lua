#!lua
-- Registers sessions of one user, the first time or again. Which session of a device is newer is told by the
-- time of its `hello`, which the first registration gives by this clock.
--
-- KEYS[1]  fc:{u:<user>}:d: <server>:<session> -> server:epoch:device:time of hello
-- ARGV     server, epoch, then of each session: session, device, time of its hello (or nothing)
-- Reply    of each session: session, time of its hello, whether a newer one of the device is there,
--          and server, epoch and session of each older one that was taken out
local call, match = redis.call, string.match
local server, epoch = ARGV[1], ARGV[2]
local PARTS = '^([^:]*):(%d+):([^:]*):(%d+)$'
local time = call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local rows, reply = {}, {}
local all = call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local home, age, device, hello = match(all[i + 1], PARTS)
  rows[all[i]] = {server = home, epoch = age, device = device, hello = tonumber(hello)}
end
for i = 3, #ARGV, 3 do
  local session, device, hello = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2])
  local field = server .. ':' .. session
  local newest = 0
  for name, row in pairs(rows) do
    if name ~= field and row.device == device then newest = math.max(newest, row.hello) end
  end
  local own = rows[field]
  -- Asked twice since the answer was lost: the same time again.
  if not hello and own and own.epoch == epoch and own.device == device then hello = own.hello end
  hello = hello or math.max(now, newest + 1)
  local isOutdated, replaced = newest >= hello, {}
  if isOutdated then
    if own then
      call('HDEL', KEYS[1], field)
      rows[field] = nil
    end
  else
    for name, row in pairs(rows) do
      if name ~= field and row.device == device then
        replaced[#replaced + 1] = {row.server, row.epoch, match(name, '%d+$')}
        call('HDEL', KEYS[1], name)
      end
    end
    for _, gone in ipairs(replaced) do rows[gone[1] .. ':' .. gone[3]] = nil end
    call('HSET', KEYS[1], field, server .. ':' .. epoch .. ':' .. device .. ':' .. string.format('%.0f', hello))
    rows[field] = {server = server, epoch = epoch, device = device, hello = hello}
  end
  reply[#reply + 1] = {session, hello, isOutdated and 1 or 0, replaced}
end
return reply
