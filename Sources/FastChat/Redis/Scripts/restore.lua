#!lua
-- Restores rows of the state topic in a view that is being rebuilt. What the view knows from a higher seq
-- stays; a room's head is at least its creation. Refused where the view has another id, or has its `applied` already: it may have gone on from there.
--
-- KEYS[1]  fc:{pN}:view; the partition's other keys begin with what stands before "view"
-- ARGV     view id; with the last rows the `applied` at which the replay begins, else empty;
--          then of each row: "member", chat, seq, user, role (0: removed)
--                        or: "room", chat, seq of its creation, "", its properties
--                        or: "head", chat, seq of its last event, "", ""
-- Reply    1; or 0, id, applied, hash, append time, until
local call, match = redis.call, string.match
local view = KEYS[1]
local state = call('HMGET', view, 'id', 'applied', 'hash', 'appended', 'until')
if state[1] ~= ARGV[1] or state[2] then
  return {0, state[1], state[2], state[3], state[4], state[5]}
end
local base = tonumber(call('HGET', view, 'base') or '0')
local prefix = string.sub(view, 1, -5)

local function restoreMember(chat, seq, user, role)
  local members, removals, name = prefix .. 'm:' .. chat, prefix .. 'x', chat .. '\n' .. user
  local row, removed = call('HGET', members, user), call('HGET', removals, name)
  if row and tonumber(match(row, '%d+$')) >= tonumber(seq) then return end
  if removed and tonumber(removed) >= tonumber(seq) then return end
  if role == '0' then
    -- Kept until the rebuild ends: an older join in the log must not bring the member back.
    call('HSET', removals, name, seq)
    call('HDEL', members, user)
    call('HDEL', prefix .. 'c:' .. user, chat)
    call('HDEL', prefix .. 'r:' .. user, chat)
  else
    call('HSET', members, user, role .. ':' .. seq)
    call('HSET', prefix .. 'c:' .. user, chat, role .. ':' .. seq)
  end
end

local function restoreChat(chat, seq, room)
  local key = prefix .. 'k:' .. chat
  local head = call('HGET', key, 'head')
  -- What a view that is kept knew before: the events between are replayed behind it.
  if base > 0 then call('HSETNX', prefix .. 'x', chat .. '\n', head or '0') end
  if not head or tonumber(head) < tonumber(seq) then call('HSET', key, 'head', seq) end
  if room ~= '' then
    if call('HSETNX', key, 'public', string.sub(room, 1, 1)) == 1 then
      call('HSET', key, 'room', string.sub(room, 2))
    end
  end
  for _, user in ipairs({match(chat, '^dm:([^:]+):([^:]+)$')}) do
    call('HSETNX', prefix .. 'c:' .. user, chat, '1:0')
  end
end

for i = 3, #ARGV, 5 do
  local kind, chat, seq, user, value = unpack(ARGV, i, i + 4)
  -- A member whose removal the view has seen left nothing behind: an older row must not bring him back.
  if tonumber(seq) > base then
    if kind == 'member' then restoreMember(chat, seq, user, value) else restoreChat(chat, seq, value) end
  end
end
if ARGV[2] ~= '' then
  call('HSET', view, 'applied', ARGV[2], 'hash', '0', 'appended', '0', 'begin', ARGV[2])
end
return {1}
