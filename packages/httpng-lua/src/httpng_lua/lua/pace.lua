-- How fast a follow may go: the options max_rate, max_bandwidth and priority, and the calls that change and tell them.

local host, core = ...

local settle, named, key_of = core.settle, core.named, core.key_of
local IO, handle_of = core.IO, core.handle_of
local error, pairs, tostring, type = error, pairs, tostring, type

local NAMES = { 'max_rate', 'max_bandwidth', 'priority' }
local KNOWN = { max_rate = true, max_bandwidth = true, priority = true }

-- A number, or what stands for none; a box.NULL is a nil here, and must not cross the border.
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

-- What a follow is to tell of its lag, and from how many seconds on.
function core.lag_of(options)
  local marks, limits = options.on_lag, options.lag_limits
  if marks ~= nil then
    if type(marks) ~= 'table' then
      error('on_lag must be a table of strings, thinned and current, not ' .. named(marks), 0)
    end
    for name, mark in pairs(marks) do
      if not LAGS[name] then
        settle(host.refuse_option(tostring(name), 'thinned', 'current'))
      elseif type(mark) ~= 'string' then
        error(('on_lag.%s must be a string, not %s'):format(name, named(mark)), 0)
      end
    end
  end
  if limits ~= nil and (type(limits) ~= 'table' or type(limits[1]) ~= 'number' or type(limits[2]) ~= 'number') then
    error('lag_limits must be a table of two numbers of seconds, not ' .. named(limits), 0)
  end
  marks, limits = marks ~= nil and marks or {}, limits ~= nil and limits or {}
  return marks.thinned, marks.current, limits[1], limits[2]
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
  local delivered, skipped, expired, pending, merged, max_rate, max_bandwidth = host.follow_stats(handle)
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
-- `max_rate` and `max_bandwidth`; `nil` if none was followed yet.
function IO.get_follow_stats(io)
  return core.get_follow_stats(handle_of(io))
end
