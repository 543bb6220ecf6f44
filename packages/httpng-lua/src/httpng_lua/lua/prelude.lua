-- Fibers: every handler, every created fiber and the script itself is a coroutine that the host steps.
--
-- A call that has to wait yields HOST and the host's number of the wait.

local host, core = ...

-- What a call or a step brought; the host uses the same numbers.
local DONE, TURN, WAIT, FAILED = 0, 1, 2, 3

-- What a yield to the host begins with. Nobody else has it, so no user's yield looks like one.
local HOST = {}
-- What a coroutine yields when its fiber has ended and it is free for another one.
local FREE = {}

local create, resume, yield = coroutine.create, coroutine.resume, coroutine.yield
local status, close, isyieldable = coroutine.status, coroutine.close, coroutine.isyieldable -- no close in LuaJIT
local traceback, shown, placed = core.traceback or debug.traceback, core.shown, core.placed
local error, pairs, pcall, rawequal, type = error, pairs, pcall, rawequal, type
local getfenv, setfenv = getfenv, setfenv -- LuaJIT alone has them
local GLOBALS = getfenv and getfenv(0)

local CANCELLED = 'fiber is cancelled'
local CANT_WAIT = "can't wait inside a function that was called by a C function, such as table.sort"

local fibers = {} -- id -> fiber: a table with its id, its coroutine co, and the wait that it is in, or false
local fiber_of = {} -- coroutine -> fiber
local last_id = 0
-- Coroutines whose fibers have ended, for the next ones.
local free, free_count, MOST_FREE = {}, 0, 64
-- The host's fibers that have ended, with their coroutines, of which nobody ever knew: not even the id, so that is used
-- again. As many places as there can be, as there may be no memory when one is needed.
local unknown, unknown_count = {}, 0
for i = 1, MOST_FREE do
  unknown[i] = false
end
-- The fiber that runs; what the host calls outside of all fibers (on_gap) is in none.
local OUTSIDE = {}
local current = OUTSIDE

local function give_up(wait)
  if wait then
    host.give_up(wait)
    return nil, CANT_WAIT
  end
end

-- Ends a call that has to wait: what it brought, or nil and what to raise.
local function await(wait)
  -- Inside an iterator of the C library (table.sort, string.gsub) no coroutine can yield.
  if not isyieldable() then
    return give_up(wait)
  end
  local fiber = current
  if wait and fiber.cancelled then
    host.give_up(wait)
    yield(HOST) -- else one that catches this for ever would keep the server to itself
    return nil, CANCELLED
  end
  local result, failure = yield(HOST, wait)
  if fiber.interrupted then
    fiber.interrupted = nil
    return nil, CANCELLED
  end
  return result, failure
end

-- Ends a call as the host says: goes on, lets others run, waits, or raises.
function core.settle(code, value)
  if code == DONE then
    return value
  elseif code == FAILED then
    error(value, 0)
  elseif code == TURN then
    if isyieldable() then
      yield(HOST)
    end
    return value
  end
  local result, failure = await(value)
  if failure then
    error(failure, 0)
  end
  return result
end

-- Ends a call that may have to wait until there is something to be taken: what `take` brings then.
function core.settle_taken(take, handle, code, value, more)
  if code == WAIT then
    core.settle(code, value)
    code, value, more = take(handle)
  end
  if code ~= DONE then
    core.settle(code, value)
  end
  return value, more
end

-- Fibers --------------------------------------------------------------------------------------------

local function failure_of(fiber, value)
  return traceback(fiber.co, placed(fiber.co, shown(value), fiber.origin))
end

local function forget(fiber)
  fibers[fiber.id], fiber_of[fiber.co] = nil, nil
  if fiber.configures then
    host.end_cfg(false) -- it was stopped half-way
  end
end

