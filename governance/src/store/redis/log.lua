-- A piece of a log, with its first and last position, all of one moment.
--
--   KEYS  the log         ARGV  the first position to read, how many at most

local call = redis.call
local log, limit = KEYS[1], tonumber(ARGV[2])
local entries = limit > 0 and call('XRANGE', log, '0-' .. ARGV[1], '+', 'COUNT', ARGV[2]) or {}
local oldest = call('XRANGE', log, '-', '+', 'COUNT', 1)[1]
if oldest then return { oldest[1], call('XREVRANGE', log, '+', '-', 'COUNT', 1)[1][1], entries } end
local last = '0-0'
if call('EXISTS', log) == 1 then
  local info = call('XINFO', 'STREAM', log)
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then last = info[i + 1] end
  end
end
return { '', last, entries }
