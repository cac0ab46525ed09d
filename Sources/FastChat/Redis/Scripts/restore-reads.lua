#!lua
-- Gives a view that was rebuilt its read positions back: only rising, at most to the chat's head, to members only,
-- and none from before they joined.
--
-- KEYS[1]  fc:{pN}:view; the partition's other keys begin with what stands before "view"
-- ARGV     view id, empty where it is not known yet; "1" with the last positions, else "0";
--          then of each position: chat, user, seq
-- Reply    the view's id, how many positions rose; nothing where it lacks none, is being rebuilt, or has another id
local call, match = redis.call, string.match
local view = KEYS[1]
local state = call('HMGET', view, 'id', 'applied', 'until', 'reads')
if not state[2] or state[3] or not state[4] then return false end
if ARGV[1] ~= '' and ARGV[1] ~= state[1] then return false end
local prefix = string.sub(view, 1, -5)
local raised = 0
for i = 3, #ARGV, 3 do
  local chat, user, seq = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local row = call('HGET', prefix .. 'c:' .. user, chat)
  if row and tonumber(match(row, '%d+$')) <= tonumber(seq) then
    local head = call('HGET', prefix .. 'k:' .. chat, 'head') or '0'
    if tonumber(head) < tonumber(seq) then seq = head end
    local reads = prefix .. 'r:' .. user
    if tonumber(call('HGET', reads, chat) or '0') < tonumber(seq) then
      call('HSET', reads, chat, seq)
      raised = raised + 1
    end
  end
end
if ARGV[2] == '1' then call('HDEL', view, 'reads') end
return {state[1], raised}
