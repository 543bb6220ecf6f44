-- require 'fiber': clocks, sleeping, and fibers to create, name and cancel.

local host, core = ...

local settle, misused = core.settle, core.misused
local TURN, DONE, FAILED = core.TURN, core.DONE, core.FAILED
local unpack = table.unpack or unpack
local error, rawget, select, setmetatable, type = error, rawget, select, setmetatable, type

local fiber = {}
core.fiber = fiber

--- fiber.clock()
-- The server's monotonic clock.
--
-- Returns: seconds.
function fiber.clock()
  return host.clock()
end

--- fiber.time()
-- Seconds since 1970. `nil` instead of a function where the host gave no such clock.
--
-- Returns: seconds.
if host.time then
  function fiber.time()
    return host.time()
  end
end

--- fiber.yield()
-- Lets others run once.
--
-- Returns: nothing.
-- Raises: `fiber is cancelled`.
-- Waits: for one turn.
function fiber.yield()
  settle(TURN)
  core.test_cancel()
end

--- fiber.sleep(seconds)
-- Others run meanwhile; 0 or less: for one turn.
--
-- Returns: nothing.
-- Raises: `fiber is cancelled`; for what is no number of seconds.
-- Waits: so long.
function fiber.sleep(seconds)
  if type(seconds) ~= 'number' or seconds ~= seconds then
    error('fiber.sleep needs a number of seconds', 2)
  end
  if seconds <= 0 then
    fiber.yield() -- a moment that has passed: a ticker is late
  else
    settle(host.pause(seconds))
  end
end

-- Fiber objects -------------------------------------------------------------------------------------

-- Private key of an object: the id of the fiber. What we keep of that, no script gets at.
local ID = {}

local Fiber = {}
Fiber.__index = Fiber
core.metatables.fiber = Fiber

-- The object of a fiber: always the same one, made when it is asked for.
local function object_of(one)
  one.object = one.object or setmetatable({ [ID] = one.id }, Fiber)
  return one.object
end

local function id_of(object)
  local id = type(object) == 'table' and rawget(object, ID)
  if not id then
    misused('fiber is invalid', object)
  end
  return id
end

local function living(object)
  return core.find(id_of(object)) or error('the fiber is dead', 0)
end

--- f:id()
-- A number that no other fiber of the script ever has.
--
-- Returns: an integer.
function Fiber:id()
  return id_of(self)
end

--- f:status()
-- How it is with the fiber.
--
-- Returns: `'running'`, `'suspended'` or `'dead'`.
function Fiber:status()
  local one = core.find(id_of(self))
  return one and core.status(one) or 'dead'
end

--- f:name(name)
-- The fiber's name, `'lua'` if it was given none; with an argument, gives it that one.
--
-- Returns: the name; nothing if one is given.
-- Raises: `the fiber is dead`.
function Fiber:name(name)
  local one = living(self)
  if name == nil then
    return one.name or 'lua'
  elseif type(name) ~= 'string' then
    error('name of a fiber must be a string, not ' .. type(name), 0)
  end
  one.name = name
end

--- f:cancel()
-- [Cancels](#cancelling) the fiber.
--
-- Returns: nothing, at once.
-- Raises: `the fiber is dead`.
function Fiber:cancel()
  core.cancel(living(self))
end

-- What runs ------------------------------------------------------------------------------------------

--- fiber.self()
-- The fiber that runs, also inside coroutines of your own.
--
-- Returns: its object, always the same one.
-- Raises: where no fiber runs (in an `on_gap`).
function fiber.self()
  local one = core.current()
  if not one then
    error('no fiber runs here', 0)
  end
  return object_of(one)
end

--- fiber.name(name)
-- `fiber.self():name(name)`.
--
-- Returns: the name; nothing if one is given.
function fiber.name(name)
  return fiber.self():name(name)
end

--- fiber.cancel(f)
-- `f:cancel()`; `f` may be an id as well.
--
-- Returns: nothing, at once.
-- Raises: `the fiber is dead`.
function fiber.cancel(one)
  if type(one) == 'number' then
    core.cancel(core.find(one) or error('the fiber is dead', 0))
  elseif type(one) ~= 'table' then
    error('fiber is invalid', 0)
  else
    core.cancel(living(one))
  end
end

--- fiber.testcancel()
-- Tells a fiber that need not wait whether it is cancelled.
--
-- Returns: nothing.
-- Raises: `fiber is cancelled`, if the fiber that runs is.
function fiber.testcancel()
  core.test_cancel()
end

-- Others ---------------------------------------------------------------------------------------------

local function checked_function(fn, name)
  if type(fn) ~= 'function' then
    error(name .. ' needs a function', 3)
  end
  return fn
end

--- fiber.create(fn, ...)
-- Runs `fn(...)` beside its caller: at once until it first waits. An error in it is logged.
--
-- Returns: its fiber.
-- Raises: `fiber.create needs a function`.
function fiber.create(fn, ...)
  local object = setmetatable({ [ID] = 0 }, Fiber)
  local id = core.users_fiber(checked_function(fn, 'fiber.create'), object)
  object[ID] = id
  host.begin_users()
  local code, value = core.step(id, ...)
  host.end_users()
  if code == FAILED then
    host.report(value)
  elseif code ~= DONE then
    host.adopt(id, code, value)
  end
  settle(host.spend()) -- else one that only creates fibers would keep the server to itself
  return object
end

--- fiber.new(fn, ...)
-- Runs `fn(...)` beside its caller, from when that waits. An error in it is logged.
--
-- Returns: its fiber.
-- Raises: `fiber.new needs a function`.
function fiber.new(fn, ...)
  checked_function(fn, 'fiber.new')
  local given, count = { ... }, select('#', ...)
  local object = setmetatable({ [ID] = 0 }, Fiber)
  local id = core.users_fiber(function()
    fn(unpack(given, 1, count))
  end, object)
  object[ID] = id
  host.adopt(id, TURN)
  settle(host.spend())
  return object
end

package.preload.fiber = function()
  return fiber
end
