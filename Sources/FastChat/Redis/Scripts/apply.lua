#!lua
-- Applies a run of the log to the view of a partition (DESIGN section 5, "The owner"): judges, stores
-- events, and moves the positions on, all of it or, where the view is another or stands elsewhere, nothing.
--
-- KEYS[1]   fc:{pN}:view; the partition's other keys begin with what stands before "view"
-- ARGV      1 view id, 2 from, 3 upto, 4 hash and 5 append time of the record at upto,
--           6 recent floor, 7 outcome floor, 8 window floor, 9 events and 10 milliseconds of the window,
--           11 members of a room and 12 rooms of a user at most, 13 is a replay, 14 ends the rebuild,
--           then of each record: seq, kind, judgement ("first", "repeat" or "<outcome>:<role>"), origin,
--           time, chat, author, head and tail of the JSON, room properties
-- Reply     1, then outcome, prev and role of each record; or 0, id, applied, hash, append time, until
--
-- Seqs stay texts: Lua prints numbers of 10^14 and more in exponents. They are compared as numbers, which
-- are exact below 2^53.
local MESSAGE, CREATE, JOIN, LEAVE = '1', '2', '3', '4'
local EVENT, UNCHANGED, FORBIDDEN, NOT_FOUND, EXISTS = 0, 1, 3, 4, 5
local NOBODY, MEMBER, OWNER = '0', '1', '3'
local ARGUMENTS, FIELDS = 14, 10

local call, match = redis.call, string.match
local view = KEYS[1]
local state = call('HMGET', view, 'id', 'applied', 'hash', 'appended', 'until', 'begin', 'base')
-- A view that went back into its rebuild stands where it stood, and is not whole.
if state[1] ~= ARGV[1] or state[2] ~= ARGV[2] or state[5] and ARGV[13] ~= '1' then
  return {0, state[1], state[2], state[3], state[4], state[5]}
end
local from, upto, isReplay, endsRebuild = ARGV[2], ARGV[3], ARGV[13] == '1', ARGV[14] == '1'
local roomMembers, userRooms = tonumber(ARGV[11]), tonumber(ARGV[12])
local prefix = string.sub(view, 1, -5)
local recent, outcomes, removals = prefix .. 'l', prefix .. 'o', prefix .. 'x'

-- The seq of a stream's last entry as a number, 0 for none.
local function lastSeq(stream)
  local last = call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1]
  return last and tonumber(match(last[1], '^%d+')) or 0
end

-- A replay leaves what is there already as it is.
local lastRecent = isReplay and lastSeq(recent) or 0
local lastOutcome = isReplay and lastSeq(outcomes) or 0

-- Where nothing of a chat is left, what came before its first event of a replay is not known: something
-- above all that the log does not have any more, and below all that it has. Nothing came before the log's
-- first record, or before a room was created.
local FIRST = 1099511627776 -- of generation 1
local function unknownPrev(chat, seq, kind)
  if state[7] and tonumber(state[6] or from) <= tonumber(state[7]) then
    -- All behind what the view knew before is replayed.
    local known = call('HGET', removals, chat .. '\n')
    if known then return known end
  end
  local prev = math.max(tonumber(state[6] or from), tonumber(ARGV[8]) - 1)
  if kind == CREATE or prev < FIRST then return '0' end
  return string.format('%.0f', math.min(prev, tonumber(seq) - 1))
end

local function roomsOf(user)
  local key = prefix .. 'c:' .. user
  -- Direct chats stand there too: counted one by one only where it matters.
  local count = call('HLEN', key)
  if count < userRooms then return count end
  count = 0
  for _, chat in ipairs(call('HKEYS', key)) do
    if string.sub(chat, 1, 5) == 'room:' then count = count + 1 end
  end
  return count
end

-- The rules of Chat/Owner/Judge.swift: the outcome, and the author's role after it.
local function judge(kind, chat, author)
  local public = call('HGET', prefix .. 'k:' .. chat, 'public')
  if kind == CREATE then
    if public then return EXISTS, NOBODY end
    if roomsOf(author) >= userRooms then return FORBIDDEN, NOBODY end
    return EVENT, OWNER
  end
  if not public then return NOT_FOUND, NOBODY end
  local members = prefix .. 'm:' .. chat
  local isMember = call('HEXISTS', members, author) == 1
  local isPublic = public == '1'
  if kind == MESSAGE then
    if isMember then return EVENT, NOBODY end
    return isPublic and FORBIDDEN or NOT_FOUND, NOBODY
  elseif kind == JOIN then
    if isMember then return UNCHANGED, NOBODY end
    if not isPublic then return NOT_FOUND, NOBODY end
    if call('HLEN', members) >= roomMembers or roomsOf(author) >= userRooms then return FORBIDDEN, NOBODY end
    return EVENT, MEMBER
  end
  if isMember then return EVENT, NOBODY end
  return isPublic and UNCHANGED or NOT_FOUND, NOBODY
end

-- Whether the member's row, or his removal, is known from this record or a later one.
local function isSettled(chat, user, seq)
  local row = call('HGET', prefix .. 'm:' .. chat, user)
  if row and tonumber(match(row, '%d+$')) >= seq then return true end
  local removed = call('HGET', removals, chat .. '\n' .. user)
  return removed and tonumber(removed) >= seq
end

