-- Values as text: errors and where they were made, and numbers.

local _, core = ...

local format, floor = string.format, math.floor
local find, match, sub = string.find, string.match, string.sub
local concat, sort, type, tostring = table.concat, table.sort, type, tostring
local error, getmetatable, next, pcall = error, getmetatable, next, pcall
local getinfo = debug.getinfo
local integer = math.type or type -- no math.type in LuaJIT

local function plain(value)
  return type(value) == 'string' and format('%q', value) or tostring(value)
end

local function fields(value)
  local shown = {}
  for key, field in next, value do -- whatever its __pairs says
    shown[#shown + 1] = tostring(key) .. '=' .. plain(field)
  end
  sort(shown)
  return '{' .. concat(shown, ', ') .. '}'
end

-- An error is any value in Lua: a table without __tostring is shown with its fields.
local function described(value)
  if type(value) ~= 'table' then
    return tostring(value)
  end
  local metatable = getmetatable(value)
  if type(metatable) == 'table' and metatable.__tostring then
    return tostring(value)
  end
  return fields(value)
end

local function shown(value)
  local ok, message = pcall(described, value)
  if ok and type(message) == 'string' then
    return message
  end
  return 'an error that can not be shown: ' .. (type(message) == 'string' and message or type(message))
end

core.shown = shown

-- The metatables of our objects: scripts in the sandbox don't get at them.
core.metatables = {}

-- Where the script is in a coroutine that has failed in one of our functions; nil if it failed in the script's own.
local function position(co)
  local level, is_ours, info = 0, false, getinfo(co, 0, 'Sl')
  while info do
    if sub(info.source, 1, 8) == '=httpng/' then
      is_ours = true
    elseif info.what ~= 'C' then
      return is_ours and info.short_src .. ':' .. info.currentline .. ':' or nil
    end
    level = level + 1
    info = getinfo(co, level, 'Sl')
  end
  return is_ours
end

-- What tail-called our function has left no trace: then it is where it was defined.
local function definition(fn)
  local info = fn and getinfo(fn, 'S')
  local is_theirs = info and info.linedefined > 0 and sub(info.source, 1, 8) ~= '=httpng/'
  return is_theirs and info.short_src .. ':' .. info.linedefined .. ':' or nil
end

local function placed(co, message, origin)
  local place = position(co)
  if place == true then
    place = definition(origin)
  end
  if not place or find(message, place, 1, true) == 1 then
    return message
  end
  return place .. ' ' .. message
end

-- The message of an error, as it is shown to people: ours too with file and line, which `pcall` doesn't see. `origin`
-- is the function of the script that was run.
function core.placed(co, message, origin)
  local ok, text = pcall(placed, co, message, origin)
  return ok and text or message
end

-- What raises when a method got something else in place of its object: the first and the second that it got.
function core.misused(wrong, first, second)
  local kind = type(first)
  local is_dot = kind == 'string' or first == nil and second == nil
  if is_dot or kind == 'number' and (second == nil or type(second) == 'table') then
    wrong = wrong .. ': called with a dot, use a colon'
  end
  error(wrong, 0)
end

-- A whole number with all of its digits. Those beyond 2^53 that LuaJIT's numbers can't have are of its type int64_t.
local function whole(value)
  if type(value) ~= 'number' then
    return match(tostring(value), '^(-?%d+)U?LL$')
  elseif value > -2 ^ 53 and value < 2 ^ 53 or integer(value) == 'integer' then
    return format('%d', value)
  end
  return format('%.0f', value)
end

-- A string or a number as text, whole numbers the same way on all runtimes; nil for anything else.
function core.text(value)
  local kind = type(value)
  if kind == 'string' then
    return value
  elseif kind == 'cdata' or kind == 'number' and value == floor(value) then
    return whole(value)
  end
  return kind == 'number' and tostring(value) or nil
end
