-- Judges and writes a batch of puts of a field with its event, the commonest commit of all: what `commit.lua` would do with them, for fewer
-- keys and words. Whoever was admitted alike is judged once.
--
--   KEYS  per commit: token; per group of those admitted alike: generation epoch…; per place: table log
--   ARGV  per commit: digest field value meta [the version expected, in 16 digits]; per group: seen,epoch…; per place: bound; head
--
-- Head, a byte each: commits, groups, places, words before those of the groups (two bytes), how long a token's key is before the token; per
-- group: keys; per commit: group, place, whether a version is expected.
--
-- A reply is as in `commit.lua`.
--
-- INVARIANT: nothing of a commit is written before everything that could refuse it was looked at. What is written first may fail, so a log
-- needs no look before it.

local K, A, call, try = KEYS, ARGV, redis.call, redis.pcall
local byte, sub, format = string.byte, string.sub, string.format
local head = A[#A]
local count, groups, places, high, low, skip = byte(head, 1, 6)
local h, bounds = 6 + groups, high * 256 + low + groups
local tables = #K - 2 * places
local m = call('MGET', (table.unpack or unpack)(K, 1, tables))
local generation = m[count + 1] or '0'
local time = call('TIME')
local now = time[1] * 1000 + (time[2] - time[2] % 1000) / 1000
local at, forgotten = format('%d', now), format('%d', now + 120000)

local verdicts, from = nil, count
for g = 1, groups do
  local admission, to, whole = A[bounds - groups + g], from + byte(head, 6 + g), true
  for i = from + 1, to do whole = whole and m[i] end
  if not whole or table.concat(m, ',', from + 1, to) ~= admission then
    local i, refused = from, nil
    for carried in string.gmatch(admission, '%d+') do
      i = i + 1
      local held = m[i]
      if i == from + 1 then
        if tonumber(carried) > tonumber(generation) then refused = '!G,0,' .. generation end
      elseif held ~= carried and (held or carried ~= '0' or call('EXISTS', K[i]) == 1) then
        refused = '!S,' .. (i - from - 1) .. ',' .. (held or '')
      end
      if refused then break end
    end
    verdicts = verdicts or {}
    verdicts[g] = refused
  end
  from = to
end

local replies, woken, given, broken = {}, {}, count > 1 and {}, nil
local a, stamp = 0, generation .. ',' .. at .. ','
for number = 1, count do
  local g, place, expects = byte(head, h + 1, h + 3)
  local token, field = K[number], A[a + 2]
  local reply, before = verdicts and verdicts[g], m[number] or given and given[token]
  if before then
    local colon = string.find(before, ':', 1, true)
    reply = colon and sub(before, 1, colon - 1) == A[a + 1] and 'R' .. sub(before, colon + 1) or '!T,0,'
  elseif not reply then
    local key, log, value, versions = K[tables + 2 * place - 1], K[tables + 2 * place], A[a + 3], 'v:' .. field
    local held = try('HGET', key, versions)
    if not held then
      -- A hash that has a field without its version, or a state, which has its own, is no table.
      local v = call('HMGET', key, field, 'version', 'v:version')
      held = not v[1] and (v[3] or not v[2]) and '0000000000000000'
    end
    if not held or type(held) == 'table' or #held < 16 or byte(held) ~= 48 then
      reply = '!K,1,'
    elseif expects == 1 and held ~= A[a + 5] then
      reply = '!V,1,' .. format('%d', tonumber(held))
    else
      local version, bound, done = format('%016d', held + 1), A[bounds + place], nil
      if bound == '0' then
        done = try('XADD', log, '0-*', 'at', at, 'put', value, 'version', version, 'meta', A[a + 4], 'token', sub(token, skip + 1),
          'key', key, 'field', field)
      else
        done = try('XADD', log, 'MAXLEN', '~', bound, '0-*', 'at', at, 'put', value, 'version', version, 'meta', A[a + 4], 'token',
          sub(token, skip + 1), 'key', key, 'field', field)
      end
      if type(done) == 'table' then
        if not string.find(done.err, 'WRONGTYPE', 1, true) then
          broken = done
          break
        end
        reply = '!X,' .. (1 + expects) .. ','
      else
        call('HSET', key, field, value, versions, version)
        reply = stamp .. version
        before = A[a + 1] .. ':' .. reply
        if given then given[token] = before end
        call('SET', token, before, 'PXAT', forgotten)
        woken[place] = true
        reply = 'A' .. reply
      end
    end
  end
  replies[number] = reply
  h, a = h + 3, a + 4 + expects
end
for place = 1, places do
  if woken[place] then
    call('PUBLISH', K[tables + 2 * place - 1] .. ':wake', '')
    call('PUBLISH', K[tables + 2 * place] .. ':wake', '')
  end
end
return broken or replies
