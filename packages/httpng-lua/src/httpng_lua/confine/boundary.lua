-- What is done at the boundary where a state is confined: only plain values cross, and the limit of memory is lifted
-- while the host talks to Lua, since there a failure to allocate can't be caught.
--
-- Both Luas raise when memory is short with garbage around, LuaJIT always and Lua 5.4 when a stack must grow. So
-- the host has it collected before.

local host, core = ...

local function nothing() end

local lift, tighten, begin = host.lift or nothing, host.tighten or nothing, host.begin or nothing
host.lift, host.tighten, host.begin = nil, nil, nil

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
  tighten()
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
    if core.drop_dead then -- not while our own files are loaded
      core.drop_dead()
    end
    begin()
    return fn(...)
  end
  return entries[name]
end })

local traceback = debug.traceback

-- What ran out of memory is to be told, which takes some.
function core.traceback(...)
  lift()
  return passed(traceback(...))
end

if jit and lift ~= nothing then
  jit.off() -- code that it compiled while memory was short has been seen to crash
  jit.flush()
  collectgarbage('setpause', 100)
  collectgarbage('setstepmul', 400)
end
