#!lua flags=allow-oom
-- Reads the positions of a partition's view, and the outcomes above a seq. No `no-writes` flag: a replica
-- would answer then, and what it says may be over.
--
-- KEYS[1]  fc:{pN}:view
-- ARGV     seq, outcomes at most
-- Reply    id, applied, hash, append time, until, whether there are more outcomes,
--          then of each outcome: seq, outcome, role
local reply = redis.call('HMGET', KEYS[1], 'id', 'applied', 'hash', 'appended', 'until')
reply[6] = 0
local limit = tonumber(ARGV[2])
if limit == 0 then return reply end
local outcomes = string.sub(KEYS[1], 1, -5) .. 'o'
for i, row in ipairs(redis.call('XRANGE', outcomes, '(' .. ARGV[1] .. '-0', '+', 'COUNT', limit + 1)) do
  if i > limit then
    reply[6] = 1
  else
    local last = #reply
    reply[last + 1] = string.match(row[1], '^%d+')
    reply[last + 2], reply[last + 3] = row[2][4], row[2][6]
  end
end
return reply
