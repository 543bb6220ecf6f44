-- require 'fiber'

local host, core = ...

local settle = core.settle
local TURN, DONE, FAILED = core.TURN, core.DONE, core.FAILED
local fiber = {}

function fiber.clock()
  return host.clock()
end

if host.time then
  function fiber.time()
    return host.time()
  end
end

function fiber.sleep(seconds)
  if type(seconds) ~= 'number' or seconds ~= seconds then
    error('fiber.sleep needs a number of seconds', 2)
  end
  if seconds <= 0 then
    settle(TURN) -- a moment that has passed: a ticker is late
  else
    settle(host.pause(seconds))
  end
end

function fiber.yield()
  settle(TURN)
end

-- Fibers --------------------------------------------------------------------------------------------

local Fiber = {}
Fiber.__index = Fiber

function Fiber:id()
  return self[1]
end

function Fiber:status()
  return core.status(self[1])
end

-- Runs a function beside its caller: at once, until it first waits.
function fiber.create(fn, ...)
  if type(fn) ~= 'function' then
    error('fiber.create needs a function', 2)
  end
  local id = core.users_fiber(fn)
  local code, value = core.step(id, ...)
  if code == FAILED then
    host.report(value)
  elseif code ~= DONE then
    host.adopt(id, code, value)
  end
  settle(host.spend()) -- else one that only creates fibers would keep the server to itself
  return setmetatable({ id }, Fiber)
end

-- Channels ------------------------------------------------------------------------------------------

local Channel = {}
Channel.__index = Channel

-- A line of values or of fibers that wait; what stands in it may be nil.
local function new_line()
  return { first = 1, last = 0 }
end

local function append(line, value)
  line.last = line.last + 1
  line[line.last] = value
end

local function take(line)
  local value = line[line.first]
  line[line.first] = nil
  line.first = line.first + 1
  return value
end

local function length(line)
  return line.last - line.first + 1
end

-- The first one in line that still waits: those whose time is up have not left it yet.
local function next_waiting(line)
  while length(line) > 0 do
    local waiting = take(line)
    if host.wake(waiting.wait) then
      waiting.served = true
      return waiting
    end
  end
end

local function drop(line, gone)
  local kept = new_line()
  for at = line.first, line.last do
    if line[at] ~= gone then
      append(kept, line[at])
    end
  end
  return kept
end

local function checked_timeout(timeout)
  if timeout == nil then
    return math.huge
  elseif type(timeout) ~= 'number' or timeout ~= timeout then
    error('timeout must be a number of seconds', 3)
  end
  return timeout
end

-- Waits in one of the channel's lines; tells whether the other side came.
local function line_up(channel, name, waiting, timeout)
  if timeout <= 0 then
    return false
  end
  local code, wait = host.pause(timeout)
  waiting.wait = wait
  append(channel[name], waiting)
  settle(code, wait)
  if not waiting.served then
    channel[name] = drop(channel[name], waiting)
  end
  return waiting.served
end

function fiber.channel(size)
  size = size or 0
  if type(size) ~= 'number' or size < 0 or size % 1 ~= 0 then
    error('the size of a channel is an integer, 0 or more', 2)
  end
  local channel = { size = size, values = new_line(), getters = new_line(), putters = new_line() }
  return setmetatable(channel, Channel)
end

-- True once a value is in the channel or was taken; false when the time is up or the channel closed.
function Channel:put(value, timeout)
  timeout = checked_timeout(timeout)
  if self.closed then
    return false
  end
  local getter = next_waiting(self.getters)
  if getter then
    getter.value = value
    return true
  elseif not self:is_full() then
    append(self.values, value)
    return true
  end
  return line_up(self, 'putters', { value = value, served = false }, timeout)
end

-- The next value; nil when the time is up or the channel closed.
function Channel:get(timeout)
  timeout = checked_timeout(timeout)
  if self.closed then
    return nil
  end
  if length(self.values) > 0 then
    local value = take(self.values)
    local putter = next_waiting(self.putters)
    if putter then
      append(self.values, putter.value)
    end
    return value
  end
  local putter = next_waiting(self.putters)
  if putter then
    return putter.value
  end
  local waiting = { served = false }
  line_up(self, 'getters', waiting, timeout)
  return waiting.value
end

-- What is in the channel is dropped; all that wait go on, empty-handed.
function Channel:close()
  self.closed = true
  self.values = new_line()
  for _, line in ipairs({ self.getters, self.putters }) do
    while length(line) > 0 do
      host.wake(take(line).wait)
    end
  end
end

function Channel:is_closed()
  return self.closed == true
end

function Channel:count()
  return length(self.values)
end

function Channel:is_empty()
  return length(self.values) == 0
end

function Channel:is_full()
  return length(self.values) >= self.size
end

package.preload.fiber = function()
  return fiber
end
