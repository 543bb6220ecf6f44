-- io:upgrade_to_websocket, and what it returns: messages both ways.

local host, core = ...

local settle, settle_taken, text, misused, result_of = core.settle, core.settle_taken, core.text, core.misused, core.result_of
local flat, handle_of, optional = core.flat, core.handle_of, core.optional
local timeout_of, until_of, window_of = core.timeout_of, core.until_of, core.window_of
local TURN, FAILED, BEGUN = core.TURN, core.FAILED, core.BEGUN
local IO = core.IO
local error, rawget, rawset, select = error, rawget, rawset, select
local setmetatable, tostring, type = setmetatable, tostring, type
local unpack = table.unpack or unpack

-- Private keys: in a WebSocket its io, and whether a function takes its messages; in an io its WebSocket.
local OWNER, HAS_TAKER, SOCKET = {}, {}, {}

local SECONDS = 'timeout must be a number of seconds, not '

-- Arguments -----------------------------------------------------------------------------------------

local function owner_of(ws, second)
  local io = type(ws) == 'table' and rawget(ws, OWNER)
  if not io or rawget(io, SOCKET) ~= ws then
    misused('websocket is invalid', ws, second)
  end
  return handle_of(io)
end

local function message_of(count, given)
  if count < 2 then
    error('Not enough parameters', 0)
  end
  local message = text(given)
  if message == nil then
    error(given == nil and 'message is nil' or 'message must be a string or a number, not ' .. type(given), 0)
  end
  return message
end

local function reason_of(given)
  local reason = given ~= nil and text(given) or nil
  if given ~= nil and reason == nil then
    error('close reason must be a string, not ' .. type(given), 0)
  end
  return reason
end

local function receive_timeout(given)
  local timeout = optional(given, 'number', SECONDS)
  if timeout and not (timeout >= 0) then
    error('timeout must be 0 or more seconds, not ' .. tostring(timeout), 0)
  end
  return timeout
end

-- The WebSocket -------------------------------------------------------------------------------------

local WS = {}

local function send(is_binary, count, ws, given, timeout)
  local handle = owner_of(ws, given)
  local message = message_of(count, given)
  local code, value = host.ws_send(handle, message, is_binary, timeout_of(ws, timeout), window_of(ws), until_of(ws))
  return result_of(settle(code, value))
end

--- ws:send_text(data, timeout), ws:send(data, timeout), ws:send_binary(data, timeout)
-- Sends a message, whole or not at all. A text must be UTF-8; a number is written as in a body. One that isn't accepted in
-- time is dropped; one that is longer than the send window is accepted, all of it, when its first byte is passed to the
-- TCP/IP stack.
--
-- Returns: `nil` when it was accepted; else a `send_result`, whose `httpng.body_bytes_sent` is 0 if the message was
-- dropped, and its length if it goes out: the time was up, or the WebSocket is closed.
-- Raises: `Not enough parameters`, `message is nil`, a message that is neither a string nor a number, a text that isn't
-- UTF-8.
-- Waits: while more than `ws.send_window` would be in flight, `timeout` seconds at most.
function WS.send_text(...)
  return send(false, select('#', ...), ...)
end

WS.send = WS.send_text

function WS.send_binary(...)
  return send(true, select('#', ...), ...)
end

-- As receive does, for who gets the messages.
local function next_message(handle, timeout)
  return settle_taken(host.ws_take, handle, host.ws_receive(handle, timeout))
end

--- ws:receive(timeout)
-- The next message, whole. While nobody takes them `ws_max_queue` of them are kept, and then the client is held up.
--
-- Returns: the message, and `'text'` or `'binary'`; `nil, 'closed'` when no more will come: `ws.close_code` tells why;
-- `nil, 'timeout'` if none came in time.
-- Raises: where another fiber waits for one, or the `recv_fn` of `io:upgrade_to_websocket` gets them.
-- Waits: for a message, `timeout` seconds at most; for ever without one, `ws.send_timeout` doesn't count.
function WS.receive(ws, timeout)
  local handle = owner_of(ws, timeout)
  if rawget(ws, HAS_TAKER) then
    error('recv_fn gets the messages of this WebSocket: it has no others to receive', 0)
  end
  return next_message(handle, receive_timeout(timeout))
end

