-- json.decode. Each function reads from a place in the text; it returns the value, and the place after it.

local _, core = ...

local json = core.json
local NULL, invalid_at = json.null, core.invalid_at
local byte, char, find, match, sub = string.byte, string.char, string.find, string.match, string.sub
local concat, floor, huge = table.concat, math.floor, math.huge
local error, setmetatable, tonumber, type = error, setmetatable, tonumber, type

local MAX_DEPTH = core.MAX_JSON_DEPTH

-- What an object is decoded to has this, so that an empty one is encoded as one again.
local OBJECT = { __serialize = 'map' }
core.metatables.object = OBJECT

local function refuse(what, at)
  error('json.decode: ' .. what .. ' at byte ' .. ('%d'):format(at), 0)
end

local function skip(source, at)
  return find(source, '[^ \t\r\n]', at) or #source + 1
end

-- Strings -------------------------------------------------------------------------------------------

local PLAIN = { ['"'] = '"', ['\\'] = '\\', ['/'] = '/', b = '\b', f = '\f', n = '\n', r = '\r', t = '\t' }

local function utf8_of(code)
  if code < 0x80 then
    return char(code)
  elseif code < 0x800 then
    return char(0xC0 + floor(code / 0x40), 0x80 + code % 0x40)
  elseif code < 0x10000 then
    return char(0xE0 + floor(code / 0x1000), 0x80 + floor(code / 0x40) % 0x40, 0x80 + code % 0x40)
  end
  local first, second = floor(code / 0x40000), floor(code / 0x1000) % 0x40
  return char(0xF0 + first, 0x80 + second, 0x80 + floor(code / 0x40) % 0x40, 0x80 + code % 0x40)
end

-- A \u at this place: a character of the first plane, or half of one, whose other half follows.
local function unicode(source, at)
  local code = tonumber(match(source, '^\\u(%x%x%x%x)', at) or refuse('wrong escape', at), 16)
  if code < 0xD800 or code > 0xDFFF then
    return utf8_of(code), at + 6
  end
  local low = tonumber(match(source, '^\\u([dD][c-fC-F]%x%x)', at + 6) or refuse('half a surrogate pair', at), 16)
  if code > 0xDBFF then
    refuse('half a surrogate pair', at)
  end
  return utf8_of(0x10000 + (code - 0xD800) * 0x400 + low - 0xDC00), at + 12
end

local function escape(source, at)
  local plain = PLAIN[sub(source, at + 1, at + 1)]
  if plain then
    return plain, at + 2
  end
  return unicode(source, at)
end

local function string_at(source, at)
  local pieces, count, from = nil, 0, at + 1
  while true do
    local stop = find(source, '[%z\1-\31"\\]', from) or refuse('unfinished string', at)
    local mark = byte(source, stop)
    if mark == 0x22 then
      local last = sub(source, from, stop - 1)
      return pieces and concat(pieces) .. last or last, stop + 1
    elseif mark ~= 0x5C then
      refuse('control character in a string', stop)
    end
    pieces = pieces or {}
    pieces[count + 1] = sub(source, from, stop - 1)
    pieces[count + 2], from = escape(source, stop)
    count = count + 2
  end
end

-- The rest ------------------------------------------------------------------------------------------

local value_at

local function number_at(source, at)
  local whole = match(source, '^-?0', at) or match(source, '^-?[1-9]%d*', at) or refuse('expected a value', at)
  local stop = at + #whole
  local fraction = match(source, '^%.%d+', stop) or ''
  local exponent = match(source, '^[eE][+-]?%d+', stop + #fraction) or ''
  local value = tonumber(whole .. fraction .. exponent)
  if value == huge or value == -huge then
    refuse('number out of range', at)
  end
  return value, stop + #fraction + #exponent
end

-- Steps over the comma to the next item, or over the end: tells which.
local function more(source, at, stop)
  at = skip(source, at)
  local mark = sub(source, at, at)
  if mark ~= ',' and mark ~= stop then
    refuse(("expected ',' or '%s'"):format(stop), at)
  end
  return mark == ',', at + 1
end

local function array_at(source, at, depth)
  local array, count, goes_on = {}, 0, true
  at = skip(source, at + 1)
  if sub(source, at, at) == ']' then
    return array, at + 1
  end
  while goes_on do
    count = count + 1
    array[count], at = value_at(source, at, depth)
    goes_on, at = more(source, at, ']')
  end
  return array, at
end

local function object_at(source, at, depth)
  local object, goes_on = setmetatable({}, OBJECT), true
  at = skip(source, at + 1)
  if sub(source, at, at) == '}' then
    return object, at + 1
  end
  while goes_on do
    local key
    at = skip(source, at)
    key, at = string_at(source, sub(source, at, at) == '"' and at or refuse('expected a key', at))
    at = skip(source, at)
    at = sub(source, at, at) == ':' and at + 1 or refuse("expected ':'", at)
    object[key], at = value_at(source, at, depth)
    goes_on, at = more(source, at, '}')
  end
  return object, at
end

local function nested(read)
  return function(source, at, depth)
    if depth >= MAX_DEPTH then
      refuse('nested more than ' .. MAX_DEPTH .. ' deep', at)
    end
    return read(source, at, depth + 1)
  end
end

local function word(expected, value)
  return function(source, at)
    if sub(source, at, at + #expected - 1) ~= expected then
      refuse('expected a value', at)
    end
    return value, at + #expected
  end
end

local READERS = {
  ['"'] = string_at,
  ['['] = nested(array_at),
  ['{'] = nested(object_at),
  t = word('true', true),
  f = word('false', false),
  n = word('null', NULL),
}

function value_at(source, at, depth)
  at = skip(source, at)
  return (READERS[sub(source, at, at)] or number_at)(source, at, depth)
end

--- json.decode(text)
-- The value that a JSON text (RFC 8259) is.
--
-- Returns: the value.
-- Raises: what is wrong, and where: `json.decode: expected ':' at byte 6`.
function json.decode(source)
  if type(source) ~= 'string' then
    error('json.decode needs a string, not ' .. type(source), 0)
  end
  local wrong = invalid_at(source)
  if wrong then
    refuse('not UTF-8', wrong)
  end
  local value, at = value_at(source, 1, 0)
  at = skip(source, at)
  if at <= #source then
    refuse('expected the end', at)
  end
  return value
end
