-- require 'fiber': clocks, sleeping, and fibers to create, name and cancel.

local host, core = ...

local settle = core.settle
local TURN, DONE, FAILED = core.TURN, core.DONE, core.FAILED
local unpack = table.unpack or unpack
local error, rawget, select, setmetatable, type = error, rawget, select, setmetatable, type

local fiber = {}
core.fiber = fiber

function fiber.clock()
  return host.clock()
end

if host.time then
  function fiber.time()
    return host.time()
  end
end

-- Lets others run; a fiber that is cancelled doesn't go on.
function fiber.yield()
  settle(TURN)
  core.test_cancel()
end

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

-- Key of ours in an object: the id of the fiber. What we keep of that, no script gets at.
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
    error('fiber is invalid', 0)
  end
  return id
end

local function living(object)
  return core.find(id_of(object)) or error('the fiber is dead', 0)
end

function Fiber:id()
  return id_of(self)
end

function Fiber:status()
  local one = core.find(id_of(self))
  return one and core.status(one) or 'dead'
end

-- Its name; with an argument, gives it that.
function Fiber:name(name)
  local one = living(self)
  if name == nil then
    return one.name or 'lua'
  elseif type(name) ~= 'string' then
    error('name of a fiber must be a string, not ' .. type(name), 0)
  end
  one.name = name
end

function Fiber:cancel()
  core.cancel(living(self))
end

-- What runs ------------------------------------------------------------------------------------------

function fiber.self()
  local one = core.current()
  if not one then
    error('no fiber runs here', 0)
  end
  return object_of(one)
end

function fiber.name(name)
  return fiber.self():name(name)
end

-- Cancels a fiber by its object, or by its id.
function fiber.cancel(one)
  if type(one) == 'number' then
    core.cancel(core.find(one) or error('the fiber is dead', 0))
  else
    core.cancel(living(one))
  end
end

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

-- Runs a function beside its caller: at once, until it first waits.
function fiber.create(fn, ...)
  local object = setmetatable({ [ID] = 0 }, Fiber)
  local id = core.users_fiber(checked_function(fn, 'fiber.create'), object)
  object[ID] = id
  local code, value = core.step(id, ...)
  if code == FAILED then
    host.report(value)
  elseif code ~= DONE then
    host.adopt(id, code, value)
  end
  settle(host.spend()) -- else one that only creates fibers would keep the server to itself
  return object
end

-- The same, but it begins when its caller waits.
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
