-- send_results: what a script holds of the number that the host knows a result by.

local host, core = ...

local error, rawget, setmetatable, tostring, type = error, rawget, setmetatable, tostring, type

-- Private key of a result: the number.
local VALUE = {}

local RESULT = {}
core.metatables.result = RESULT

-- The number of a result, which may stand for it.
local function value_of(result)
  local value = type(result) == 'table' and rawget(result, VALUE) or result
  if type(value) ~= 'number' then
    error('not a send_result: ' .. type(result), 0)
  end
  return value
end

function RESULT.__tostring(result)
  return host.show_result(value_of(result))
end

function RESULT.__concat(left, right)
  return tostring(left) .. tostring(right)
end

function RESULT.__eq(one, other)
  return value_of(one) == value_of(other)
end

function RESULT.__newindex()
  error('a send_result is a snapshot: it takes no fields', 2)
end

-- A result as the script gets it: nil stays nil.
function core.result_of(value)
  return value and setmetatable({ [VALUE] = value }, RESULT)
end

core.value_of_result = value_of
