-- The time limit: Lua that doesn't let others run is stopped by an error.
--
-- A hook looks at the clock every so many instructions. Once time is up it raises at the next instruction of the
-- script, and at each one after that: who catches the error gets no further. What C does in one call, a search by a
-- pattern say, is not interrupted: against that a process helps, or nothing. Must run before the other files.

local host = ...

-- How much of its time Lua has taken since the host called it: from 1 on it is over. And what is raised then.
local spent, message = host.spent, host.stopped
host.spent, host.stopped = nil, nil

local create, resume, running = coroutine.create, coroutine.resume, coroutine.running
local close = coroutine.close -- not in LuaJIT
local sethook, getinfo = debug.sethook, debug.getinfo
local error, rawget, setmetatable, type, xpcall = error, rawget, setmetatable, type, xpcall
local huge = math.huge

-- Instructions between two looks.
local EVERY = 1000

-- How far over its time each of our files may be before it is left half-way; the others are at once. Those that no
-- script can trick into a loop never are.
local LENIENCE = {
  ['=httpng/stopping.lua'] = huge,
  ['=httpng/prelude.lua'] = huge,
  ['=httpng/coroutines.lua'] = huge,
  ['=httpng/nesting.lua'] = huge,
  ['=httpng/shortage.lua'] = huge,
  ['=httpng/boundary.lua'] = huge,
  ['=httpng/text.lua'] = huge,
  ['=httpng/headers.lua'] = huge,
  ['=httpng/results.lua'] = huge,
  ['=httpng/io.lua'] = huge,
  ['=httpng/request.lua'] = huge,
  ['=httpng/handler.lua'] = huge,
  ['=httpng/numbers.lua'] = 2,
  ['=httpng/router.lua'] = 2,
  ['=httpng/feed.lua'] = 2,
  ['=httpng/fiber.lua'] = 2,
  ['=httpng/channel.lua'] = 2,
}

-- Coroutines that were stopped: hooks don't work in them any more, so nothing may run there.
local stopped = setmetatable({}, { __mode = 'k' })
-- Some hooks may be set to every instruction.
local hurried = false

local hook

local function hurry()
  hurried = true
  sethook(hook, '', 1)
end

function hook()
  local time = spent()
  if time >= 1 then
    hurry()
    if time >= (LENIENCE[getinfo(2, 'S').source] or 1) then
      stopped[running() or 'main'] = true
      error(message, 2)
    end
  elseif hurried then
    sethook(hook, '', EVERY)
  end
end

sethook(hook, '', EVERY)

-- A handler of errors is called where the error is raised: in the hook, where no other is called.
function _G.xpcall(fn, handler, ...)
  return xpcall(fn, function(failure)
    if spent() >= 1 then
      return failure
    end
    return handler(failure)
  end, ...)
end

if jit then
  jit.off() -- compiled code calls no hooks
  jit.flush()
  return -- and there is one hook for all coroutines
end

function coroutine.create(fn)
  local co = create(fn)
  sethook(co, hook, '', EVERY)
  return co
end

-- Who resumed what was stopped is stopped as well: its own hook hasn't been hurried.
local function back(...)
  if hurried then
    sethook(hook, '', 1)
  end
  return ...
end

function coroutine.resume(co, ...)
  return back(resume(co, ...))
end

function coroutine.close(co)
  if stopped[co] then
    return false, message
  end
  return back(close(co))
end

-- No hook is called in a finalizer.
function _G.setmetatable(value, metatable)
  if type(metatable) == 'table' and rawget(metatable, '__gc') ~= nil then
    error('a finalizer (__gc) is refused where handler_time_limit is set', 2)
  end
  return setmetatable(value, metatable)
end
