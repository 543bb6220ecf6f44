-- What a handler gets as `io`: the response.

local host, core = ...

local settle, text, misused, result_of = core.settle, core.text, core.misused, core.result_of
local flat = core.flat
local FAILED = core.FAILED
local concat, format = table.concat, string.format
local error, next, rawget, rawset, select = error, next, rawget, rawset, select
local setmetatable, tonumber, tostring, type = setmetatable, tonumber, tostring, type

-- Private keys of an `io`: the host's number of the exchange, and whether the header block was given.
local HANDLE, BEGUN = {}, {}

-- number -> io: while it is there, the host must keep the exchange.
local held = setmetatable({}, { __mode = 'v' })

-- Arguments -----------------------------------------------------------------------------------------

local function handle_of(io, second)
  local handle = type(io) == 'table' and rawget(io, HANDLE)
  if not handle or held[handle] ~= io then -- else one could be made up
    misused('shuttle is invalid', io, second)
  end
  return handle
end

-- The headers that an implicit header block would have.
local function implicit(io)
  return not io[BEGUN] and flat(io.headers) or nil
end

local function body_of(given)
  local body = text(given)
  if body == nil then
    error(given == nil and 'body is nil' or 'body must be a string or a number, not ' .. type(given), 0)
  end
  return body
end

-- A value that may be nil. A box.NULL equals nil, and isn't one that could cross the boundary.
local function optional(given, expected, wrong)
  if given == nil then
    return nil
  elseif type(given) ~= expected then
    error(wrong .. type(given), 0)
  end
  return given
end

local function timeout_of(io, given)
  local timeout = given
  if timeout == nil then
    timeout = io.send_timeout
  end
  return optional(timeout, 'number', 'timeout must be a number of seconds, not ')
end

local function until_of(io, given)
  local choice = given
  if choice == nil then
    choice = io.window_until
  end
  return optional(choice, 'string', 'until must be "sent", "acked" or "confirmed", not a ')
end

local function stall_of(io)
  return optional(io.stall_timeout, 'number', 'stall_timeout must be a number of seconds, not ')
end

local function window_of(io)
  local window = io.send_window
  return window == 'auto' and window or optional(window, 'number', 'send_window must be an integer or "auto", not ')
end

local function code_of(given)
  local code = tonumber(given)
  if code == nil or code % 1 ~= 0 then
    error('HTTP code is not an integer', 0)
  end
  return code
end

-- Calls ---------------------------------------------------------------------------------------------

local IO = {}

local function begun(io, code, value)
  io[BEGUN] = io[BEGUN] or code ~= FAILED
  return code, value
end

-- How body bytes are sent, last in the arguments of the host's calls.
local function sending(io)
  return window_of(io), until_of(io), stall_of(io), implicit(io)
end

local function begin_write(io, handle, body, timeout)
  return begun(io, host.write(handle, body, timeout, sending(io)))
end

local function begin_header(call, io, handle, status, timeout, headers)
  return begun(io, call(handle, status, timeout, headers))
end

-- The old forms know no partial sends: a call that is late gives the exchange up.
local function is_over(handle, result)
  if result == nil then
    return false
  end
  host.cancel_late(handle, result)
  return true
end

local function end_cleanly(io, handle, trailers)
  settle(host.close(handle, implicit(io), trailers))
  io[BEGUN] = true
end

local function old_write(io, handle, body, is_last)
  if is_over(handle, settle(begin_write(io, handle, body, timeout_of(io)))) then
    return true
  end
  if is_last then
    end_cleanly(io, handle)
  end
  return is_last
end

local function old_write_header(io, handle, body, is_last)
  if body ~= nil and is_over(handle, settle(begin_write(io, handle, body, timeout_of(io)))) then
    return true
  end
  if is_last then
    end_cleanly(io, handle)
    return true
  end
  return is_over(handle, settle(host.await_header(handle)))
end

