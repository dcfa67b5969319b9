-- Judges and writes a batch of commits, each for itself: `kernel.rs` in the server's language. ADR 1.
--
--   KEYS  per commit: [token] generation epoch… then each operation's keys, in order
--   ARGV  number of commits, then per commit: program [digest] seen,epoch… then each operation's arguments, in order
--
-- A program: how many keys are read first, whether the first is a token, keys, arguments and checks (two bytes each), then four
-- bytes an operation: what, on which kind of cell, flags, the check that already looked at the cell. Flags: 1 lives for a while,
-- 2 has an event.
--
-- A record is its version in 16 digits and its value. A table keeps the version of the field `f` in its field `v:f`, a state its own
-- in the field `version`: a server hashes every byte of a text that a script touches, so a value must not be read to know its version.
--
-- A reply: `A` or `R` (given before) generation,time,result… or `!` why,operation,found.
--
-- INVARIANT: nothing is written before everything that could refuse or fail was looked at.

local K, A, call, try = KEYS, ARGV, redis.call, redis.pcall
local byte, sub, find, format, gmatch = string.byte, string.sub, string.find, string.format, string.gmatch
local concat, unpack = table.concat, table.unpack or unpack
local time = call('TIME')
local now = time[1] * 1000 + (time[2] - time[2] % 1000) / 1000
local at, forgotten = format('%d', now), format('%d', now + 120000)

-- Whether a hash is a state: a table that has a field `version` has that field's version, too.
local function is_state(key)
  local v = call('HMGET', key, 'version', 'v:version')
  return v[1] and not v[2]
end

-- The version of a record, a field, a table or a state, the value of a number, how much a log, list or set holds; 0 if absent.
-- Nil if the key holds another kind. Reads that fail on a foreign type tell it without asking for the type.
local function look(kind, key, field)
  local v
  if kind == 116 then -- t: a field of a table
    v = try('HGET', key, 'v:' .. field)
    if not v then
      if is_state(key) or call('HEXISTS', key, field) == 1 then return nil end
      return 0
    end
  elseif kind == 114 then -- r: a record
    v = try('GETRANGE', key, 0, 15)
    if v == '' then return 0 end
  elseif kind == 110 then -- n: a counter or an epoch
    v = try('GETRANGE', key, 0, 16)
    if v == '' then return 0 end
    if type(v) == 'table' or #v > 16 or byte(v) == 48 and v ~= '0' or find(v, '%D') then return nil end
    return tonumber(v)
  elseif kind == 115 then -- s: a state
    v = try('HGET', key, 'version')
    if type(v) == 'table' then return nil end
    if not v then return call('HLEN', key) == 0 and 0 or nil end
    return is_state(key) and tonumber(v)
  else
    if kind == 84 then v = try('HLEN', key) -- T: a whole table
    elseif kind == 108 then v = try('XLEN', key) -- l: a log
    elseif kind == 76 then v = try('LLEN', key) -- L: a list
    else v = try('SCARD', key) end -- S: a set
    if type(v) == 'table' then return nil end
    if kind == 84 and v > 0 then return not is_state(key) and 1 or nil end
    return v
  end
  if type(v) == 'table' or #v < 16 or byte(v) ~= 48 then return nil end
  return tonumber(sub(v, 1, 16))
end

local function raise(key, floor)
  local last = call('GET', key)
  local next = (last and tonumber(last) or 0) + 1
  if next < now then next = now end
  if next <= floor then next = floor + 1 end
  next = format('%d', next)
  call('SET', key, next)
  return next
end

-- Appends an entry, or answers the error. A bound of 0 keeps all.
local function append(log, bound, ...)
  if bound == '0' then return try('XADD', log, '0-*', 'at', at, ...) end
  return try('XADD', log, 'MAXLEN', '~', bound, '0-*', 'at', at, ...)
end