--- ws:wait(pos, timeout, until)
-- As `io:wait`, in bytes of messages as they were passed: `ws:wait(0)` waits until all are sent, and
-- `ws:wait(0, 10, 'confirmed')` until the client's program has them all.
--
-- Returns: always a `send_result`; `httpng.reached` tells whether the position was.
-- Raises: `Not enough parameters`, `position is not an integer`, `'acked'` where the platform can't tell.
-- Waits: for that, `timeout` seconds at most.
function WS.wait(ws, position, timeout, choice)
  local handle = owner_of(ws, position)
  if position == nil then
    error('Not enough parameters', 0)
  elseif type(position) ~= 'number' or position % 1 ~= 0 then
    error('position is not an integer', 0)
  end
  return result_of(settle(host.ws_wait(handle, position, timeout_of(ws, timeout), until_of(ws, choice))))
end

local FOLLOW_NAMES = {
  'binary',
  'keys',
  'since',
  'max_age',
  'on_gap',
  'max_rate',
  'max_bandwidth',
  'priority',
  'on_lag',
  'lag_limits',
  'lag_policy',
  'timeout',
  'until_draining',
}
local FOLLOW_OPTIONS = {}
for i = 1, #FOLLOW_NAMES do
  FOLLOW_OPTIONS[FOLLOW_NAMES[i]] = true
end

