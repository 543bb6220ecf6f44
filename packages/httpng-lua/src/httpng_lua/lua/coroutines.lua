-- Coroutines of users: they hand a call that has to wait up to whoever resumed them, down to the fiber, so that
-- calls may wait from inside any of them.

local _, core = ...

local HOST, await, fiber_of = core.HOST, core.await, core.fiber_of
local create, resume, yield = coroutine.create, coroutine.resume, coroutine.yield
local running, status, close = coroutine.running, coroutine.status, coroutine.close -- no close in LuaJIT
local error, pairs, pcall, rawequal = error, pairs, pcall, rawequal

-- A user's coroutine that waits for the host -> the coroutine that resumed it.
local resumed_by = setmetatable({}, { __mode = 'kv' })

local function woken(co, ...)
  resumed_by[co] = nil
  return ...
end

local function resumed(co, ok, first, ...)
  if ok and rawequal(first, HOST) then
    resumed_by[co] = running()
    return resumed(co, resume(co, woken(co, await((...)))))
  end
  return ok, first, ...
end

local function resume_users(co, ...)
  if resumed_by[co] or fiber_of[co] then
    return false, 'cannot resume a coroutine that waits for the server'
  end
  return resumed(co, resume(co, ...))
end

local function unwrapped(co, ok, ...)
  if ok then
    return ...
  end
  if close and status(co) == 'dead' then
    close(co)
  end
  error((...), 2)
end

function coroutine.resume(co, ...)
  return resume_users(co, ...)
end

function coroutine.wrap(fn)
  local co = create(fn)
  return function(...)
    return unwrapped(co, resume_users(co, ...))
  end
end

function coroutine.status(co)
  return resumed_by[co] and 'normal' or status(co)
end

local function seen(co, ...)
  local fiber = fiber_of[co]
  if fiber then
    fiber.is_known, fiber.is_seen = true, true
  end
  return co, ...
end

function coroutine.running()
  return seen(running())
end

function coroutine.yield(...)
  if fiber_of[running()] then
    error('attempt to yield from outside a coroutine', 2)
  end
  return yield(...)
end

if close then
  function coroutine.close(co)
    if resumed_by[co] or fiber_of[co] then
      error('cannot close a coroutine that waits for the server', 2)
    end
    return close(co)
  end
end

-- Closes a coroutine, first those inside it that it waits for: to-be-closed variables get their turn.
local function close_with_inner(co)
  for inner, outer in pairs(resumed_by) do
    if outer == co then
      close_with_inner(inner)
    end
  end
  pcall(close, co)
end

core.close_with_inner = close_with_inner
