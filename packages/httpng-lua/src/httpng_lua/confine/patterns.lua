-- Lua's patterns, matched in Lua: as those of C, only that a hook can stop it.
--
-- A pattern is read into items, once. `steps` tells how many steps C may need at most, to choose by.

local _, core = ...

local byte, char, find, sub = string.byte, string.char, string.find, string.sub
local error, setmetatable = error, setmetatable

local MOST_DEEP = 200 -- as C has it
local OPEN, POSITION = -1, -2

-- Reading -------------------------------------------------------------------------------------------

local function refuse(what)
  error('malformed pattern (' .. what .. ')', 0)
end

local function set_end(pattern, at)
  at = at + (sub(pattern, at, at) == '^' and 1 or 0)
  repeat -- the first ']' is one of the set
    local mark = sub(pattern, at, at)
    if mark == '' then
      refuse("missing ']'")
    end
    at = at + (mark == '%' and 2 or 1)
  until sub(pattern, at, at) == ']'
  return at + 1
end

-- Where the class ends that begins at a place.
local function class_end(pattern, at)
  local mark = sub(pattern, at, at)
  if mark == '[' then
    return set_end(pattern, at + 1)
  elseif mark ~= '%' then
    return at + 1
  elseif at == #pattern then
    refuse("ends with '%'")
  end
  return at + 2
end

local ANY = setmetatable({}, { __index = function(_, code) return code ~= nil end })

-- The bytes of a class, by asking C for each one when it is first met.
local function bytes_of(class)
  if class == '.' then
    return ANY
  elseif #class == 1 then
    return { [byte(class)] = true }
  end
  return setmetatable({}, { __index = function(set, code)
    if code == nil then
      return false
    end
    local is_in = find(char(code), class) ~= nil
    set[code] = is_in
    return is_in
  end })
end

local REPEATS = { ['*'] = true, ['+'] = true, ['-'] = true, ['?'] = true }

local function single(pattern, at)
  local stop = class_end(pattern, at)
  local item = { kind = 'single', set = bytes_of(sub(pattern, at, stop - 1)), width = stop - at }
  local mark = sub(pattern, stop, stop)
  if REPEATS[mark] then
    item.kind, stop = mark, stop + 1
  end
  return item, stop
end

local function balance(pattern, at)
  if at + 3 > #pattern then
    refuse("missing arguments to '%b'")
  end
  local open, shut = byte(pattern, at + 2, at + 3)
  return { kind = 'balance', open = open, shut = shut, width = 1 }, at + 4
end

local function frontier(pattern, at)
  if sub(pattern, at + 2, at + 2) ~= '[' then
    error("missing '[' after '%f' in pattern", 0)
  end
  local stop = class_end(pattern, at + 2)
  return { kind = 'frontier', set = bytes_of(sub(pattern, at + 2, stop - 1)), width = stop - at }, stop
end

local function escaped(pattern, at)
  local mark = sub(pattern, at + 1, at + 1)
  if mark == 'b' then
    return balance(pattern, at)
  elseif mark == 'f' then
    return frontier(pattern, at)
  elseif find(mark, '^%d') then
    return { kind = 'back', capture = byte(mark) - 48, width = 1 }, at + 2
  end
  return single(pattern, at)
end

local function item_at(pattern, at)
  local mark = sub(pattern, at, at)
  if mark == '(' and sub(pattern, at + 1, at + 1) == ')' then
    return { kind = 'open', what = POSITION, width = 1 }, at + 2
  elseif mark == '(' then
    return { kind = 'open', what = OPEN, width = 1 }, at + 1
  elseif mark == ')' then
    return { kind = 'close', width = 1 }, at + 1
  elseif mark == '$' and at == #pattern then
    return { kind = 'end', width = 1 }, at + 1
  elseif mark == '%' then
    return escaped(pattern, at)
  end
  return single(pattern, at)
end

local SCANS = { balance = true, back = true }

