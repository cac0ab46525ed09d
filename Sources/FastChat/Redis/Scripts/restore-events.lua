#!lua
-- Gives a view that is being rebuilt the events of older generations of the log back. What is stored already, and
-- all before it, stays as it is; heads come with the rows of the state topic.
--
-- KEYS[1]  fc:{pN}:view; the partition's other keys begin with what stands before "view"
-- ARGV     1 view id, 2 events and 3 milliseconds of the window, then of each event: chat, seq, JSON, prev, kind,
--          role, user, time, origin
-- Reply    1; 0 where the view has another id, or its rows already
local call = redis.call
local state = call('HMGET', KEYS[1], 'id', 'applied')
if state[1] ~= ARGV[1] or state[2] then return 0 end
local prefix = string.sub(KEYS[1], 1, -5)
for i = 4, #ARGV, 9 do
  local chat, seq, json, prev, kind, role, user, time, origin = unpack(ARGV, i, i + 8)
  local history = prefix .. 'h:' .. chat
  local last = call('XREVRANGE', history, '+', '-', 'COUNT', 1)[1]
  if not last or tonumber(string.match(last[1], '^%d+')) < tonumber(seq) then
    call('XADD', history, 'MAXLEN', ARGV[2], seq .. '-0', 'json', json, 'prev', prev, 'kind', kind, 'role', role,
      'user', user, 'time', time, 'origin', origin)
    call('PEXPIRE', history, ARGV[3])
  end
end
return 1
