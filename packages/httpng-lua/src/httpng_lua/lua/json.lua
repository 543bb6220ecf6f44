-- require 'json' (RFC 8259), and box.NULL. Strings are UTF-8, and stay the bytes that they are.

local _, core = ...

local text = core.text
local byte, find, format, gsub = string.byte, string.find, string.format, string.gsub
local concat, floor, huge, type_of = table.concat, math.floor, math.huge, math.type -- no type in LuaJIT
local error, getmetatable, ipairs, pairs, rawequal = error, debug.getmetatable, ipairs, pairs, rawequal
local setmetatable, tonumber, tostring, type = setmetatable, tonumber, tostring, type

local MAX_DEPTH = 128
-- How sparse an array may be: so many places for each value, or so many in all.
local SPARSE, SAFE = 2, 10

-- LuaJIT has a value that equals nil and isn't. Lua 5.4 has not: there json.null is one of its own.
local NULL
if jit then
  NULL = require('ffi').cast('void *', 0)
  box = { NULL = NULL }
else
  NULL = setmetatable({}, { __metatable = false, __tostring = function() return 'null' end })
  box = {}
end

--- json.null, json.NULL
-- What `null` is decoded to, and encoded from, as `nil` is. `x == json.null` works on both Luas.
local json = { null = NULL, NULL = NULL } -- the second name is that of the original

-- UTF-8 ---------------------------------------------------------------------------------------------

-- What a character of more than one byte looks like (RFC 3629, 4).
local SEQUENCES = {
  '[\194-\223][\128-\191]',
  '\224[\160-\191][\128-\191]',
  '[\225-\236\238\239][\128-\191][\128-\191]',
  '\237[\128-\159][\128-\191]',
  '\240[\144-\191][\128-\191][\128-\191]',
  '[\241-\243][\128-\191][\128-\191][\128-\191]',
  '\244[\128-\143][\128-\191][\128-\191]',
}
local SAME_LENGTH = { 'xx', 'xxx', 'xxx', 'xxx', 'xxxx', 'xxxx', 'xxxx' }

-- The first byte of a string that is in no character; nil if it is UTF-8.
local function invalid_at(value)
  if find(value, '[\128-\255]') then
    for at, sequence in ipairs(SEQUENCES) do
      value = gsub(value, sequence, SAME_LENGTH[at])
    end
    return find(value, '[\128-\255]')
  end
end

-- Encoding ------------------------------------------------------------------------------------------

local function where(out)
  local shown = { '' }
  for depth = 1, out.depth do
    local key = out.path[depth]
    shown[depth + 1] = type(key) == 'number' and '[' .. text(key) .. ']' or '.' .. tostring(key)
  end
  return #shown == 1 and '' or ' in ' .. concat(shown)
end

local function refuse(out, what)
  error('json.encode: ' .. what .. where(out), 0)
end

local ESCAPES = { ['"'] = '\\"', ['\\'] = '\\\\', ['\n'] = '\\n', ['\r'] = '\\r', ['\t'] = '\\t' }

local function escaped(found)
  return ESCAPES[found] or format('\\u%04x', byte(found))
end

local function quoted(out, value)
  local wrong = invalid_at(value)
  if wrong then
    refuse(out, 'a string is not UTF-8 at byte ' .. wrong)
  end
  return '"' .. gsub(value, '[%z\1-\31"\\]', escaped) .. '"'
end

-- The shortest text that reads as the same number.
local function number(out, value)
  if value ~= value or value == huge or value == -huge then
    refuse(out, 'a number is not finite')
  elseif type_of and type_of(value) == 'integer' or value == floor(value) and value > -2 ^ 53 and value < 2 ^ 53 then
    return format('%d', value)
  end
  for digits = 15, 16 do
    local shown = format('%.' .. digits .. 'g', value)
    if tonumber(shown) == value then
      return shown
    end
  end
  return format('%.17g', value)
end

local put

local function enter(out, key)
  out.depth = out.depth + 1
  out.path[out.depth] = key
end

local function leave(out)
  out.depth = out.depth - 1
end

local function append(out, piece)
  out.count = out.count + 1
  out[out.count] = piece
end

local function put_array(out, value, length)
  append(out, '[')
  for at = 1, length do
    if at > 1 then
      append(out, ',')
    end
    enter(out, at)
    put(out, value[at])
    leave(out)
  end
  append(out, ']')
end

local function put_map(out, value)
  local mark = '{'
  for key, item in pairs(value) do
    local name = text(key)
    if name == nil then
      refuse(out, 'a key is a ' .. type(key))
    end
    append(out, mark)
    enter(out, key)
    append(out, quoted(out, name) .. ':')
    put(out, item)
    leave(out)
    mark = ','
  end
  append(out, mark == '{' and '{}' or '}')
end

-- How long the array is that the keys of a table make; nil if they make none.
local function length_of(out, value)
  local last, count = 0, 0
  for key in pairs(value) do
    if type(key) ~= 'number' or key < 1 or key ~= floor(key) then
      return nil
    end
    last, count = key > last and key or last, count + 1
  end
  if last > SAFE and last > SPARSE * count then
    refuse(out, 'an array is too sparse')
  end
  return last
end

local MAP = { map = true, mapping = true }
local ARRAY = { array = true, seq = true, sequence = true }

local function put_table(out, value)
  if out.depth >= MAX_DEPTH then
    refuse({ depth = 0 }, 'nested more than ' .. MAX_DEPTH .. ' deep')
  end
  local metatable = getmetatable(value)
  local hint = type(metatable) == 'table' and metatable.__serialize
  if type(hint) == 'function' then
    enter(out, '__serialize')
    put(out, hint(value))
    return leave(out)
  end
  local length = not MAP[hint] and length_of(out, value)
  if length then
    return put_array(out, value, length)
  elseif ARRAY[hint] then
    refuse(out, 'an array has other keys')
  end
  put_map(out, value)
end

function put(out, value)
  local kind = type(value)
  if value == nil or rawequal(value, NULL) then
    append(out, 'null')
  elseif kind == 'table' then
    put_table(out, value)
  elseif kind == 'string' then
    append(out, quoted(out, value))
  elseif kind == 'number' then
    append(out, number(out, value))
  elseif kind == 'boolean' then
    append(out, tostring(value))
  else
    refuse(out, "can't encode a " .. kind)
  end
end

--- json.encode(value)
-- A value as JSON, by [these rules](#json-and-tables).
--
-- Returns: a string.
-- Raises: what it can't encode, and where: `json.encode: can't encode a function in .users[2].name`.
function json.encode(value)
  local out = { count = 0, depth = 0, path = {} }
  put(out, value)
  return concat(out, '', 1, out.count)
end

core.json, core.invalid_at, core.MAX_JSON_DEPTH = json, invalid_at, MAX_DEPTH

package.preload.json = function()
  return json
end
