-- require 'httpng'

local host, core = ...

local settle, value_of_result = core.settle, core.value_of_result
local unpack = table.unpack or unpack
local getinfo, min = debug.getinfo, math.min
local error, ipairs, pairs, pcall, tostring, type = error, ipairs, pairs, pcall, tostring, type
local httpng = {}
core.httpng = httpng

-- So many values cross in one call: LuaJIT has room for some thousand.
local PIECE = 1000

-- The numbers of functions are never used again: an old one is then never taken for a new one.
local last_function = 0

-- A key of a table. None of the options is of another type: there it is only named.
local function name_of(key)
  local kind = type(key)
  if kind == 'string' or kind == 'number' then
    return key
  end
  return kind == 'boolean' and tostring(key) or 'a ' .. kind
end

-- Whether a function could get hold of a second argument.
local function takes_two(fn)
  local info = getinfo(fn, 'u')
  return info.isvararg or info.nparams > 1
end

-- A value as a row of plain ones, which is all that crosses the boundary: a kind, then the value
-- itself, a table's length, its keys and its values, a function's number in `functions`, whether it takes two arguments
-- and the number of the router that it serves, or nothing.
local function spell(row, value, functions)
  local router = core.router_number(value) or 0
  value = core.as_function(value)
  local kind = value == nil and 'nil' or type(value) -- a box.NULL equals nil
  row[#row + 1] = kind
  if kind == 'table' then
    row[#row + 1] = 0
    local at, count = #row, 0
    for key, item in pairs(value) do
      spell(row, name_of(key), functions)
      spell(row, item, functions)
      count = count + 1
    end
    row[at] = count
  elseif kind == 'function' then
    last_function = last_function + 1
    functions[last_function] = value
    row[#row + 1] = last_function
    row[#row + 1] = takes_two(value)
    row[#row + 1] = router
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
  core.handlers, core.drains = functions, nil
end

--- httpng.cfg(parameters)
-- Sets the server up, or, while it runs, [gives it another configuration](../how-to/reload.md): the new table takes
-- the place of the old one. Keys: `handler`, [`sites`](settings.md#sites), [`listen`](settings.md#listen) and the
-- other [settings](settings.md). A handler that is a string is a directory of [static files](static-files.md), one
-- that is a table a [router](#routers). `parameters` stays as it is.
--
-- Returns: `true`.
-- Raises: what is wrong, in one line, and then nothing has changed; `No parameters specified` for `nil`;
--   `Unable to reconfigure until threads will shut down`, `shutdown is in progress` and `Reconfiguration is already
--   in progress` at the wrong moment.
function httpng.cfg(parameters)
  if parameters == nil then
    error('No parameters specified', 0)
  elseif type(parameters) ~= 'table' then
    error('parameters must be a table, not ' .. type(parameters), 0)
  elseif parameters.cfg == httpng.cfg then
    error('cfg is called with a dot: httpng.cfg{...}', 0)
  end
  local fiber = core.current()
  settle(host.begin_cfg())
  fiber.configures = true
  local ok, failure = pcall(configure, parameters)
  fiber.configures = nil
  settle(host.end_cfg(ok))
  if not ok then
    error(failure, 0)
  end
  return true
end

--- httpng.shutdown()
-- Stops the server: connections are reset, and handlers have `shutdown_timeout` to come to their end. `cfg` may
-- follow. The program ends when the script itself has ended as well.
--
-- Returns: nothing.
-- Raises: `Server is not launched` when none runs, `shutdown is in progress` the second time.
-- Waits: until all is down; in a handler, whose own response is a part of that, never.
function httpng.shutdown()
  local fiber = core.current()
  settle(host.shutdown(fiber ~= nil and fiber.users == true))
end

--- httpng.force_decrease_threads()
-- Resets the connections of threads that a reload with fewer `threads` has told to go.
--
-- Returns: nothing.
-- Raises: `Not configured, nothing to terminate` when no server runs, `Shutdown is in progress`.
-- Waits: until these threads are gone. A handler that runs in one of them is itself what is waited for, until
-- `shutdown_timeout` gives it up: call this in a fiber.
function httpng.force_decrease_threads()
  settle(host.force_decrease_threads())
end

local function helper(read)
  return function(result)
    if result == nil then
      return settle(read(nil)) -- a box.NULL couldn't cross
    end
    return settle(read(value_of_result(result)))
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
