#!lua flags=allow-oom
-- Removes keys of a view that an operator holds; the last run gives it to its owner, who finds no view then, and
-- rebuilds it.
--
-- KEYS[1]  fc:{pN}:view; the partition's other keys begin with what stands before "view"
-- ARGV     1 the id under which it is held, 2 with the last run the seq below which outcomes go, else empty,
--          then keys
-- Reply    1; 0 where somebody else has begun a rebuild, and nothing was removed
local call, view = redis.call, KEYS[1]
if call('HGET', view, 'id') ~= ARGV[1] or call('HEXISTS', view, 'applied') == 1 then return 0 end
local prefix = string.sub(view, 1, -5)
for i = 3, #ARGV do
  local key = ARGV[i]
  if string.sub(key, 1, #prefix) == prefix then
    -- A history without its head would be written to below its end.
    local chat = string.match(string.sub(key, #prefix + 1), '^k:(.*)$')
    if chat then call('UNLINK', prefix .. 'h:' .. chat) end
    call('UNLINK', key)
  end
end
if ARGV[2] == '' then
  -- Nothing else in it means anything while it is held: the owner sees that somebody is at work.
  call('HINCRBY', view, 'appended', 1)
else
  call('UNLINK', prefix .. 'l', prefix .. 'x')
  -- Those above it are in no row of the state topic yet.
  local outcomes = prefix .. 'o'
  call('XTRIM', outcomes, 'MINID', ARGV[2])
  -- Emptied, it would still remember its last id, and take none from before it.
  if call('XLEN', outcomes) == 0 then call('UNLINK', outcomes) end
  call('HDEL', view, 'id', 'appended')
end
return 1