--- io:write_header(code, headers, timeout)
-- Gives the header block. Without `headers` it is `io.headers`; an explicit `nil` sends none. The block is never taken
-- back: after a timeout it stays first in line, and writes need not wait for it. A string as fourth argument, or any
-- fifth one, makes it the [form of the original](#the-forms-of-the-original).
--
-- Returns: `nil` when the TCP/IP stack has the whole block, else a `send_result`.
-- Raises: `Not enough parameters`, `HTTP code is not an integer` (a string with a number in it will do), a code outside
-- 200..599, `Handler has already written header`, [headers](#headers) that can't be: nothing of the block is sent then.
-- Waits: until the TCP/IP stack has the block, `timeout` seconds at most.
function IO.write_header(...)
  local count, io, code, headers, fourth, is_last = select('#', ...), ...
  if count == 0 then
    error('Not enough parameters', 0)
  end
  local handle = handle_of(io, code)
  if count == 1 then
    error('Not enough parameters', 0)
  end
  local status = code_of(code)
  if count < 3 then
    headers = io.headers
  end
  if count < 5 and type(fourth) ~= 'string' then
    local timeout = timeout_of(io, fourth)
    return result_of(settle(begin_header(host.write_header, io, handle, status, timeout, flat(headers))))
  end
  local body = fourth ~= nil and body_of(fourth) or nil
  settle(begin_header(host.begin_header, io, handle, status, timeout_of(io), flat(headers)))
  return old_write_header(io, handle, body, is_last)
end

--- io:write(body, timeout)
-- Writes body bytes. A body no longer than the send window is accepted whole or not at all, a longer one frame by frame;
-- what was not accepted in time is not sent, ever. The first `write` without `write_header` sends status 200 with
-- `io.headers`; an empty body sends just those. A boolean in place of the timeout makes it the [form of the
-- original](#the-forms-of-the-original), in which the body may be `nil`.
--
-- Returns: `nil` when all of the body was accepted; else a `send_result`: the time was up, or the exchange is over.
-- Raises: `Not enough parameters`, `body is nil`, a body that is neither a string nor a number, more than the declared
-- Content-Length (then nothing of this body is sent).
-- Waits: while more than the send window would be in flight, `timeout` seconds at most.
function IO.write(...)
  local count, io, given, timeout = select('#', ...), ...
  if count == 0 then
    error('Not enough parameters', 0)
  end
  local handle, is_old = handle_of(io, given), type(timeout) == 'boolean'
  if count == 1 then
    error('Not enough parameters', 0)
  end
  local body = type(given) == 'string' and given or is_old and given == nil and '' or body_of(given)
  if is_old then
    return old_write(io, handle, body, timeout)
  end
  return result_of(settle(begin_write(io, handle, body, timeout_of(io, timeout))))
end

--- io:wait(pos, timeout, until)
-- Waits until `sent >= pos`, or for `pos` of 0 and below until at most `-pos` bytes are in flight: `io:wait(0)` until all
-- is sent, the header block included. With `'acked'` as `until` the client's TCP must have the bytes, with `'confirmed'`
-- its program.
--
-- Returns: always a `send_result`; `httpng.reached` tells whether the position was.
-- Raises: `Not enough parameters`, `position is not an integer`, `'acked'` where the platform can't tell, `'confirmed'`
-- where nothing confirms.
-- Waits: for that, `timeout` seconds at most.
function IO.wait(io, position, timeout, choice)
  local handle = handle_of(io, position)
  if position == nil then
    error('Not enough parameters', 0)
  end
  if type(position) ~= 'number' or position % 1 ~= 0 then
    error('position is not an integer', 0)
  end
  return result_of(settle(host.wait(handle, position, timeout_of(io, timeout), until_of(io, choice))))
end

--- io:wait_draining(timeout)
-- Waits until the handler is to come to its end: the server stops, reloads or replaces this worker. What still runs
-- `shutdown_timeout` seconds later is cut. Writes and follows of other fibers go on meanwhile.
--
-- Returns: `true` when the server drains, or the exchange is over; `false` if the time was up.
-- Raises: a timeout that is no number of seconds.
-- Waits: for that, `timeout` seconds at most; for ever without one, `io.send_timeout` doesn't count.

--- io.draining
-- Whether the server drains: `true` from then on, else `nil`.
function IO.wait_draining(io, timeout)
  local handle = handle_of(io, timeout)
  timeout = optional(timeout, 'number', 'timeout must be a number of seconds, not ')
  return settle(host.wait_draining(handle, timeout)) == 1
end

--- io:write_informational(code, headers)
-- Sends an informational response (RFC 9110, 15.2) ahead of the response, such as 103. It is a hint: a client of HTTP/1.0
-- and one that doesn't read get none.
--
-- Returns: nothing, at once.
-- Raises: a code outside 102..199, [headers](#headers) that can't be, a header block that was given before.
function IO.write_informational(io, code, headers)
  settle(host.write_informational(handle_of(io, code), code_of(code), headers ~= nil and flat(headers) or nil))
end

--- io:close(trailers)
-- Ends the response cleanly, also if a write fell short: the handler says that it knows. Accepted bytes are flushed.
-- `trailers` are fields behind the body, given as [headers](#headers) are; they are left out where they can't go: on
-- HTTP/1.1 if the client didn't send `TE: trailers` or there is a Content-Length. Again: nothing.
--
-- Returns: nothing, at once.
-- Raises: trailers that can't be, such as Content-Length.
function IO.close(io, trailers)
  if io == nil then
    misused('Not enough parameters')
  end
  end_cleanly(io, handle_of(io), trailers ~= nil and flat(trailers) or nil)
end

--- io:abort()
-- Gives the exchange up at once: what is in flight is lost, and the client can tell. Over HTTP/1.1 the connection is reset,
-- over HTTP/2 the stream is. The handler may go on; its calls end as cancelled. After the end of the response: nothing.
--
-- Returns: nothing, at once.
function IO.abort(io)
  if io == nil then
    misused('Not enough parameters')
  end
  settle(host.abort(handle_of(io)))
end

local function stats_of(current, sent, cancelled, headers_were_sent, acked, lag, stalled_by, confirmed)
  return {
    current = current,
    sent = sent,
    cancelled = cancelled,
    headers_were_sent = headers_were_sent,
    acked = acked,
    confirmed = confirmed,
    lag = lag,
    stalled_by = stalled_by,
  }
end

--- io:get_send_stats()
-- Where the exchange stands, in bytes of the body.
--
-- Returns: a fresh table: `current`, `sent`, `cancelled`, `headers_were_sent`, `acked` and `confirmed` (`nil` until asked
-- for), `lag`, the seconds that the oldest byte in flight has waited, and `stalled_by`, who holds what is on its way:
-- "client", "network", "stream_window", "connection_window", "send_window" or "handler"; `nil` if bytes are moving or that
-- can't be told.
function IO.get_send_stats(io)
  return stats_of(host.stats(handle_of(io)))
end

local FIELDS = { headers = true, send_window = true, send_timeout = true, window_until = true, stall_timeout = true }

-- Fields that are there already don't come here. A method may be replaced.
local function set_field(io, name, value)
  if not FIELDS[name] and not (type(name) == 'string' and IO[name]) then
    settle(host.refuse_field(tostring(name)))
  end
  rawset(io, name, value)
end

local METATABLE = { __index = IO, __newindex = set_field }
core.metatables.io = METATABLE

function core.new_io(handle)
  local io = setmetatable({ [HANDLE] = handle, [BEGUN] = false, headers = {}, draining = core.drains }, METATABLE)
  held[handle] = io
  return io
end

-- Some connections drain, or all, and then requests that still come in find it so. Those of the numbers in this text
-- are told.
function core.drain(numbers, all)
  core.drains = all or nil
  for number in numbers:gmatch('%d+') do
    local io = held[tonumber(number)]
    if io then
      rawset(io, 'draining', true)
    end
  end
  return true
end

-- The numbers of all that are there, in one text.
function core.held()
  local numbers = {}
  for handle in next, held do
    numbers[#numbers + 1] = format('%d', handle)
  end
  return concat(numbers, ' ')
end

core.implicit, core.body_of, core.code_of = implicit, body_of, code_of
core.IO, core.handle_of, core.sending, core.begun = IO, handle_of, sending, begun
core.optional, core.timeout_of, core.until_of, core.window_of = optional, timeout_of, until_of, window_of
core.stats_of, core.BEGUN = stats_of, BEGUN

-- The host's number of the exchange, or nil for what isn't an `io`.
function core.number_of(io)
  local handle = type(io) == 'table' and rawget(io, HANDLE)
  return handle and held[handle] == io and handle or nil
end