-- That a fiber of the user's ends when it is cancelled is no failure. A handler's response isn't complete.
local function is_cancelled(fiber, value)
  return fiber.users and fiber.cancelled and type(value) == 'string' and value:sub(-#CANCELLED) == CANCELLED
end

local function failed(fiber, value)
  local failure = failure_of(fiber, value)
  if close then
    pcall(close, fiber.co)
  end
  if fiber.on_failed then
    fiber.on_failed()
  end
  if is_cancelled(fiber, value) then
    return DONE
  end
  local refusal = fiber.refusal
  if refusal and rawequal(refusal.told, value) then
    return FAILED, failure, value, refusal.status, refusal.fields
  end
  return FAILED, failure
end

-- The fiber that runs is about to raise `told`: what is wrong is the client's doing, and so to be answered, unless that
-- is caught.
function core.blame_client(told, status, fields)
  current.is_known = true
  current.refusal = { told = told, status = status, fields = fields }
end

-- What the function of a fiber returned, until its step tells: ours return three values at most.
local first, second, third

local function run(fn, ...)
  if fn == nil then
    return true
  end
  first, second, third = fn(...)
end

-- What a coroutine runs: one function after the other. Between two of them it holds nothing of theirs.
local function run_all()
  repeat
    local is_over = run(yield(FREE))
    -- The globals of a coroutine, which code that is loaded in it gets, would be those of the next function as well.
    if getfenv and not rawequal(getfenv(0), GLOBALS) then
      setfenv(0, GLOBALS)
    end
  until is_over
end

-- One that the script has seen isn't used again: it must find it dead.
local function release(fiber)
  if not fiber.is_known and unknown_count < MOST_FREE then
    fiber.origin = false
    unknown_count = unknown_count + 1
    unknown[unknown_count] = fiber
    return
  end
  forget(fiber)
  if not fiber.is_seen and free_count < MOST_FREE then
    free_count = free_count + 1
    free[free_count] = fiber.co
  else
    resume(fiber.co)
  end
end

local function stepped(fiber, before, ok, kind, wait)
  current = before
  if ok and rawequal(kind, FREE) then
    local one, two, three = first, second, third
    first, second, third = nil, nil, nil
    release(fiber)
    return DONE, one, two, three
  end
  if ok and rawequal(kind, HOST) then
    fiber.is_known = true
    if wait == nil then
      return TURN
    end
    fiber.wait = wait
    return WAIT, wait
  end
  forget(fiber)
  return failed(fiber, kind)
end

-- Makes a fiber of a function; `step` starts it. What the function returns crosses the boundary.
-- All that takes memory is done before it is entered: there may be none, and then nothing must be left.
local function new_fiber(fn, users, object, origin)
  last_id = last_id + 1
  local co = free[free_count]
  if co then
    free[free_count], free_count = nil, free_count - 1
  else
    co = create(run_all)
    local ok, failure = resume(co)
    if not ok then
      error(failure, 0)
    end
  end
  local fiber = {
    id = last_id, co = co, wait = false, before = false, fn = fn, users = users, object = object, origin = origin,
    is_known = users, is_seen = false,
  }
  fiber_of[co] = fiber
  fibers[last_id] = fiber
  return fiber
end

-- Runs a fiber of the host, that calls `fn` with the script's function `origin` and two values more, up to its first wait: its
-- id, and what that brought.
function core.start(fn, origin, one, two)
  local fiber, before = unknown[unknown_count], current
  if fiber then
    unknown[unknown_count], unknown_count = false, unknown_count - 1
    fiber.origin = origin
  else
    fiber = new_fiber(false, false, nil, origin)
  end
  fiber.before, current = before, fiber
  return fiber.id, stepped(fiber, before, resume(fiber.co, fn, origin, one, two))
end

-- A fiber of a user's function, whose values stay here: the host must not hold any but plain ones.
function core.users_fiber(fn, object)
  return new_fiber(function(...)
    fn(...)
  end, true, object, fn).id
end

-- Runs a fiber until it waits, ends or fails.
function core.step(id, ...)
  local fiber, before = fibers[id], current
  fiber.wait, fiber.before, current = false, before, fiber
  local fn = fiber.fn
  if fn then
    fiber.fn = false
    return stepped(fiber, before, resume(fiber.co, fn, ...))
  end
  return stepped(fiber, before, resume(fiber.co, ...))
end

-- Where memory is short Lua may raise after the coroutine of a fiber has died, and before anything is done about that:
-- then nobody would ever forget the fiber, or what it holds. Takes no memory.
function core.drop_dead()
  while current ~= OUTSIDE and status(current.co) == 'dead' do
    local dead = current
    current = dead.before
    forget(dead)
  end
end

-- Gives up a fiber that waits. It never runs again, so there is nothing that it could catch.
function core.kill(id)
  local fiber = fibers[id]
  if fiber == nil then
    return
  end
  forget(fiber)
  if fiber.wait then
    host.give_up(fiber.wait)
  end
  if close then
    core.close_with_inner(fiber.co)
  end
end

-- A fiber's next wait raises, or the one that it is in, unless that has just ended. So does every later one.
function core.cancel(fiber)
  fiber.cancelled = true
  if fiber.wait and host.wake(fiber.wait) then
    fiber.interrupted = true
  end
end

-- Raises if the fiber that runs is cancelled.
function core.test_cancel()
  if current.cancelled then
    error(CANCELLED, 0)
  end
end

-- The fiber that runs, or nil outside of all. Whoever asks may put something there, and keep its id.
function core.current()
  if current == OUTSIDE then
    return nil
  end
  current.is_known = true
  return current
end

function core.find(id)
  local fiber = fibers[id]
  if not fiber or not fiber.origin then
    return nil
  end
  fiber.is_known = true
  return fiber
end

function core.status(fiber)
  return status(fiber.co) == 'suspended' and 'suspended' or 'running'
end

function core.count()
  local count = -unknown_count
  for _ in pairs(fibers) do
    count = count + 1
  end
  return count
end

core.DONE, core.TURN, core.WAIT, core.FAILED = DONE, TURN, WAIT, FAILED
core.HOST, core.await, core.fiber_of = HOST, await, fiber_of