-- Writes what a membership event changes.
local function change(kind, chat, user, role, seq, room)
  if kind == CREATE and room ~= '' then
    local key = prefix .. 'k:' .. chat
    if call('HSETNX', key, 'public', string.sub(room, 1, 1)) == 1 then
      call('HSET', key, 'room', string.sub(room, 2))
    end
  end
  if isReplay and isSettled(chat, user, tonumber(seq)) then return end
  if kind == LEAVE then
    call('HDEL', prefix .. 'm:' .. chat, user)
    call('HDEL', prefix .. 'c:' .. user, chat)
    call('HDEL', prefix .. 'r:' .. user, chat)
    if isReplay then call('HSET', removals, chat .. '\n' .. user, seq) end
  else
    local row = role .. ':' .. seq
    call('HSET', prefix .. 'm:' .. chat, user, row)
    call('HSET', prefix .. 'c:' .. user, chat, row)
  end
end

-- Of each chat that an event concerns: its head, whether that moved, and what its history was trimmed to last.
local heads, moved, floors, order = {}, {}, {}, {}

-- The event before this one, whether this one is stored already, and whether it is the chat's last.
local function place(chat, seq, kind)
  local head = heads[chat]
  if not head then
    local row = call('HMGET', prefix .. 'k:' .. chat, 'head', 'floor')
    head = row[1] or '0'
    heads[chat], floors[chat], order[#order + 1] = head, row[2], chat
  end
  if not isReplay or tonumber(seq) > tonumber(head) then return head, false, true end
  -- The head was restored, and this comes before it.
  local history = prefix .. 'h:' .. chat
  local last = call('XREVRANGE', history, '+', '-', 'COUNT', 1)[1]
  if not last then return unknownPrev(chat, seq, kind), false, false end
  local lastSeq = match(last[1], '^%d+')
  if tonumber(lastSeq) < tonumber(seq) then return lastSeq, false, false end
  local stored = call('XRANGE', history, seq .. '-0', seq .. '-0')[1]
  return stored and stored[2][4] or '0', true, false
end

-- Stores an event; its `prev`.
local function store(seq, kind, role, origin, time, chat, author, first, rest)
  local prev, isStored, isHead = place(chat, seq, kind)
  if not isStored then
    call('XADD', prefix .. 'h:' .. chat, 'MAXLEN', ARGV[9], seq .. '-0', 'json', first .. prev .. rest,
      'prev', prev, 'kind', kind, 'role', role, 'user', author, 'time', time, 'origin', origin)
  end
  if isHead then
    heads[chat], moved[chat] = seq, true
    if prev == '0' then
      -- The users of a direct chat are in it from its first event on, as its name says.
      for _, user in ipairs({match(chat, '^dm:([^:]+):([^:]+)$')}) do
        call('HSETNX', prefix .. 'c:' .. user, chat, MEMBER .. ':0')
      end
    end
  end
  if tonumber(seq) > lastRecent then
    call('XADD', recent, seq .. '-0', 'chat', chat, 'user', author, 'kind', kind, 'role', role)
  end
  return prev
end

local reply = {1}
local function run()
  for i = ARGUMENTS + 1, #ARGV, FIELDS do
    local seq, kind, judgement, origin, time, chat, author, first, rest, room = unpack(ARGV, i, i + FIELDS - 1)
    local isRoom = string.sub(chat, 1, 1) == 'r'
    local isMembership = isRoom and kind ~= MESSAGE
    local outcome, role, prev = EVENT, NOBODY, '0'
    local forced, forcedRole = match(judgement, '^(%d+):(%d+)$')
    local isJudged = isMembership or isRoom and judgement ~= 'first'
    if forced then
      outcome = tonumber(forced)
      role = isMembership and outcome == EVENT and forcedRole or NOBODY
    elseif isJudged then
      outcome, role = judge(kind, chat, author)
    end
    if isJudged and tonumber(seq) > lastOutcome then
      call('XADD', outcomes, seq .. '-0', 'chat', chat, 'outcome', outcome, 'role', role)
    end
    if outcome == EVENT then
      if isMembership then change(kind, chat, author, role, seq, room) end
      prev = store(seq, kind, role, origin, time, chat, author, first, rest)
    end
    local last = #reply
    reply[last + 1], reply[last + 2], reply[last + 3] = outcome, tonumber(prev), tonumber(role)
  end
end

-- An emptied stream would still remember its last id; only a trim empties one.
local function trim(stream, floor)
  if floor == '0' or call('XTRIM', stream, 'MINID', floor) == 0 then return end
  if call('XLEN', stream) == 0 then call('DEL', stream) end
end

-- A view that is damaged refuses a record; heads stand as far as events do, so that a rebuild mends it.
local isWhole, fault = pcall(run)
for _, chat in ipairs(order) do
  if moved[chat] then call('HSET', prefix .. 'k:' .. chat, 'head', heads[chat]) end
end
if not isWhole then return type(fault) == 'table' and fault or redis.error_reply(fault) end
if upto ~= from then
  for _, chat in ipairs(order) do
    local history = prefix .. 'h:' .. chat
    -- What a replay brings back below a floor goes at once; what restore-events.lua does, with the next floor.
    if ARGV[8] ~= '0' and (isReplay or floors[chat] ~= ARGV[8]) then
      trim(history, ARGV[8])
      call('HSET', prefix .. 'k:' .. chat, 'floor', ARGV[8])
    end
    call('PEXPIRE', history, ARGV[10])
  end
  trim(recent, ARGV[6])
  trim(outcomes, ARGV[7])
  call('HSET', view, 'applied', upto, 'hash', ARGV[4], 'appended', ARGV[5])
end
if endsRebuild then
  call('HDEL', view, 'until', 'begin', 'base')
  call('DEL', removals)
end
return reply
