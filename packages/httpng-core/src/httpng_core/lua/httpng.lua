-- require 'httpng'

local host, core = ...

local settle = core.settle
local unpack = table.unpack or unpack
local httpng = {}
core.httpng = httpng

-- A value as a row of plain ones, which is all that crosses the border: a kind, then the value
-- itself, a table's length, its keys and its values, a function's place in `functions`, or nothing.
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
    functions[#functions + 1] = value
    row[#row + 1] = #functions
  elseif kind == 'string' or kind == 'number' or kind == 'boolean' then
    row[#row + 1] = value
  end
  return row
end

function httpng.cfg(parameters)
  if parameters == nil then
    error('No parameters specified', 0)
  elseif type(parameters) ~= 'table' then
    error('parameters must be a table, not ' .. type(parameters), 0)
  end
  local functions = {}
  settle(host.configure(unpack(spell({}, parameters, functions))))
  core.handlers = functions
  return true
end

function httpng.shutdown()
  settle(host.shutdown())
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