local function add(items, item)
  items[#items + 1] = item
  items.width = item.width > items.width and item.width or items.width
  if item.kind == '?' then
    items.choices = items.choices + 1
  elseif REPEATS[item.kind] then
    items.repeats = items.repeats + 1
  elseif SCANS[item.kind] then
    items.scans = items.scans + 1
  end
end

local function read(pattern, anchors)
  if jit then
    pattern = sub(pattern, 1, (find(pattern, '%z') or 0) - 1) -- there a zero byte ends it
  end
  local items = { anchored = false, width = 1, repeats = 0, choices = 0, scans = 0 }
  local at = 1
  if anchors and sub(pattern, 1, 1) == '^' then
    items.anchored, at = true, 2
  end
  while at <= #pattern do
    local item
    item, at = item_at(pattern, at)
    add(items, item)
  end
  return items
end

-- How many steps C may need for a source of that length.
function core.steps(items, length)
  local starts = items.anchored and 1 or length + 1
  local each = #items + items.width + length * items.scans
  return starts * (length + 1) ^ items.repeats * 2 ^ items.choices * each
end

-- Patterns that were read lately. One that begins with ^ means that at the start, except in gmatch.
local known, count = { [true] = {}, [false] = {} }, 0

function core.pattern(pattern, anchors)
  local items = known[anchors][pattern]
  if not items then
    items = read(pattern, anchors)
    if count >= 200 then
      known, count = { [true] = {}, [false] = {} }, 0
    end
    known[anchors][pattern], count = items, count + 1
  end
  return items
end

-- Matching ------------------------------------------------------------------------------------------

-- A match is a table: source, items, the captures (first places and lengths), how many, how deep.
local matched

local DO = {}

local function longest(match, at, index, item)
  local source, set, last = match.source, item.set, at
  while set[byte(source, last)] do
    last = last + 1
  end
  for stop = last, at, -1 do
    local found = matched(match, stop, index + 1)
    if found then
      return found
    end
  end
end

DO['*'] = longest

DO['+'] = function(match, at, index, item)
  if item.set[byte(match.source, at)] then
    return longest(match, at + 1, index, item)
  end
end

DO['-'] = function(match, at, index, item)
  while true do
    local found = matched(match, at, index + 1)
    if found then
      return found
    elseif not item.set[byte(match.source, at)] then
      return nil
    end
    at = at + 1
  end
end

DO['?'] = function(match, at, index, item)
  if item.set[byte(match.source, at)] then
    local found = matched(match, at + 1, index + 1)
    if found then
      return found
    end
  end
  return matched(match, at, index + 1)
end

DO['end'] = function(match, at, index)
  if at > #match.source then
    return matched(match, at, index + 1)
  end
end

DO['balance'] = function(match, at, index, item)
  local source, open, shut = match.source, item.open, item.shut
  if byte(source, at) ~= open then
    return nil
  end
  local level = 1
  for stop = at + 1, #source do
    local code = byte(source, stop)
    if code == shut then
      level = level - 1
      if level == 0 then
        return matched(match, stop + 1, index + 1)
      end
    elseif code == open then
      level = level + 1
    end
  end
end

DO['frontier'] = function(match, at, index, item)
  local before = at > 1 and byte(match.source, at - 1) or 0
  if not item.set[before] and item.set[byte(match.source, at) or 0] then
    return matched(match, at, index + 1)
  end
end

DO['back'] = function(match, at, index, item)
  local capture = item.capture
  if capture < 1 or capture > match.level or match.length[capture] == OPEN then
    error('invalid capture index %' .. capture, 0)
  end
  local length = match.length[capture]
  local same = length >= 0 and sub(match.source, match.first[capture], match.first[capture] + length - 1)
  if same and sub(match.source, at, at + length - 1) == same then
    return matched(match, at + length, index + 1)
  end
end

DO['open'] = function(match, at, index, item)
  local level = match.level + 1
  if level > 32 then
    error('too many captures', 0)
  end
  match.level, match.first[level], match.length[level] = level, at, item.what
  local found = matched(match, at, index + 1)
  match.level = found and match.level or level - 1
  return found
end

DO['close'] = function(match, at, index)
  local level = match.level
  while level > 0 and match.length[level] ~= OPEN do
    level = level - 1
  end
  if level == 0 then
    error('invalid pattern capture', 0)
  end
  match.length[level] = at - match.first[level]
  local found = matched(match, at, index + 1)
  match.length[level] = found and match.length[level] or OPEN
  return found
end

-- The place after a match of the items from `index` on; nil if there is none.
function matched(match, at, index)
  local items, source = match.items, match.source
  local item = items[index]
  while item and item.kind == 'single' do
    if not item.set[byte(source, at)] then
      return nil
    end
    at, index = at + 1, index + 1
    item = items[index]
  end
  if not item then
    return at
  elseif match.depth >= MOST_DEEP then
    error('pattern too complex', 0)
  end
  match.depth = match.depth + 1
  local found = DO[item.kind](match, at, index, item)
  match.depth = match.depth - 1
  return found
end

function core.new_match(source, items)
  return { source = source, items = items, first = {}, length = {}, level = 0, depth = 0 }
end

-- The place after a match that begins at a place.
function core.match_at(match, at)
  match.level, match.depth = 0, 0
  return matched(match, at, 1)
end

-- One capture: a string, or a place. Without any, the first one is all that was matched.
function core.capture(match, number, from, stop)
  if number == 1 and match.level == 0 then
    return sub(match.source, from, stop - 1)
  elseif number > match.level then
    error('invalid capture index %' .. number, 0)
  end
  local first, length = match.first[number], match.length[number]
  if length == OPEN then
    error('unfinished capture', 0)
  elseif length == POSITION then
    return first
  end
  return sub(match.source, first, first + length - 1)
end
