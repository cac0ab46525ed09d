#!lua flags=no-writes
-- Answers an edge's question to the view of a partition, all of it of one moment.
--
-- KEYS[1]  fc:{pN}:view; the partition's other keys begin with what stands before "view"
-- ARGV     1 what: "member", "chats", "members", "after", "before", "recent"; 2 chat; 3 user;
--          4 rows and 5 bytes of their texts at most; 6 seq or name to begin behind
-- Reply    1 id, 2 applied, 3 until, 4 the primary (empty where this is none), 5 head, 6 member, 7 public,
--          8 there are more rows, 9 reaches back, then three texts of each row: its figures and two names
--          or JSON. Nothing from 5 on where there is no view, or it is being rebuilt.
local call, match = redis.call, string.match
local what, chat, user, limit, bytes, begin = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6]
local prefix = string.sub(KEYS[1], 1, -5)

local info = call('INFO', 'replication')
local primary = match(info, 'role:(%a+)') == 'master' and match(info, 'master_replid:(%x+)') or ''
local view = call('HMGET', KEYS[1], 'id', 'applied', 'until')
local reply = {view[1], view[2], view[3], string.sub(primary, 1, 16)}
if not view[1] or not view[2] or view[3] then return reply end
reply[5], reply[6], reply[7], reply[8], reply[9] = '0', false, false, 0, 1
if chat ~= '' then
  local row = call('HMGET', prefix .. 'k:' .. chat, 'head', 'public')
  reply[5], reply[7] = row[1] or '0', row[2]
  if user ~= '' then reply[6] = call('HGET', prefix .. 'm:' .. chat, user) end
end

local used, count = 0, 0
-- Adds a row, at least one whatever its size; false, and that there are more, where it does not fit.
local function add(size, figures, first, second)
  if count >= limit or count > 0 and used + size > bytes then
    reply[8] = 1
    return false
  end
  count, used = count + 1, used + size
  local last = #reply
  reply[last + 1], reply[last + 2], reply[last + 3] = figures, first, second
  return true
end

-- Names in byte order, whatever the locale that Lua compares texts by: as numbers, six bytes at a time.
local pieces = {}
local function piece(name, i)
  local known = pieces[name]
  if not known then
    known = {}
    pieces[name] = known
  end
  if not known[i] then
    local number = 0
    for k = i * 6 - 5, i * 6 do number = number * 256 + (string.byte(name, k) or 0) end
    known[i] = number
  end
  return known[i]
end
local function comesBefore(a, b)
  local i = 1
  while a ~= b do
    local left, right = piece(a, i), piece(b, i)
    if left ~= right then return left < right end
    i = i + 1
  end
  return false
end

-- The first of the names behind `begin`, one more than can be used.
local function page(names)
  local found, bound = {}, nil
  for _, name in ipairs(names) do
    if comesBefore(begin, name) and not (bound and comesBefore(bound, name)) then
      found[#found + 1] = name
      if #found > 2 * limit + 64 then
        table.sort(found, comesBefore)
        for i = #found, limit + 2, -1 do found[i] = nil end
        bound = found[#found]
      end
    end
  end
  table.sort(found, comesBefore)
  return found
end

-- Entries of a stream in order from `first`, as many as fit, a few at a time: one may have 60 KB.
local function walk(command, stream, first, last, each)
  local step = 16
  while true do
    local entries = call(command, stream, first, last, 'COUNT', step)
    for _, entry in ipairs(entries) do
      if not each(match(entry[1], '^%d+'), entry[2]) then return end
      first = '(' .. entry[1]
    end
    if #entries < step then return end
  end
end

local function addEvent(seq, event)
  -- json, prev, kind, role, user, time, origin
  local figures = seq .. ' ' .. event[4] .. ' ' .. event[6] .. ' ' .. event[8] .. ' ' .. event[12] .. ' ' .. event[14]
  return add(#event[2] + #event[10], figures, event[10], event[2])
end

if what == 'after' then
  walk('XRANGE', prefix .. 'h:' .. chat, '(' .. begin .. '-0', '+', addEvent)
elseif what == 'before' then
  walk('XREVRANGE', prefix .. 'h:' .. chat, begin == '0' and '+' or '(' .. begin .. '-0', '-', addEvent)
elseif what == 'recent' then
  local recent = prefix .. 'l'
  walk('XRANGE', recent, '(' .. begin .. '-0', '+', function(seq, row)
    return add(#row[2] + #row[4], seq .. ' ' .. row[6] .. ' ' .. row[8], row[2], row[4])
  end)
  local oldest = call('XRANGE', recent, '-', '+', 'COUNT', 1)[1]
  local reaches = tonumber(view[2]) <= tonumber(begin)
    or oldest and tonumber(match(oldest[1], '^%d+')) <= tonumber(begin)
  reply[9] = reaches and 1 or 0
elseif what == 'chats' then
  local rows, names, values = call('HGETALL', prefix .. 'c:' .. user), {}, {}
  for i = 1, #rows, 2 do
    names[#names + 1] = rows[i]
    values[rows[i]] = rows[i + 1]
  end
  for _, name in ipairs(page(names)) do
    local head = call('HGET', prefix .. 'k:' .. name, 'head') or '0'
    local read = call('HGET', prefix .. 'r:' .. user, name) or '0'
    if not add(#name, values[name] .. ' ' .. head .. ' ' .. read, name, '') then break end
  end
elseif what == 'members' then
  local members = prefix .. 'm:' .. chat
  for _, name in ipairs(page(call('HKEYS', members))) do
    if not add(#name, call('HGET', members, name), name, '') then break end
  end
end
return reply
