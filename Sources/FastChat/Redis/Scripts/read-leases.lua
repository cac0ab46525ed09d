#!lua flags=no-writes
-- Reads the leases of all servers, and then the primary that says so.
--
-- KEYS[1]  fc:{srv}:all; a lease has the server's name in place of "all"
-- Reply    the primary (empty where this is none), then of each living server: name, lease
local servers = redis.call('SMEMBERS', KEYS[1])
local prefix = string.sub(KEYS[1], 1, -4)
local reply = {''}
if #servers > 0 then
  local keys = {}
  for i, server in ipairs(servers) do keys[i] = prefix .. server end
  -- As many at once as Lua can hand over.
  for first = 1, #keys, 1000 do
    local leases = redis.call('MGET', unpack(keys, first, math.min(first + 999, #keys)))
    for i, lease in ipairs(leases) do
      if lease then
        reply[#reply + 1] = servers[first + i - 1]
        reply[#reply + 1] = lease
      end
    end
  end
end
local info = redis.call('INFO', 'replication')
if string.match(info, 'role:(%a+)') == 'master' then
  reply[1] = string.sub(string.match(info, 'master_replid:(%x+)'), 1, 16)
end
return reply
