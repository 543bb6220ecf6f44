-- require 'httpng'

local host, core = ...

local settle = core.settle
local unpack = table.unpack or unpack
local min = math.min
local error, ipairs, pairs, pcall, type = error, ipairs, pairs, pcall, type
local httpng = {}
core.httpng = httpng

-- So many values cross in one call: LuaJIT has room for some thousand.
local PIECE = 1000

-- The numbers of functions are never used again: an old one is then never taken for a new one.
local last_function = 0

-- A value as a row of plain ones, which is all that crosses the border: a kind, then the value
-- itself, a table's length, its keys and its values, a function's number in `functions`, or nothing.
local function spell(row, value, functions)
  value = core.as_function(value)
  local kind = value == nil and 'nil' or type(value) -- a box.NULL equals nil
  row[#row + 1] = kind
  if kind == 'table' then
    row[#row + 1] = 0
    local at, count = #row, 0
    for key, item in pairs(value) do
      spell(row, key, functions)
      spell(row, item, functions)
      count = count + 1
    end
    row[at] = count
  elseif kind == 'function' then
    last_function = last_function + 1
    functions[last_function] = value
    row[#row + 1] = last_function
  elseif kind == 'string' or kind == 'number' or kind == 'boolean' then
    row[#row + 1] = value
  end
  return row
end

local function configure(parameters)
  local functions = {}
  local row = spell({}, parameters, functions)
  for from = 1, #row, PIECE do
    host.give_cfg(unpack(row, from, min(from + PIECE - 1, #row)))
  end
  settle(host.configure())
  core.handlers = functions
end

-- Sets the server up, or gives one that runs another configuration.
function httpng.cfg(parameters)
  if parameters == nil then
    error('No parameters specified', 0)
  elseif type(parameters) ~= 'table' then
    error('parameters must be a table, not ' .. type(parameters), 0)
  end
  settle(host.begin_cfg())
  local ok, failure = pcall(configure, parameters)
  settle(host.end_cfg(ok))
  if not ok then
    error(failure, 0)
  end
  return true
end

-- Stops the server and waits until all is down. A handler doesn't wait: its own response is a part of that.
function httpng.shutdown()
  local fiber = core.current()
  settle(host.shutdown(fiber ~= nil and fiber.users == true))
end

-- Resets the connections of threads that are to go, and waits until these are gone.
function httpng.force_decrease_threads()
  settle(host.force_decrease_threads())
end

local function helper(read)
  return function(result)
    if result ~= nil and type(result) ~= 'number' then
      error('not a send_result: ' .. type(result), 0)
    end
    return settle(read(result))
  end
end

for _, name in ipairs({ 'cancelled', 'headers_were_sent', 'body_bytes_sent', 'reached' }) do
  httpng[name] = helper(host[name])
end

package.preload.httpng = function()
  return httpng
end