local woken = {}
local replies, k0, a0 = {}, 0, 1
for number = 1, tonumber(A[1]) do
  local ops = A[a0 + 1]
  local count, has, kh, kl, ah, al, ch, cl = byte(ops, 1, 8)
  local base, size, reply = a0 + 1, #ops, nil
  repeat
    local m = call('MGET', unpack(K, k0 + 1, k0 + count))
    if has == 1 and m[1] then
      local colon = find(m[1], ':', 1, true)
      reply = colon and sub(m[1], 1, colon - 1) == A[base + 1] and 'R' .. sub(m[1], colon + 1) or '!T,0,'
      break
    end
    local generation, admission = m[has + 1] or '0', A[base + has + 1]
    local present = true
    for i = has + 1, count do present = present and m[i] end
    if not present or concat(m, ',', has + 1, count) ~= admission then
      local i = has
      for carried in gmatch(admission, '%d+') do
        i = i + 1
        local held = m[i]
        if i == has + 1 then
          if tonumber(carried) > tonumber(generation) then reply = '!G,0,' .. generation end
        elseif held ~= carried and (held or carried ~= '0' or call('EXISTS', K[k0 + i]) == 1) then
          reply = '!S,' .. (i - has - 1) .. ',' .. (held or '')
        end
        if reply then break end
      end
      if reply then break end
    end

    -- Look.
    local checks = ch * 256 + cl
    local k, a, place, found = k0 + count, base + has + 1, 0, {}
    local first, kw, aw = 9 + 4 * checks, k, a
    for o = 9, size, 4 do
      local op, kind, flags, looked = byte(ops, o, o + 3)
      if o == first then kw, aw = k, a end
      place, k = place + 1, k + 1
      local v, field
      if kind == 116 then
        a = a + 1
        field = A[a]
      end
      if looked > 0 then
        v = found[looked]
      elseif kind ~= 45 and (op ~= 76 or o > first) then
        v = look(kind, K[k], field)
        if not v then
          reply = '!K,' .. place .. ','
          break
        end
      end
      found[place] = v
      if op == 80 then -- P: put; [field] value [ttl] [meta bound token]
        a = a + 1 + flags % 2
        if flags % 4 >= 2 then
          k, a = k + 1, a + 3
          if o > first and not look(108, K[k]) then
            reply = '!X,' .. place .. ','
            break
          end
        end
      elseif op == 86 then -- V: version; [field] expected
        a = a + 1
        if v ~= tonumber(A[a]) then
          reply = '!V,' .. place .. ',' .. format('%d', v)
          break
        end
      elseif op == 65 then -- A: add; delta [ttl]
        local sum = v + tonumber(A[a + 1])
        a = a + 1 + flags % 2
        if sum < 0 or sum > 9007199254740991 then
          reply = (sum < 0 and '!U,' or '!E,') .. place .. ',' .. format('%d', v)
          break
        end
      elseif op == 76 or op == 72 then -- L: append; value bound. H: push; value bound
        a = a + 2
      elseif op == 87 or op == 82 then -- W: within; amount limit. R: room; amount limit
        a = a + 2
        if v + tonumber(A[a - 1]) > tonumber(A[a]) then
          reply = (op == 87 and '!E,' or '!L,') .. place .. ',' .. format('%d', v)
          break
        end
      elseif op == 70 then -- F: fence; expected
        a = a + 1
        if v ~= tonumber(A[a]) then
          reply = '!F,' .. place .. ',' .. format('%d', v)
          break
        end
      elseif op == 77 then -- M: merge; how many, then field value…
        a = a + 1 + 2 * tonumber(A[a + 1])
      elseif op == 67 then -- C: claim; holder ttl
        k, a = k + 1, a + 2
        if not look(110, K[k]) then
          reply = '!X,' .. place .. ','
          break
        end
        if v ~= 0 then
          reply = '!F,' .. place .. ',' .. format('%d', v)
          break
        end
      elseif op ~= 68 then -- E: raise; floor. T: trim; through. J, X: join, leave; member. Z: expire; ttl. S: signal; payload
        a = a + 1
      end
    end
    if reply then break end

    -- Write. What is written first may fail, so a log needs no look before it.
    k, a, place = kw, aw, checks
    local results, broken = '', nil
    for o = first, size, 4 do
      local op, kind, flags = byte(ops, o, o + 2)
      place, k = place + 1, k + 1
      local key, result = K[k], 0
      if op == 80 then
        local version, field, value = format('%016d', found[place] + 1), nil, nil
        if kind == 116 then
          a = a + 1
          field = A[a]
        end
        a = a + 1
        value = A[a]
        local ttl
        if flags % 2 == 1 then
          a = a + 1
          ttl = A[a]
        end
        if flags >= 2 then
          k, a = k + 1, a + 3
          local log, meta, bound, token, done = K[k], A[a - 2], A[a - 1], A[a], nil
          if field then
            done = append(log, bound, 'put', value, 'version', version, 'meta', meta, 'token', token, 'key', key, 'field', field)
          else
            done = append(log, bound, 'put', value, 'version', version, 'meta', meta, 'token', token, 'key', key)
          end
          if type(done) == 'table' then
            reply = '!X,' .. place .. ','
            broken = done
            break
          end
          woken[log] = true
        end
        if field then
          call('HSET', key, field, value, 'v:' .. field, version)
        elseif ttl then
          call('SET', key, version .. value, 'PX', ttl)
        else
          call('SET', key, version .. value)
        end
        result = version
      elseif op == 65 then
        a = a + 1
        result = format('%d', call('INCRBY', key, A[a]))
        if flags % 2 == 1 then
          a = a + 1
          call('PEXPIRE', key, A[a])
        end
      elseif op == 76 then
        a = a + 2
        result = append(key, A[a], 'value', A[a - 1])
        if type(result) == 'table' then
          reply = '!K,' .. place .. ','
          broken = result
          break
        end
        result = sub(result, 3)
      elseif op == 69 then
        a = a + 1
        result = raise(key, tonumber(A[a]))
        if key == K[k0 + has + 1] then generation = result end
      elseif op == 77 then
        local size = 2 * tonumber(A[a + 1])
        result = format('%d', found[place] + 1)
        call('HSET', key, 'version', result)
        for from = 1, size, 1000 do
          call('HSET', key, unpack(A, a + 1 + from, a + 1 + (from + 999 < size and from + 999 or size)))
        end
        a = a + 1 + size
      elseif op == 68 then
        if kind == 116 then
          a = a + 1
          result = call('HDEL', key, A[a], 'v:' .. A[a]) == 0 and 0 or 1
        else
          result = call('DEL', key)
        end
      elseif op == 67 then
        k, a = k + 1, a + 2
        result = raise(K[k], 0)
        call('SET', key, format('%016d', tonumber(result)) .. A[a - 1], 'PX', A[a])
        woken[K[k]] = true
      elseif op == 72 then
        a = a + 2
        local length, bound = call('RPUSH', key, A[a - 1]), tonumber(A[a])
        if bound > 0 and length > bound then
          call('LTRIM', key, -bound, -1)
          length = bound
        end
        result = format('%d', length)
      else
        a = a + 1
        if op == 84 then call('XTRIM', key, 'MINID', A[a])
        elseif op == 74 then result = call('SADD', key, A[a])
        elseif op == 88 then result = call('SREM', key, A[a])
        elseif op == 90 then result = call('PEXPIRE', key, A[a])
        else call('PUBLISH', key, A[a]) end -- S
      end
      results = results .. ',' .. result
      if op ~= 83 then woken[key] = true end
    end
    if broken and not find(broken.err, 'WRONGTYPE', 1, true) then return broken end
    if reply then break end
    reply = generation .. ',' .. at .. results
    if has == 1 then call('SET', K[k0 + 1], A[base + 1] .. ':' .. reply, 'PXAT', forgotten) end
    reply = 'A' .. reply
  until true
  replies[number] = reply
  k0, a0 = k0 + kh * 256 + kl, a0 + ah * 256 + al
end
for key in pairs(woken) do call('PUBLISH', key .. ':wake', '') end
return replies
