#!lua
-- Raises how far a member has read a chat, at most to its head.
--
-- KEYS[1]  fc:{pN}:view; the partition's other keys begin with what stands before "view"
-- ARGV     chat, user, seq
-- Reply    the seq that it was raised to; nothing where it was not
local prefix = string.sub(KEYS[1], 1, -5)
local chat, user, seq = ARGV[1], ARGV[2], ARGV[3]
if redis.call('HEXISTS', prefix .. 'c:' .. user, chat) == 0 then return false end
local head = redis.call('HGET', prefix .. 'k:' .. chat, 'head') or '0'
if tonumber(head) < tonumber(seq) then seq = head end
local reads = prefix .. 'r:' .. user
if tonumber(redis.call('HGET', reads, chat) or '0') >= tonumber(seq) then return false end
redis.call('HSET', reads, chat, seq)
return tonumber(seq)
