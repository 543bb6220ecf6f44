-- Values as text: errors, and numbers.

local _, core = ...

local format, floor = string.format, math.floor
local concat, sort, type, tostring = table.concat, table.sort, type, tostring
local getmetatable, next, pcall = getmetatable, next, pcall

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

-- A string or a number as text, whole numbers the same way on all runtimes; nil for anything else.
function core.text(value)
  if type(value) == 'string' then
    return value
  elseif type(value) ~= 'number' then
    return nil
  elseif value == floor(value) and value > -2 ^ 53 and value < 2 ^ 53 then
    return format('%d', value)
  end
  return tostring(value)
end
