-- How fast a follow may go, and what is done if it lags: the options, and the calls that change and tell them.

local host, core = ...

local settle, named, key_of = core.settle, core.named, core.key_of
local IO, handle_of = core.IO, core.handle_of
local error, pairs, tostring, type = error, pairs, tostring, type
local unpack = table.unpack or unpack

local NAMES = { 'max_rate', 'max_bandwidth', 'priority' }
local KNOWN = { max_rate = true, max_bandwidth = true, priority = true }

-- A number, or what stands for none; a box.NULL is a nil here, and must not cross the boundary.
local function number_of(options, name, may_be_false)
  local given = options[name]
  if given == nil then
    return nil
  elseif may_be_false and given == false then
    return false
  elseif type(given) ~= 'number' then
    error(('%s must be a number, not %s'):format(name, named(given)), 0)
  end
  return given
end

-- The host's number of what keys go first.
local function priority_of(options, may_be_false)
  local given = options.priority
  if given == nil then
    return nil
  elseif may_be_false and given == false then
    return false
  elseif type(given) ~= 'table' then
    error('priority must be a table of keys and numbers, not ' .. named(given), 0)
  end
  for key, value in pairs(given) do
    key_of(key)
    if type(value) ~= 'number' then
      error(('the priority of %s must be an integer, not %s'):format(named(key), named(value)), 0)
    end
  end
  local number = settle(host.new_priority())
  for key, value in pairs(given) do
    settle(host.add_priority(number, key, value))
  end
  return number
end

-- What a follow is to be told of its limits.
function core.pace_of(options)
  local max_rate, max_bandwidth = number_of(options, 'max_rate'), number_of(options, 'max_bandwidth')
  return max_rate, max_bandwidth, priority_of(options)
end

local LAGS = { thinned = true, current = true }

local function marks_of(options)
  local marks = options.on_lag
  if marks == nil then
    return {}
  elseif type(marks) ~= 'table' then
    error('on_lag must be a table of strings, thinned and current, not ' .. named(marks), 0)
  end
  for name, mark in pairs(marks) do
    if not LAGS[name] then
      settle(host.refuse_option(tostring(name), 'thinned', 'current'))
    elseif type(mark) ~= 'string' then
      error(('on_lag.%s must be a string, not %s'):format(name, named(mark)), 0)
    end
  end
  return marks
end

local STEP_NAMES = { 'after', 'action', 'until', 'max_rate', 'keys', 'reason', 'mark', 'left' }
local STEP_TYPES = {
  after = 'number', action = 'string', ['until'] = 'number', max_rate = 'number', reason = 'string', mark = 'string', left = 'string',
}
local STEP_OPTIONS = { keys = true }
for name in pairs(STEP_TYPES) do
  STEP_OPTIONS[name] = true
end

local function add_step(step)
  if type(step) ~= 'table' then
    error('lag_policy must be a table of steps, which are tables, not ' .. named(step) .. ' in it', 0)
  end
  for name in pairs(step) do
    if not STEP_OPTIONS[name] then
      settle(host.refuse_option(tostring(name), unpack(STEP_NAMES)))
    end
  end
  local given = {}
  for name, kind in pairs(STEP_TYPES) do
    local value = step[name]
    if value ~= nil then
      if type(value) ~= kind then
        error(('%s of a step must be a %s, not %s'):format(name, kind, named(value)), 0)
      end
      given[name] = value
    end
  end
  local keys = core.wanted_keys(step.keys)
  local limit, rate = given['until'], given.max_rate
  settle(host.add_lag_step(given.after, given.action, limit, rate, keys, given.reason, given.mark, given.left))
end

-- Tells the host what a follow does about lag, if anything; returns whether it does.
function core.lag_of(options)
  local marks, limits, policy = marks_of(options), options.lag_limits, options.lag_policy
  if limits ~= nil and (type(limits) ~= 'table' or type(limits[1]) ~= 'number' or type(limits[2]) ~= 'number') then
    error('lag_limits must be a table of two numbers of seconds, not ' .. named(limits), 0)
  end
  if policy ~= nil and type(policy) ~= 'table' then
    error('lag_policy must be a table of steps, not ' .. named(policy), 0)
  end
  limits, policy = limits ~= nil and limits or {}, policy ~= nil and policy or {}
  if marks.thinned == nil and marks.current == nil and #policy == 0 then
    return false
  end
  host.new_lag(marks.thinned, marks.current, limits[1], limits[2])
  for i = 1, #policy do
    add_step(policy[i])
  end
  settle(host.check_lag())
  return true
end

local function changes_of(options)
  if type(options) ~= 'table' then
    error('options must be a table, not ' .. named(options), 0)
  end
  for name in pairs(options) do
    if not KNOWN[name] then
      settle(host.refuse_option(tostring(name), NAMES[1], NAMES[2], NAMES[3]))
    end
  end
  local max_rate = number_of(options, 'max_rate', true)
  local max_bandwidth = number_of(options, 'max_bandwidth', true)
  return max_rate, max_bandwidth, priority_of(options, true)
end

function core.set_follow_pace(handle, options)
  settle(host.set_follow_pace(handle, changes_of(options)))
end

function core.get_follow_stats(handle)
  local delivered, skipped, expired, pending, merged, max_rate, max_bandwidth, lag_step, dropped = host.follow_stats(handle)
  if delivered == nil then
    return nil
  end
  return {
    delivered = delivered,
    skipped = skipped,
    expired = expired,
    pending = pending,
    merged = merged,
    max_rate = max_rate,
    max_bandwidth = max_bandwidth,
    lag_step = lag_step,
    dropped = dropped,
  }
end

--- io:set_follow_pace(options)
-- Changes the limits of the follow that goes on in another fiber: `max_rate`, `max_bandwidth` and `priority`, as
-- [its options](#options-of-follow). `false` takes one away, and what isn't there stays as it is. If no follow goes on, nothing
-- happens.
--
-- Returns: nothing.
-- Raises: an unknown option or a wrong one; nothing changes then.
function IO.set_follow_pace(io, options)
  core.set_follow_pace(handle_of(io, options), options)
end

--- io:get_follow_stats()
-- What became of the payloads of the feed that is followed now, or was last.
--
-- Returns: a fresh table: `delivered`, `skipped`, `expired`, `pending`, `merged`, and as they are now, if they are limited,
-- `max_rate` and `max_bandwidth`; `lag_step`, the step of `lag_policy` that it has come to, 0: none, and `dropped`, the reasons
-- of those that have dropped keys, in lines, if any have; `nil` if none was followed yet.
function IO.get_follow_stats(io)
  return core.get_follow_stats(handle_of(io))
end
