-- string.find, match, gmatch and gsub where a time limit is set: C's where that is quick whatever the string, else
-- ours, which a hook can stop.

local _, core = ...

local look_at_clock, new_pattern, steps = core.look_at_clock, core.pattern, core.steps
local new_match, match_at, capture = core.new_match, core.match_at, core.capture
local c_find, c_match, c_gmatch, c_gsub, sub = string.find, string.match, string.gmatch, string.gsub, string.sub
local concat, unpack = table.concat, table.unpack or unpack
local error, floor, huge, select, tonumber = error, math.floor, math.huge, select, tonumber
local tostring, type = tostring, type

-- More steps than this are not left to C, and after so many the clock is looked at.
local MOST, MANY = core.most_steps or 1e7, 1e4

local is_54 = not jit

local function is_text(value)
  return type(value) == 'string' or type(value) == 'number'
end

local function looked(...)
  look_at_clock()
  return ...
end

-- The items of a pattern if it isn't C's to match; else nil, and whether to look at the clock afterwards.
local function ours(source, pattern, anchors)
  if not is_text(source) or not is_text(pattern) then
    return nil -- C tells what is wrong
  end
  local items = new_pattern(tostring(pattern), anchors)
  local count = steps(items, #tostring(source))
  if count > MOST then
    return items
  end
  return nil, count > MANY
end

-- Where a search begins, as C counts; nil for beyond the end, which LuaJIT takes as the end.
local function start_of(source, init)
  local at = init == nil and 1 or tonumber(init) or error('bad init: number expected, got ' .. type(init), 3)
  at = at >= 0 and floor(at) or #source + 1 - floor(-at)
  at = at < 1 and 1 or at
  if at > #source + 1 then
    return not is_54 and #source + 1 or nil
  end
  return at
end

-- The first match from a place on, if there is such a place: where it begins, and the place after it.
local function search(match, at)
  if not at then
    return nil
  end
  local last = match.items.anchored and at or #match.source + 1
  for from = at, last do
    local stop = match_at(match, from)
    if stop then
      return from, stop
    end
  end
end

local function captures(match, from, stop, all)
  local count = match.level
  count = count == 0 and all and 1 or count
  local list = {}
  for number = 1, count do
    list[number] = capture(match, number, from, stop)
  end
  return unpack(list, 1, count)
end

-- find, match ---------------------------------------------------------------------------------------

local SPECIALS = '[%^%$%*%+%?%.%(%[%%%-]'

-- C compares the text at each place: piece by piece it can be stopped in between.
local function find_plain(source, text, init)
  local at = start_of(source, init)
  local width = floor(MOST / (#text + 1)) + 1
  while at and at <= #source + 1 do
    local from, stop = c_find(sub(source, at, at + width + #text - 2), text, 1, true)
    if from then
      return from + at - 1, stop + at - 1
    end
    look_at_clock()
    at = at + width
  end
  return nil
end

function string.find(source, pattern, init, plain)
  if is_text(pattern) and (plain or not c_find(pattern, SPECIALS)) then
    if is_text(source) and #tostring(source) * #tostring(pattern) > MOST then
      return find_plain(tostring(source), tostring(pattern), init)
    end
    return c_find(source, pattern, init, plain)
  end
  local items, many = ours(source, pattern, true)
  if not items then
    if many then
      return looked(c_find(source, pattern, init))
    end
    return c_find(source, pattern, init)
  end
  local match = new_match(tostring(source), items)
  local from, stop = search(match, start_of(match.source, init))
  if from then
    return from, stop - 1, captures(match, from, stop, false)
  end
  return nil
end

function string.match(source, pattern, init)
  local items, many = ours(source, pattern, true)
  if not items then
    if many then
      return looked(c_match(source, pattern, init))
    end
    return c_match(source, pattern, init)
  end
  local match = new_match(tostring(source), items)
  local from, stop = search(match, start_of(match.source, init))
  if from then
    return captures(match, from, stop, true)
  end
  return nil
end

-- gmatch --------------------------------------------------------------------------------------------

-- Lua 5.4 takes no empty match where the last one ended. LuaJIT steps over a character after an empty one.
local function next_match(match, at, last)
  for from = at, #match.source + 1 do
    local stop = match_at(match, from)
    if stop and stop ~= last then
      return from, stop
    end
  end
end

function string.gmatch(source, pattern, init)
  local items = ours(source, pattern, false)
  if not items then
    return c_gmatch(source, pattern, init)
  end
  local match = new_match(tostring(source), items)
  local at, last = 1, nil
  if is_54 then
    at = start_of(match.source, init) or huge
  end
  return function()
    local from, stop = next_match(match, at, last)
    if not from then
      at = huge
      return nil
    end
    at, last = stop, is_54 and stop or nil
    if not is_54 and stop == from then
      at = stop + 1
    end
    return captures(match, from, stop, true)
  end
end

-- gsub ----------------------------------------------------------------------------------------------

local function filled(match, from, stop, template)
  return (c_gsub(template, '%%(.?)', function(mark)
    if c_find(mark, '^%d') then
      return mark == '0' and sub(match.source, from, stop - 1) or capture(match, tonumber(mark), from, stop)
    elseif is_54 and mark ~= '%' then
      error("invalid use of '%' in replacement string", 0)
    end
    return mark
  end))
end

local function replaced(match, from, stop, by)
  local kind, value = type(by), nil
  if kind == 'table' then
    value = by[capture(match, 1, from, stop)]
  elseif kind == 'function' then
    value = by(captures(match, from, stop, true))
  else
    value = filled(match, from, stop, tostring(by))
  end
  if not value then
    return sub(match.source, from, stop - 1)
  elseif not is_text(value) then
    error('invalid replacement value (a ' .. type(value) .. ')', 0)
  end
  return value
end

local REPLACES = { string = true, number = true, table = true, ['function'] = true }

-- Each time round either a match is replaced, or a character kept.
local function substituted(match, by, most)
  local source, pieces, count = match.source, {}, 0
  local at, last = 1, nil
  while count < most do
    local stop = match_at(match, at)
    local is_new = stop and stop ~= last
    if is_new then
      count = count + 1
      pieces[#pieces + 1] = replaced(match, at, stop, by)
      last = is_54 and stop or nil
    end
    if is_new and (is_54 or stop > at) then
      at = stop
    elseif at <= #source then
      pieces[#pieces + 1], at = sub(source, at, at), at + 1
    else
      break
    end
    if match.items.anchored then
      break
    end
  end
  pieces[#pieces + 1] = sub(source, at)
  return concat(pieces), count
end

function string.gsub(source, pattern, by, most)
  local items, many = ours(source, pattern, true)
  if not items or not REPLACES[type(by)] or most ~= nil and not tonumber(most) then
    if many then
      return looked(c_gsub(source, pattern, by, most))
    end
    return c_gsub(source, pattern, by, most)
  end
  return substituted(new_match(tostring(source), items), by, most and tonumber(most) or huge)
end
