-- Fibers: every handler, every created fiber and the script itself is a coroutine that the host steps.
--
-- A call that has to wait yields HOST and the host's number of the wait. A user's own coroutines hand
-- that up to whoever resumed them, down to the fiber, so that calls may wait from inside any of them.

local host, core = ...

-- What a call or a step brought; the host uses the same numbers.
local DONE, TURN, WAIT, FAILED = 0, 1, 2, 3

-- What a yield to the host begins with. Nobody else has it, so no user's yield looks like one.
local HOST = {}

local create, resume, yield = coroutine.create, coroutine.resume, coroutine.yield
local running, status, close = coroutine.running, coroutine.status, coroutine.close -- no close in LuaJIT
local isyieldable = coroutine.isyieldable
local traceback, format, floor = debug.traceback, string.format, math.floor
local concat, sort, rawequal, type, tostring = table.concat, table.sort, rawequal, type, tostring
local select, pairs, pcall, error = select, pairs, pcall, error

local fibers = {} -- id -> coroutine
local ids = {} -- coroutine -> id
local last_id = 0
-- A user's coroutine that waits for the host -> the coroutine that resumed it.
local resumed_by = setmetatable({}, { __mode = 'kv' })

-- Inside an iterator of the C library (table.sort, string.gsub) no coroutine can yield.
local function await(wait)
  if isyieldable() then
    return yield(HOST, wait)
  end
  return nil, host.give_up(wait)
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

-- Coroutines of users -------------------------------------------------------------------------------

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
  if resumed_by[co] or ids[co] then
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

function coroutine.yield(...)
  if ids[running()] then
    error('attempt to yield from outside a coroutine', 2)
  end
  return yield(...)
end

if close then
  function coroutine.close(co)
    if resumed_by[co] or ids[co] then
      error('cannot close a coroutine that waits for the server', 2)
    end
    return close(co)
  end
end

-- Errors --------------------------------------------------------------------------------------------

local function plain(value)
  return type(value) == 'string' and format('%q', value) or tostring(value)
end

local function fields(value)
  local shown = {}
  for key, field in pairs(value) do
    shown[#shown + 1] = tostring(key) .. '=' .. plain(field)
  end
  sort(shown)
  return '{' .. concat(shown, ', ') .. '}'
end

-- An error is any value in Lua: a table without __tostring is shown with its fields.
local function described(value)
  if type(value) ~= 'table' then
    return tostring(value)
  end
  local metatable = getmetatable(value)
  if type(metatable) == 'table' and metatable.__tostring then
    return tostring(value)
  end
  return fields(value)
end

local function shown(value)
  local ok, message = pcall(described, value)
  return ok and message or 'an error that can not be shown: ' .. tostring(message)
end

local function failure_of(co, value)
  return traceback(co, shown(value))
end

core.shown = shown

-- Fibers --------------------------------------------------------------------------------------------

-- Closes a coroutine, first those inside it that it waits for: to-be-closed variables get their turn.
local function close_with_inner(co)
  for inner, outer in pairs(resumed_by) do
    if outer == co then
      close_with_inner(inner)
    end
  end
  pcall(close, co)
end

local function forget(id, co)
  fibers[id], ids[co] = nil, nil
end

local function stepped(id, co, ok, first, ...)
  if ok and rawequal(first, HOST) then
    local wait = ...
    if wait == nil then
      return TURN
    end
    return WAIT, wait
  end
  forget(id, co)
  if ok then
    return DONE, first, ...
  end
  local failure = failure_of(co, first)
  if close then
    pcall(close, co)
  end
  return FAILED, failure
end

-- Makes a fiber of a function; `step` starts it. What the function returns crosses the border.
function core.fiber(fn)
  last_id = last_id + 1
  local co = create(fn)
  fibers[last_id], ids[co] = co, last_id
  return last_id
end

-- A fiber of a user's function, whose values stay here: the host must not hold any but plain ones.
function core.users_fiber(fn)
  return core.fiber(function(...)
    fn(...)
  end)
end

-- Runs a fiber until it waits, ends or fails.
function core.step(id, ...)
  local co = fibers[id]
  return stepped(id, co, resume(co, ...))
end

-- Gives up a fiber that waits.
function core.kill(id)
  local co = fibers[id]
  if co == nil then
    return
  end
  forget(id, co)
  if close then
    close_with_inner(co)
  end
end

function core.status(id)
  local co = fibers[id]
  if co == nil then
    return 'dead'
  end
  return status(co) == 'suspended' and 'suspended' or 'running'
end

function core.count()
  local count = 0
  for _ in pairs(fibers) do
    count = count + 1
  end
  return count
end

-- Numbers -------------------------------------------------------------------------------------------

-- A string or a number as text, whole numbers the same way on all runtimes; nil for anything else.
function core.text(value)
  if type(value) == 'string' then
    return value
  elseif type(value) ~= 'number' then
    return nil
  elseif value == floor(value) and value > -2 ^ 53 and value < 2 ^ 53 then
    return format('%d', value)
  end
  return tostring(value)
end

core.DONE, core.TURN, core.WAIT, core.FAILED = DONE, TURN, WAIT, FAILED
