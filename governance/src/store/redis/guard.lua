-- Refuses keys that were not declared, as Dragonfly and clusters do. Put before a script in tests.
local server, declared = redis, {}
for _, key in ipairs(KEYS) do declared[key] = true end
local free = { TIME = true, PUBLISH = true }
local function guarded(run)
  return function(name, ...)
    local keys = { ... }
    local from, to = 1, 1
    if name == 'MGET' then to = #keys elseif name == 'XINFO' then from, to = 2, 2 end
    for i = from, free[name] and 0 or to do
      if not declared[keys[i]] then error('undeclared key ' .. tostring(keys[i]) .. ' in ' .. name) end
    end
    return run(name, ...)
  end
end
local redis = { call = guarded(server.call), pcall = guarded(server.pcall) }
