-- Fibers that wait for each other: fiber.channel and fiber.cond.

local host, core = ...

local fiber, await, misused = core.fiber, core.await, core.misused
local error, getmetatable, select = error, debug.getmetatable, select
local setmetatable, type = setmetatable, type
local huge = math.huge

-- Waiting in line -----------------------------------------------------------------------------------

-- A line of those that wait, as a ring: who leaves it must not cost the more the longer it is.
local function new_ring()
  local ring = {}
  ring.after, ring.before = ring, ring
  return ring
end

local function enter(ring, waiting)
  local last = ring.before
  waiting.before, waiting.after = last, ring
  last.after, ring.before = waiting, waiting
end

local function leave(waiting)
  if waiting.after then
    waiting.before.after, waiting.after.before = waiting.after, waiting.before
    waiting.before, waiting.after = nil, nil
  end
end

-- Wakes the first one in line that still waits: one whose time is up, or that was cancelled, may not have left
-- it yet. Nil if there is none.
local function wake_next(ring)
  while ring.after ~= ring do
    local waiting = ring.after
    leave(waiting)
    if host.wake(waiting.wait) then
      waiting.served = true
      return waiting
    end
  end
end

-- Waits in line; tells whether it was served. Raises if the fiber is cancelled.
local function wait_in(ring, waiting, timeout)
  if timeout <= 0 then
    return false
  end
  waiting.wait, waiting.served = false, false
  enter(ring, waiting) -- first, as it takes memory, of which there may be none
  waiting.wait = select(2, host.pause(timeout))
  local _, failure = await(waiting.wait)
  leave(waiting)
  if failure then
    error(failure, 0)
  end
  return waiting.served
end

local function checked_timeout(timeout)
  if timeout == nil then
    return huge
  elseif type(timeout) ~= 'number' or timeout ~= timeout then
    error('timeout must be a number of seconds', 3)
  end
  return timeout
end

-- Channels ------------------------------------------------------------------------------------------

local Channel = {}
Channel.__index = Channel
core.metatables.channel = Channel

local function checked(channel)
  if getmetatable(channel) ~= Channel then
    misused('channel is invalid', channel)
  end
  return channel
end

--- fiber.channel(size)
-- A [queue between fibers](#channels), which holds `size` values; 0 if not given: then `put` waits until another fiber
-- takes the value.
--
-- Returns: the channel.
-- Raises: a size that is no integer, 0 or more.
function fiber.channel(size)
  if size == nil then
    size = 0
  end
  if type(size) ~= 'number' or size < 0 or size % 1 ~= 0 then
    error('the size of a channel is an integer, 0 or more', 2)
  end
  local channel = { capacity = size, values = {}, first = 1, last = 0 }
  channel.getters, channel.putters = new_ring(), new_ring()
  return setmetatable(channel, Channel)
end

-- Values stand in a queue of their own, as they may be nil.
local function append(channel, value)
  channel.last = channel.last + 1
  channel.values[channel.last] = value
end

local function take(channel)
  local value = channel.values[channel.first]
  channel.values[channel.first] = nil
  channel.first = channel.first + 1
  return value
end

--- ch:put(value, timeout)
-- Puts a value, which may be `nil` or `false` too.
--
-- Returns: `true` once it is in the channel or was taken; `false` when the time is up or the channel is closed.
-- Raises: `channel is invalid`; `fiber is cancelled`.
-- Waits: for room, or for who takes it, `timeout` seconds at most; for ever without one.
function Channel:put(value, timeout)
  checked(self)
  timeout = checked_timeout(timeout)
  if self.closed then
    return false
  end
  local getter = wake_next(self.getters)
  if getter then
    getter.value = value
    return true
  elseif not self:is_full() then
    append(self, value)
    return true
  end
  return wait_in(self.putters, { value = value }, timeout)
end

--- ch:get(timeout)
-- Takes the next value.
--
-- Returns: the value; `nil` when the time is up or the channel is closed.
-- Raises: `channel is invalid`; `fiber is cancelled`.
-- Waits: for a value, `timeout` seconds at most; for ever without one.
function Channel:get(timeout)
  checked(self)
  timeout = checked_timeout(timeout)
  if self.closed then
    return nil
  end
  local putter = wake_next(self.putters)
  if not self:is_empty() then
    local value = take(self)
    if putter then
      append(self, putter.value)
    end
    return value
  elseif putter then
    return putter.value
  end
  local waiting = {}
  wait_in(self.getters, waiting, timeout)
  return waiting.value
end

local function dismiss(ring)
  local waiting = wake_next(ring)
  while waiting do
    waiting.served = false
    waiting = wake_next(ring)
  end
end

--- ch:close()
-- Drops what is in it; all that wait go on, empty-handed.
--
-- Returns: nothing.
function Channel:close()
  checked(self).closed = true
  self.values, self.first, self.last = {}, 1, 0
  dismiss(self.getters)
  dismiss(self.putters)
end

--- ch:is_closed(), ch:is_empty(), ch:is_full()
-- How it is with the channel. One of size 0 is always both empty and full.
--
-- Returns: a boolean.
function Channel:is_closed()
  return checked(self).closed == true
end

--- ch:count(), ch:size()
-- How many values it holds, and may hold.
--
-- Returns: an integer.
function Channel:size()
  return checked(self).capacity
end

function Channel:count()
  return checked(self).last - self.first + 1
end

function Channel:is_empty()
  return Channel.count(self) == 0
end

function Channel:is_full()
  return Channel.count(self) >= self.capacity
end

-- Conditions ----------------------------------------------------------------------------------------

local Cond = {}
Cond.__index = Cond
core.metatables.cond = Cond

local function ring_of(cond)
  if getmetatable(cond) ~= Cond then
    misused('cond is invalid', cond)
  end
  return cond.waiting
end

--- fiber.cond()
-- A [condition](#conditions) that fibers wait for.
--
-- Returns: the condition.
function fiber.cond()
  return setmetatable({ waiting = new_ring() }, Cond)
end

--- cond:wait(timeout)
-- Waits until the condition is signalled.
--
-- Returns: `true`; `false` when the time is up.
-- Raises: `cond is invalid`; `fiber is cancelled`.
-- Waits: for that, `timeout` seconds at most; for ever without one.
function Cond:wait(timeout)
  return wait_in(ring_of(self), {}, checked_timeout(timeout))
end

--- cond:signal()
-- Wakes the fiber that has waited longest. Nothing is kept if none waits.
--
-- Returns: nothing.
function Cond:signal()
  wake_next(ring_of(self))
end

--- cond:broadcast()
-- Wakes all that wait.
--
-- Returns: nothing.
function Cond:broadcast()
  local ring = ring_of(self)
  while wake_next(ring) do end
end
