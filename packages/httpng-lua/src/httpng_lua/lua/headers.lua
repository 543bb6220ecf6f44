-- Headers of a response, checked, and as they cross the boundary: one text, name and value a line each.

local _, core = ...

local text = core.text
local concat, sort = table.concat, table.sort
local find, lower = string.find, string.lower
local error, next, rawget, type = error, next, rawget, type

-- Names and short values that were found to be well-formed, as most are the same each time; and how many.
local known_names, known_values, known_count = {}, {}, 0
local MOST_KNOWN, SHORT = 500, 64

local CONTROLS = '[%z\1-\8\10-\31\127]' -- all but the tab

local function refuse(name, what)
  error(("value of header '%s' %s"):format(name, what), 0)
end

local function know(known, text, what)
  if #text > SHORT then
    return
  elseif known_count >= MOST_KNOWN then
    known_names, known_values, known_count = {}, {}, 0
    return
  end
  known[text], known_count = what, known_count + 1
end

local function value_of(name, given)
  if known_values[given] then
    return given
  end
  local value = text(given)
  if value == nil then
    refuse(name, 'must be a string or a number, not ' .. type(given))
  elseif find(value, CONTROLS) then
    refuse(name, 'has a control character in it')
  end
  know(known_values, value, true)
  return value
end

local function add(lines, name, value)
  local count = #lines
  lines[count + 1], lines[count + 2] = name, value
end

-- A list of values repeats the header.
local function add_all(lines, name, given)
  local count = 0
  for _ in next, given do -- whatever its __len says
    count = count + 1
  end
  for at = 1, count do
    local value = rawget(given, at)
    if value == nil then
      refuse(name, 'must be a string, a number or a list of these')
    end
    add(lines, name, value_of(name, value))
  end
end

-- One field in two spellings has no order to tell which one counts.
local function refuse_two_spellings(headers)
  local spelled = {}
  for name in next, headers do
    local other = spelled[lower(name)]
    if other then
      local both = { name, other }
      sort(both)
      error(("header '%s' is also there as '%s'"):format(both[1], both[2]), 0)
    end
    spelled[lower(name)] = name
  end
end

-- What a name is when it is all in lower case.
local function lower_of(name)
  if type(name) ~= 'string' then
    error('header name must be a string, not ' .. type(name), 0)
  elseif find(name, '%c') then
    error(('header name %q has a control character in it'):format(name), 0)
  end
  local plain = lower(name)
  know(known_names, name, plain)
  return plain
end

local function lines_of(headers)
  local lines, has_capitals = {}, false
  for name, given in next, headers do
    local plain = known_names[name] or lower_of(name)
    has_capitals = has_capitals or plain ~= name
    if type(given) == 'table' then
      add_all(lines, name, given)
    else
      add(lines, name, value_of(name, given))
    end
  end
  if has_capitals then
    refuse_two_spellings(headers)
  end
  return lines
end

-- The texts of whole tables, in a tree by name and value, in the order in which Lua has them; and how many steps it has.
local TEXT = {}
local known_tables, step_count = {}, 0

local function branch(tree, key)
  local found = tree[key]
  if not found then
    found, step_count = {}, step_count + 1
    tree[key] = found
  end
  return found
end

-- Only of what was known already: what is another each time needs no place.
local function know_table(headers, lines)
  if step_count >= MOST_KNOWN then
    known_tables, step_count = {}, 0
  end
  local tree = known_tables
  for name, given in next, headers do
    if type(given) ~= 'string' or not known_values[given] or not known_names[name] then
      return
    end
    tree = branch(branch(tree, name), given)
  end
  tree[TEXT] = lines
end

-- The text of a table of one header, as many responses have. Without a loop, as LuaJIT compiles the call of a handler with
-- all that is called in it if there is none.
local function known_alone(headers)
  local name, given = next(headers)
  local tree = known_tables[name]
  tree = tree and tree[given]
  if tree and next(headers, name) == nil then
    return tree[TEXT]
  end
end

local function known_text(headers)
  local tree = known_tables
  for name, given in next, headers do
    tree = tree[name]
    tree = tree and tree[given]
    if not tree then
      return nil
    end
  end
  return tree[TEXT]
end

-- A table of headers for the host; nil for none.
function core.flat(headers)
  if headers == nil then
    return nil
  elseif type(headers) ~= 'table' then
    error('headers must be a table, not ' .. type(headers), 0)
  end
  local known = known_alone(headers) or known_text(headers)
  if known or next(headers) == nil then
    return known
  end
  local before = known_count
  local lines = lines_of(headers)
  local flat = lines[1] and concat(lines, '\n') or nil
  if flat and known_count == before then
    know_table(headers, flat)
  end
  return flat
end
