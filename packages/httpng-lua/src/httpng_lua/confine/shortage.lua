-- LuaJIT's functions that corrupt the stack if memory runs out in them, where there is a limit of memory: those that are
-- written in assembler and make a string. They don't say where the stack ends, and there the error is put. Here the same
-- is done by those that are written in C, which do. Must run before the other files.

if not jit then
  return
end

local buffer = require 'string.buffer'
local char, format, gsub = string.char, string.format, string.gsub
local c_sub, c_tostring = string.sub, tostring
local select, tonumber, type = select, tonumber, type

local whole = buffer.new()
local set, skip, get = whole.set, whole.skip, whole.get

-- A place in a string of that length, counted from its end if it is negative.
local function place(at, length)
  return at < 0 and length + at + 1 or at
end

function string.sub(text, from, to)
  local first, last = tonumber(from), tonumber(to == nil and -1 or to)
  if type(text) == 'number' then
    text = format('%.14g', text)
  elseif type(text) ~= 'string' or not first or not last then
    return c_sub(text, from, to) -- which raises
  end
  first, last = place(first, #text), place(last, #text)
  first, last = first < 1 and 1 or first - first % 1, last > #text and #text or last - last % 1
  if first > last then
    return ''
  end
  set(whole, text)
  skip(whole, first - 1)
  return (get(whole, last - first + 1))
end

-- One argument is done in assembler, any other number of them in C.
function string.char(...)
  local code = ...
  if select('#', ...) == 1 and type(code) == 'number' and code >= 0 and code < 256 then
    return format('%c', code)
  end
  return char(...)
end

function _G.tostring(...)
  local value = ...
  if type(value) == 'number' then
    return format('%.14g', value)
  end
  return c_tostring(...)
end

-- What C calls knows where the stack ends.
for _, name in ipairs({ 'lower', 'reverse', 'upper' }) do
  local call = string[name]
  string[name] = function(text)
    if type(text) == 'string' then
      return (gsub(text, '^.*$', call))
    end
    return call(text)
  end
end