--- ws:follow(feed, options)
-- Sends what a feed publishes, or each feed in a table, until it is closed, each payload as a message, and each notice of
-- `on_gap` or of lag as another. [Its options](#options-of-follow) are those of `io:follow` but `keep_alive`, and
-- `binary = true`: else the messages are text, and payloads must be UTF-8.
--
-- Returns: `nil` when the feed was closed, or with `until_draining` when the server drains, and all that was pending is
-- sent; else a `send_result` as of `wait`.
-- Raises: something else than a feed, an unknown option or a wrong one, a payload that isn't UTF-8, and, with `on_gap: ` in front,
-- what `on_gap` raises.
-- Waits: for all of that, for ever without a `timeout`.
function WS.follow(ws, feed, options)
  local handle = owner_of(ws, feed)
  if feed == nil then
    error('Not enough parameters', 0)
  end
  local numbers, option = core.feed_numbers(feed, 'ws:follow'), core.option
  options = core.checked_options(options, FOLLOW_OPTIONS, unpack(FOLLOW_NAMES))
  local is_binary = option(options, 'binary', 'boolean', 'true or false')
  local since = option(options, 'since', 'string', 'an id as the feed has given it')
  local max_age = option(options, 'max_age', 'number', 'a number of seconds')
  local timeout = option(options, 'timeout', 'number', 'a number of seconds')
  local until_draining = option(options, 'until_draining', 'boolean', 'true or false')
  local fn = option(options, 'on_gap', 'function', 'a function')
  local lags = core.lag_of(options)
  local wanted = core.wanted_keys(options.keys)
  local gap = core.new_gap(fn)
  local window, choice = window_of(ws), until_of(ws)
  local rate, bandwidth, priority = core.pace_of(options)
  return core.followed(
    gap,
    host.ws_follow(
      handle,
      numbers,
      is_binary,
      wanted,
      since,
      max_age,
      gap.number,
      rate,
      bandwidth,
      priority,
      lags,
      timeout,
      until_draining,
      window,
      choice
    )
  )
end

--- ws:set_follow_pace(options)
-- Changes the limits of the follow that goes on in another fiber; see [io:set_follow_pace](#ioset_follow_paceoptions).
--
-- Returns: nothing.
-- Raises: an unknown option or a wrong one; nothing changes then.
function WS.set_follow_pace(ws, options)
  core.set_follow_pace(owner_of(ws, options), options)
end

--- ws:get_follow_stats()
-- What became of the payloads of the feed that is followed now, or was last; see
-- [io:get_follow_stats](#ioget_follow_stats).
--
-- Returns: a fresh table; `nil` if none was followed yet.
function WS.get_follow_stats(ws)
  return core.get_follow_stats(owner_of(ws))
end

--- ws:close(code, reason, timeout)
-- Closes: what was accepted goes out, then CLOSE with the code (1000) and a reason of at most 123 bytes, and the client's
-- CLOSE is waited for. Messages that come meanwhile are dropped; fibers that wait for room go on, with a result that is
-- cancelled. After the time (`ws_close_timeout`) the exchange is given up. Again: waits for that.
--
-- Returns: nothing.
-- Raises: a code that a server can't send, a reason that is too long or isn't UTF-8.
-- Waits: until it is over, `timeout` seconds at most.
function WS.close(ws, code, reason, timeout)
  local handle = owner_of(ws, code)
  code = optional(code, 'number', 'close code must be an integer, not ')
  timeout = optional(timeout, 'number', SECONDS)
  settle(host.ws_close(handle, code, reason_of(reason), timeout))
end

--- ws:get_send_stats()
-- As `io:get_send_stats`, in bytes of messages as they were passed. Of a message that goes out compressed nothing counts
-- as sent before all of it is. `stalled_by` is told by that of `io`.
--
-- Returns: a fresh table.
function WS.get_send_stats(ws)
  return core.stats_of(host.ws_stats(owner_of(ws)))
end

--- ws.close_code, ws.close_reason
-- Why it was closed: the client's code, or ours where the client broke the protocol or a limit; 1005 if the client gave
-- none, 1006 if it is gone without a closing handshake. `nil` while it is open.

--- ws.subprotocol
-- What was agreed on, or `nil`.
local ENDS = { close_code = 1, close_reason = 2 }

local function field(ws, name)
  if ENDS[name] then
    local code, reason = host.ws_end(owner_of(ws))
    if name == 'close_code' or code == nil then
      return code
    end
    return reason
  end
  return WS[name]
end

local FIELDS = { send_window = true, send_timeout = true, window_until = true }

local function set_field(ws, name, value)
  if not FIELDS[name] and not (type(name) == 'string' and WS[name]) then
    settle(host.ws_refuse_field(tostring(name)))
  end
  rawset(ws, name, value)
end

local METATABLE = { __index = field, __newindex = set_field }
core.metatables.websocket = METATABLE

-- Upgrading -----------------------------------------------------------------------------------------

local function new_websocket(io, subprotocol)
  local ws = setmetatable({
    [OWNER] = io,
    subprotocol = subprotocol,
    send_window = io.send_window,
    send_timeout = io.send_timeout,
    window_until = io.window_until,
  }, METATABLE)
  rawset(io, SOCKET, ws)
  return ws
end

-- Calls `fn` for each message, in a fiber that begins when the one that runs waits: that has its WebSocket by then.
local function hand_messages(ws, handle, fn)
  rawset(ws, HAS_TAKER, true)
  local id = core.users_fiber(function()
    local data, kind = next_message(handle)
    while data ~= nil do
      fn(data, kind == 'binary')
      data, kind = next_message(handle)
    end
    return ws -- what keeps it, and so its exchange, until then
  end)
  core.find(id).on_failed = function()
    host.ws_fail(handle)
  end
  host.adopt(id, TURN)
end

--- io:upgrade_to_websocket(headers, recv_fn)
-- Accepts the WebSocket that the request asks for (`req.is_websocket`), over HTTP/1.1 and HTTP/2. Without `headers` they
-- are `io.headers`; an explicit `nil` sends none. With `sec-websocket-protocol` among them that subprotocol is agreed on.
-- `recv_fn(data, is_binary)` is called for each message, one after the other, in a fiber of its own: it may wait. What it
-- raises is logged, and closes with 1011. Without it there is `ws:receive`.
--
-- Returns: the WebSocket, `ws`; `nil` if the client is gone.
-- Raises: `Unable to upgrade to WebSockets after sending HTTP headers`, a request that asks for none, or not as the RFCs say
-- (then a handler that lets that pass is answered for with 400, or 426 if the version is another), a subprotocol that the
-- client doesn't offer, [headers](#headers) that can't be: nothing was sent then.
function IO.upgrade_to_websocket(...)
  local count, io, headers, fn = select('#', ...), ...
  if count == 0 then
    misused('Not enough parameters')
  end
  local handle = handle_of(io, headers)
  if io[BEGUN] then
    error('Unable to upgrade to WebSockets after sending HTTP headers', 0)
  end
  fn = optional(fn, 'function', 'recv_fn must be a function, not ')
  if count == 1 then
    headers = io.headers
  end
  local code, is_there, subprotocol, fields = host.ws_accept(handle, flat(headers))
  if code == FAILED and subprotocol then
    core.blame_client(is_there, subprotocol, fields)
  end
  settle(code, is_there)
  io[BEGUN] = true
  if not is_there then
    return nil
  end
  local ws = new_websocket(io, subprotocol)
  if fn then
    hand_messages(ws, handle, fn)
  end
  return ws
end
