-- Judges and writes a batch of commits, each for itself: `kernel.rs` in the server's language. ADR 1.
--
--   KEYS  per commit: [token] generation epoch… then each operation's keys, in order
--   ARGV  number of commits, then per commit: program [digest] seen epoch… then each operation's arguments, in order
--
-- A program: how many keys are read first, whether the first is a token, keys, arguments and checks (two bytes each), then four
-- bytes an operation: what, on which kind of cell, flags, the check that already looked at the cell. Flags: 1 lives for a while,
-- 2 has an event, 4 wake who watches the key, 8 wake who watches the event log, 16 the value bears a version already, as a guess: a
-- server hashes every text that a script makes, so making a long one is the dearest thing a commit can do.
--
-- A reply: `A` or `R` (given before) generation,time,result… or `!` why,operation,found.
--
-- INVARIANT: nothing is written before everything that could refuse or fail was looked at.

local K, A, call, try = KEYS, ARGV, redis.call, redis.pcall
local byte, sub, find, format = string.byte, string.sub, string.find, string.format
local unpack = table.unpack or unpack
local time = call('TIME')
local now = time[1] * 1000 + (time[2] - time[2] % 1000) / 1000
local at = format('%d', now)

-- The version of a record, a field, a table or a state, the value of a number, how much a log, list or set holds; 0 if absent.
-- Nil if the key holds another kind. Reads that fail on a foreign type tell it without asking for the type.
local function look(kind, key, field)
  local v
  if kind == 116 then -- t: a field of a table
    v = try('HGET', key, field)
    if not v then
      v = try('HGET', key, 'version')
      if type(v) == 'table' or v and byte(v) ~= 48 then return nil end
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
    if not v then return call('HLEN', key) == 0 and 0 or nil end
    if type(v) == 'table' or byte(v) == 48 then return nil end
    return tonumber(v)
  else
    if kind == 84 then v = try('HLEN', key) -- T: a whole table
    elseif kind == 108 then v = try('XLEN', key) -- l: a log
    elseif kind == 76 then v = try('LLEN', key) -- L: a list
    else v = try('SCARD', key) end -- S: a set
    if type(v) == 'table' then return nil end
    if kind == 84 and v > 0 then
      v = 1
      local version = call('HGET', key, 'version')
      if version and byte(version) ~= 48 then return nil end
    end
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

-- Appends an entry. A bound of 0 keeps all.
local function append(log, bound, ...)
  if bound == '0' then return sub(call('XADD', log, '0-*', 'at', at, ...), 3) end
  return sub(call('XADD', log, 'MAXLEN', '~', bound, '0-*', 'at', at, ...), 3)
end

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
    local generation = m[has + 1] or '0'
    if tonumber(A[base + has + 1]) > (tonumber(generation) or 0) then
      reply = '!G,0,' .. generation
      break
    end
    for i = has + 2, count do
      local epoch = m[i]
      if epoch ~= A[base + i] and (epoch or A[base + i] ~= '0' or call('EXISTS', K[k0 + i]) == 1) then
        reply = '!S,' .. (i - has - 1) .. ',' .. (epoch or '')
        break
      end
    end
    if reply then break end

    -- Look.
    local checks = ch * 256 + cl
    local k, a, place, found = k0 + count, base + count, 0, {}
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
      elseif kind ~= 45 then
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
          if not look(108, K[k]) then
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

    -- Write.
    k, a, place = kw, aw, checks
    local results = ''
    for o = first, size, 4 do
      local op, kind, flags = byte(ops, o, o + 2)
      place, k = place + 1, k + 1
      local key, result = K[k], 0
      if op == 80 then
        local version, value, field = format('%016d', found[place] + 1), nil, nil
        if kind == 116 then
          field, value, a = A[a + 1], A[a + 2], a + 2
        else
          a = a + 1
          value = A[a]
        end
        if flags < 16 then
          value = version .. value
        elseif sub(value, 1, 16) ~= version then
          value = version .. sub(value, 17)
        end
        if field then
          call('HSET', key, field, value)
        elseif flags % 2 == 1 then
          a = a + 1
          call('SET', key, value, 'PX', A[a])
        else
          call('SET', key, value)
        end
        if flags % 4 >= 2 then
          k, a = k + 1, a + 3
          local log, meta, bound, token = K[k], A[a - 2], A[a - 1], A[a]
          if field and bound ~= '0' then
            call('XADD', log, 'MAXLEN', '~', bound, '0-*', 'at', at, 'put', value, 'meta', meta, 'token', token, 'key', key, 'field', field)
          elseif field then
            append(log, bound, 'put', value, 'meta', meta, 'token', token, 'key', key, 'field', field)
          else
            append(log, bound, 'put', value, 'meta', meta, 'token', token, 'key', key)
          end
          if flags % 16 >= 8 then call('PUBLISH', log .. ':wake', '') end
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
          result = call('HDEL', key, A[a])
        else
          result = call('DEL', key)
        end
      elseif op == 67 then
        k, a = k + 1, a + 2
        result = raise(K[k], 0)
        call('SET', key, format('%016d', tonumber(result)) .. A[a - 1], 'PX', A[a])
        if flags % 16 >= 8 then call('PUBLISH', K[k] .. ':wake', '') end
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
      if flags % 8 >= 4 then call('PUBLISH', key .. ':wake', '') end
    end
    reply = generation .. ',' .. at .. results
    if has == 1 then call('SET', K[k0 + 1], A[base + 1] .. ':' .. reply, 'PX', '120000') end
    reply = 'A' .. reply
  until true
  replies[number] = reply
  k0, a0 = k0 + kh * 256 + kl, a0 + ah * 256 + al
end
return replies
