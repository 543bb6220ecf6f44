-- What C would do for very long in one call, where a time limit is set: in Lua, or not at all. After what may have
-- taken long the clock is looked at.

local _, core = ...

local look_at_clock = core.look_at_clock
local error, getmetatable, pairs, rawget = error, debug.getmetatable, pairs, rawget
local select, tonumber, type = select, tonumber, type

-- So many bytes, or items, take a while.
local LARGE, MANY = 65536, 1000

-- Strings -------------------------------------------------------------------------------------------

local rep = string.rep

local function checked(result)
  if #result > LARGE then
    look_at_clock()
  end
  return result
end

-- Nothing, so many times, takes C as long as anything else.
function string.rep(text, count, separator)
  if text == '' and (separator == nil or separator == '') and tonumber(count) then
    return ''
  end
  return checked(rep(text, count, separator))
end

for _, name in pairs({ 'lower', 'upper', 'reverse' }) do
  local call = string[name]
  string[name] = function(text)
    return checked(call(text))
  end
end

-- Tables --------------------------------------------------------------------------------------------

local function looked(...)
  look_at_clock()
  return ...
end

-- With so many further arguments only the end is touched.
local AT_END = { concat = -1, insert = 1, remove = 0, sort = -1 }

-- On Lua 5.4 they believe a __len, however large.
for name, at_end in pairs(AT_END) do
  local call = table[name]
  table[name] = function(list, ...)
    local metatable = type(list) == 'table' and getmetatable(list)
    if metatable and rawget(metatable, '__len') ~= nil then
      error('table.' .. name .. ' takes no table with __len where handler_time_limit is set', 2)
    elseif type(list) == 'table' and #list > MANY and select('#', ...) ~= at_end then
      return looked(call(list, ...))
    end
    return call(list, ...)
  end
end

local move = table.move

local function copy(from, first, last, at, to)
  if at > last or at <= first or to ~= from then
    for offset = 0, last - first do
      to[at + offset] = from[first + offset]
    end
  else
    for offset = last - first, 0, -1 do
      to[at + offset] = from[first + offset]
    end
  end
  return to
end

function table.move(from, first, last, at, to)
  local is_short = not (tonumber(first) and tonumber(last) and tonumber(at)) or last - first < MANY
  if is_short or type(from) ~= 'table' or to ~= nil and type(to) ~= 'table' then
    return move(from, first, last, at, to)
  end
  return copy(from, first, last, at, to or from)
end
