-- httpng.keys: which keys of a feed a client wants, for as long as it follows.

local host, core = ...

local settle, misused = core.settle, core.misused
local error, rawget, setmetatable, sub, tostring, type = error, rawget, setmetatable, string.sub, tostring, type

-- Private keys of an object: the host's number of it.
local NUMBER = {}

-- A wrong argument as the message names it.
local function named(value)
  local kind = type(value)
  if kind == 'string' then
    return '"' .. sub(value, 1, 40) .. '"'
  end
  return (kind == 'number' or kind == 'boolean') and tostring(value) or 'a ' .. kind
end

local KINDS = { string = true, number = true, boolean = true }

local function key_of(given)
  if given == nil then
    return nil
  elseif not KINDS[type(given)] then
    error('key must be a string, a number, a boolean or nil, not ' .. named(given), 0)
  elseif given ~= given then
    error('key is not a number', 0)
  end
  return given
end

core.named, core.key_of = named, key_of

local Keys = {}
Keys.__index = Keys
core.metatables.keys = Keys

local register = core.new_register(host.forget_keys)

local function number_of(keys)
  local number = type(keys) == 'table' and rawget(keys, NUMBER)
  if not number then
    misused('keys is invalid', keys)
  end
  return number
end

local function new_keys(list)
  -- Looked at first: a mistake makes nothing.
  for i = 1, #list do
    key_of(list[i])
  end
  local number = settle(host.keys())
  local keys = register(number, setmetatable({ [NUMBER] = number }, Keys))
  for i = 1, #list do
    settle(host.add_key(number, list[i]))
  end
  return keys
end

--- httpng.keys(list)
-- Keys that a client wants of a feed, for the option `keys` of `io:follow`. They may change while it follows, and several
-- clients may share them. `list` is a table of those that it begins with, and may be left out.
--
-- Returns: the keys.
-- Raises: something else than a table, or in it than keys.
function core.httpng.keys(list)
  if list ~= nil and type(list) ~= 'table' then
    error('keys must be a table of keys, not ' .. named(list), 0)
  end
  return new_keys(list or {})
end

--- keys:add(key)
-- Has a key be wanted from now on: who follows gets its latest value, and what is published of it.
--
-- Returns: nothing.
-- Raises: `keys is invalid`, a key of another type.
function Keys.add(keys, key)
  settle(host.add_key(number_of(keys), key_of(key)))
end

--- keys:discard(key)
-- Has a key be wanted no more: nothing more of it is sent, nor what was pending.
--
-- Returns: nothing.
-- Raises: `keys is invalid`, a key of another type.
function Keys.discard(keys, key)
  settle(host.discard_key(number_of(keys), key_of(key)))
end

--- keys:has(key)
-- Whether a key is wanted.
--
-- Returns: a boolean.
-- Raises: `keys is invalid`, a key of another type.
function Keys.has(keys, key)
  return host.has_key(number_of(keys), key_of(key))
end

-- What the host is to be told of the keys that io:follow was given. It looks at them at once.
function core.wanted_keys(given)
  if given == nil then
    return nil
  elseif type(given) ~= 'table' then
    error('keys must be a table of keys, or what httpng.keys returns, not ' .. named(given), 0)
  end
  local number = rawget(given, NUMBER)
  if number then
    return number
  end
  -- Such as can't change: clients with the same ones share their frames.
  return -rawget(new_keys(given), NUMBER)
end
