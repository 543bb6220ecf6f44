-- httpng.json_merge: what feeds do to payloads. The functions are the host's, as any loop may have to call them.

local host, core = ...

local settle, named = core.settle, core.named
local error, find, next, pairs, rawget, type = error, string.find, next, pairs, rawget, type
local concat = table.concat

-- Keys of ours in what is made here: for which option it is, and how the host makes the function.
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
