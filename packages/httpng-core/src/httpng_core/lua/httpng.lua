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

--- httpng.cfg(parameters)
-- Sets the server up. Keys: `handler`, [`sites`](settings.md#sites), [`listen`](settings.md#listen) and the other
-- [settings](settings.md). A handler that is a string is a directory of [static files](static-files.md), one that is
-- a table a [router](#routers). `parameters` stays as it is. It can be done once.
--
-- Returns: `true`.
-- Raises: what is wrong, in one line, with nothing left behind; `No parameters specified` for `nil`.
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

--- httpng.shutdown()
-- Has the server stop: it takes no more connections, lets exchanges end within `shutdown_timeout`, and exits.
--
-- Returns: nothing, at once.
-- Raises: `Server is not launched` before the server runs, `shutdown is in progress` the second time.
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

--- httpng.cancelled(result)
-- Whether the client was gone: what was accepted and not sent by then is dropped, later writes send nothing.
--
-- Returns: a boolean; `nil` for `nil`.
-- Raises: for what no call could have returned.

--- httpng.headers_were_sent(result)
-- Whether the TCP/IP stack had the whole header block.
--
-- Returns: a boolean; `true` for `nil`. The `nil` of a first `write` says accepted: then `io:get_send_stats()` tells
-- whether the block has gone.
-- Raises: for what no call could have returned.

--- httpng.body_bytes_sent(result)
-- How many bytes of this body a `write` that fell short had accepted. The rest is not sent, ever.
--
-- Returns: an integer.
-- Raises: for `nil`, for the result of another call, and for what no call could have returned.

--- httpng.reached(result)
-- Whether the position that a `wait` waited for was reached.
--
-- Returns: a boolean.
-- Raises: for `nil`, for the result of another call, and for what no call could have returned.
for _, name in ipairs({ 'cancelled', 'headers_were_sent', 'body_bytes_sent', 'reached' }) do
  httpng[name] = helper(host[name])
end

package.preload.httpng = function()
  return httpng
end
