-- What feeds do to payloads: httpng.json_merge, httpng.json_delta, httpng.text_delta. The functions are the host's, as any
-- loop may have to call them.

local host, core = ...

local settle, named = core.settle, core.named
local error, find, next, pairs, rawget, type = error, string.find, next, pairs, rawget, type
local concat, select = table.concat, select

-- Private keys of what is made here: for which option it is, and how the host makes the function.
local OPTION, SPEC = {}, {}

local function made(option, spec)
  return { [OPTION] = option, [SPEC] = spec }
end

-- What the host is to be told of an option that only takes what is made here.
function core.made_by(options, option, maker)
  local given = options[option]
  if given == nil then
    return nil
  elseif type(given) ~= 'table' or rawget(given, OPTION) ~= option then
    error(('%s must be what %s returns, not %s'):format(option, maker, named(given)), 0)
  end
  return rawget(given, SPEC)
end

local function member(name)
  if type(name) ~= 'string' or find(name, '\0', 1, true) then
    error('a member must be named by a string without NUL, not ' .. named(name), 0)
  end
  return name
end

--- httpng.json_merge(how)
-- How a feed merges payloads that are JSON, alone or as the data of server-sent events, for its option `merge`. Of numbers:
-- `'sum'`, `'max'`, `'min'`, `'first'` or `'last'`. Of objects: a table with one of these for each member that is to be
-- combined; `{volume = 'sum', high = 'max', low = 'min', open = 'first'}` are bars. Other members are those of the newer object,
-- or of the older where the newer has none.
--
-- Returns: what the option takes.
-- Raises: another word, something else than a string or a table of them.
function core.httpng.json_merge(how)
  local spec = how
  if type(how) == 'table' and next(how) ~= nil then
    local parts = {}
    for name, each in pairs(how) do
      parts[#parts + 1] = '\0' .. member(name)
      parts[#parts + 1] = '\0' .. (type(each) == 'string' and each or named(each))
    end
    spec = concat(parts)
  elseif type(how) ~= 'string' then
    error('json_merge needs a word, or a table of one for each member, not ' .. named(how), 0)
  end
  settle(host.check_merge(spec))
  return made('merge', spec)
end

--- httpng.json_delta(...)
-- How a feed makes deltas, for its option `delta`, of payloads that are JSON objects, or server-sent events that have such
-- data: merge patches (RFC 7396), with the members that have changed, and those that are named here, so that a client
-- knows of what it is one. Of an event it is the data, and the event's type ends with `delta`; else it is the only
-- member, `delta`, of an object.
--
-- Returns: what the option takes.
-- Raises: a name that is no string.
function core.httpng.json_delta(...)
  local parts = { 'json' }
  for i = 1, select('#', ...) do
    parts[i + 1] = member((select(i, ...)))
  end
  return made('delta', concat(parts, '\0'))
end

--- httpng.text_delta()
-- How a feed makes deltas, for its option `delta`, of payloads that are text, or server-sent events that have such data: a
-- JSON array of where it begins, how much is taken out there and what is put in its place, counted as JavaScript does. Of
-- an event it is the data, and the event's type ends with `delta`; else it comes behind a NUL.
--
-- Returns: what the option takes.
function core.httpng.text_delta()
  return made('delta', 'text')
end
