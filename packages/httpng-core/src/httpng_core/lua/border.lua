-- What is done at the border where a state is confined: only plain values cross, and the limit of memory is lifted
-- while the host talks to Lua, since there a failure to allocate can't be caught.

local host, core = ...

local lift, tighten = host.lift, host.tighten -- nil without a limit
host.lift, host.tighten = nil, nil

local error, pairs, select, setmetatable, type = error, pairs, select, setmetatable, type

local PLAIN = { ['nil'] = true, boolean = true, number = true, string = true }

local function check(...)
  for at = 1, select('#', ...) do
    if not PLAIN[type((select(at, ...)))] then
      error('a ' .. type((select(at, ...))) .. " can't be handed to the host", 0)
    end
  end
end

local function passed(...)
  if tighten then
    tighten()
  end
  return ...
end

for name, call in pairs(host) do
  host[name] = function(...)
    check(...)
    return passed(call(...))
  end
end

-- Our functions as the host calls them.
core.entries = setmetatable({}, { __index = function(entries, name)
  local fn = core[name]
  entries[name] = function(...)
    passed()
    return fn(...)
  end
  return entries[name]
end })

if lift then
  local traceback = debug.traceback

  -- What ran out of memory is to be told, which takes some.
  function core.traceback(...)
    lift()
    return passed(traceback(...))
  end

  -- LuaJIT doesn't collect garbage when there is no memory left: it must not get to that.
  if jit then
    collectgarbage('setpause', 100)
    collectgarbage('setstepmul', 400)
  end
end
