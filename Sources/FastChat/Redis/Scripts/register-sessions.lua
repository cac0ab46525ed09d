#!lua
-- Registers sessions of one user, the first time or again. Which session of a device is newer is told by the
-- time of its `hello`, which the first registration gives by this clock.
--
-- KEYS[1]  fc:{u:<user>}:d: <server>:<epoch>:<session> -> server:epoch:device:time of hello
-- ARGV     server, epoch, earlier epochs of the same process with a space between two, then of each session:
--          session, device, time of its hello (or nothing)
-- Reply    of each session: session, time of its hello, whether so many newer ones of the device are there that
--          it is not kept, and server, epoch and session of each older one
--
-- Older ones stay: their servers are told, and take them out. This may be a late request of a process that is
-- gone, and whom it took out would be told by nobody, and hear of nothing. For the same reason the epoch is part of
-- the field: that process may have had a session of the same number. Only a process that took another epoch takes
-- the session's earlier entries out.
local call, match = redis.call, string.match
local server, epoch = ARGV[1], ARGV[2]
-- Sessions of one device that are kept: those beyond are of servers that are gone, or were told long ago.
local DEVICE_SESSIONS = 8
local PARTS = '^([^:]*):(%d+):([^:]*):(%d+)$'
local time = call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local rows, reply, earlier = {}, {}, {}
for old in string.gmatch(ARGV[3], '%d+') do earlier[#earlier + 1] = server .. ':' .. old .. ':' end
local all = call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local home, age, device, hello = match(all[i + 1], PARTS)
  rows[all[i]] = {server = home, epoch = age, device = device, hello = tonumber(hello)}
end
for i = 4, #ARGV, 3 do
  local session, device, hello = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2])
  local field = server .. ':' .. epoch .. ':' .. session
  for _, prefix in ipairs(earlier) do
    if rows[prefix .. session] then
      call('HDEL', KEYS[1], prefix .. session)
      rows[prefix .. session] = nil
    end
  end
  -- Of the device, the newest first.
  local others = {}
  for name, row in pairs(rows) do
    if name ~= field and row.device == device then others[#others + 1] = {name = name, row = row} end
  end
  table.sort(others, function(a, b)
    if a.row.hello ~= b.row.hello then return a.row.hello > b.row.hello end
    return a.name < b.name
  end)
  local own = rows[field]
  -- Asked twice since the answer was lost: the same time again.
  if not hello and own and own.device == device then hello = own.hello end
  hello = hello or math.max(now, (others[1] and others[1].row.hello or 0) + 1)
  local newer, older = 0, {}
  for i, other in ipairs(others) do
    if other.row.hello >= hello then
      newer = i
    else
      older[#older + 1] = {other.row.server, other.row.epoch, match(other.name, '%d+$')}
    end
  end
  local isOutdated = newer >= DEVICE_SESSIONS
  if isOutdated then
    call('HDEL', KEYS[1], field)
    rows[field], older = nil, {}
  else
    for i = math.max(DEVICE_SESSIONS, newer + 1), #others do
      call('HDEL', KEYS[1], others[i].name)
      rows[others[i].name] = nil
    end
    call('HSET', KEYS[1], field, server .. ':' .. epoch .. ':' .. device .. ':' .. string.format('%.0f', hello))
    rows[field] = {server = server, epoch = epoch, device = device, hello = hello}
  end
  reply[#reply + 1] = {session, hello, isOutdated and 1 or 0, older}
end
return reply
