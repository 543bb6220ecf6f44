-- What a handler gets as its request: a plain table. What costs comes when it is first asked for.

local host, core = ...

local settle_taken, FAILED = core.settle_taken, core.FAILED
local concat, gmatch = table.concat, string.gmatch
local error, next, pairs, rawget, rawset = error, next, pairs, rawget, rawset
local select, setmetatable, type = select, setmetatable, type

-- Private key of a request: what a router has stashed.
local STASH = {}
core.STASH = STASH
-- Of what the rest is made when it is asked for: the header lines, false where the host is asked, and the ends of the
-- connection; and whether the request says its version. All these keys are gone once the rest is there. They are strings,
-- for Lua then makes a table with places for them at once; a script that writes there lies to itself alone.
local LINES, ENDS, IS_VERSIONED = '\0lines', '\0ends', '\0is_versioned'
core.next = next -- the one below costs more, and ours need it for what may be a request only

local LATER = { headers = true, is_websocket = true, peer = true, ouraddr = true, version_major = true, version_minor = true }
-- The version of a request that doesn't say it.
local USUAL = { version_major = 1, version_minor = 1 }

-- request -> io, of those of which the host is asked for the rest. Not in the request, where a script could find it.
local asked = setmetatable({}, { __mode = 'k' })
-- request -> io, of those whose bodies come in while their handlers run: it keeps the host from forgetting them.
local streamed = setmetatable({}, { __mode = 'k' })
-- Of the others: whether the body was read already.
local taken = setmetatable({}, { __mode = 'k' })

-- Headers as they crossed the boundary: name and value, a line each.
local function joined(lines)
  local headers, repeated = {}, {}
  for name, value in gmatch(lines, '([^\n]*)\n([^\n]*)\n') do
    local before = headers[name]
    if before == nil then
      headers[name] = value
    else
      local values = repeated[name] or { before }
      values[#values + 1], repeated[name] = value, values
    end
  end
  for name, values in next, repeated do
    headers[name] = concat(values, name == 'cookie' and '; ' or ', ')
  end
  return headers
end

local function address(name, port, family)
  local protocol = family == 'AF_UNIX' and 'unix' or 'tcp'
  return { host = name, port = port, family = family, type = 'SOCK_STREAM', protocol = protocol }
end

local function fill(request, is_websocket, peer, peer_port, peer_family, ours, our_port, our_family, headers, trailers)
  local rest = {
    headers = joined(headers),
    is_websocket = is_websocket,
    peer = address(peer, peer_port, peer_family),
    ouraddr = address(ours, our_port, our_family),
  }
  for name, value in next, rest do
    rawset(request, name, value)
  end
  if trailers ~= '' then
    rawset(request, 'trailers', joined(trailers))
  end
  if not rawget(request, IS_VERSIONED) then
    for name, value in next, USUAL do
      if rawget(request, name) == nil then
        rawset(request, name, value)
      end
    end
  end
  rawset(request, LINES, nil)
  rawset(request, ENDS, nil)
  rawset(request, IS_VERSIONED, nil)
  asked[request] = nil
end

local function told(code, ...)
  if code == FAILED then
    error((...), 0)
  end
  return ...
end

-- Has all fields there, as plain ones. After that it is a table like any other.
local function complete(request)
  local lines = rawget(request, LINES)
  if lines then
    fill(request, told(host.read_rest(lines, rawget(request, ENDS))))
  elseif asked[request] then
    fill(request, told(host.request_rest(core.handle_of(asked[request]))))
  end
end

local Request = {}

-- What isn't there in every request.
local function other_field(request, name)
  local io = streamed[request]
  if name == 'trailers' then
    if io then
      return joined(host.trailers(core.handle_of(io)))
    end
    complete(request)
    return rawget(request, name) or {}
  elseif name == 'body' and io then
    error('the handler runs while the body comes in (stream_body): read it with req:read()', 2)
  end
  return Request[name]
end

local METATABLE = {
  __index = function(request, name)
    if USUAL[name] and rawget(request, LINES) ~= nil and not rawget(request, IS_VERSIONED) then
      return USUAL[name]
    elseif LATER[name] then
      complete(request)
      return rawget(request, name)
    end
    return other_field(request, name)
  end,
  -- Else what the script puts there, or takes away, would be overwritten.
  __newindex = function(request, name, value)
    if LATER[name] then
      complete(request)
    end
    rawset(request, name, value)
  end,
}
core.metatables.request = METATABLE

--- req:stash(name, value)
-- What the placeholder of that name took, percent-decoded; with a second argument, keeps that under the name for who
-- handles the request next.
--
-- Returns: a string of bytes, or the value that was kept; else `nil`.
function Request:stash(name, value)
  local stash = rawget(self, STASH)
  if value == nil then
    return stash and stash[name]
  end
  self[STASH] = stash or {}
  self[STASH][name] = value
end

--- req:read(timeout)
-- The next piece of a body that comes in while the handler runs (`stream_body`), as soon as there is one; a piece is what
-- has come, 64 KiB at most. A body that was whole comes as one piece. Who doesn't read holds the client back.
--
-- Returns: a string of bytes; `nil` at the end; `nil, 'cancelled'` if the client left before that, or the exchange is
-- over; `nil, 'timeout'` if nothing came in time: nothing is lost, read on.
-- Raises: a client that was slower than `body_timeout` or `min_body_rate` allow, a body longer than `max_stream_len`,
-- chunks that are none. A handler that lets such an error pass is answered for with 408, 413 or 400.
-- Waits: for the client, `timeout` seconds at most; without one as long as `body_timeout` lets it.
function Request:read(timeout)
  local io = streamed[self]
  if not io then
    local body = not taken[self] and rawget(self, 'body')
    taken[self] = true
    return body ~= '' and body or nil
  end
  if timeout ~= nil and type(timeout) ~= 'number' then
    error('timeout must be a number of seconds, not ' .. type(timeout), 2)
  end
  local handle = core.handle_of(io)
  return settle_taken(host.take_read, handle, host.read(handle, timeout))
end

-- Most requests are HTTP/1.1 in clear text, which isn't said; their seven fields take eight places.
local function usual(lines, ends, method, path, query, name, body)
  return {
    method = method,
    path = path,
    query = query,
    host = name,
    body = body,
    ['\0lines'] = lines,
    ['\0ends'] = ends,
  }
end

-- Apart from that one, not made from it: so sixteen places are made at once, and not eight first.
local function versioned(lines, ends, method, path, query, name, body, https, major, minor)
  return {
    method = method,
    path = path,
    query = query,
    host = name,
    body = body,
    ['\0lines'] = lines,
    ['\0ends'] = ends,
    ['\0is_versioned'] = true,
    https = https,
    version_major = major,
    version_minor = minor,
  }
end

function core.new_request(io, ends, lines, method, path, query, name, body, https, major, minor)
  local request
  if major then
    request = versioned(lines or false, ends, method, path, query, name, body, https, major, minor)
  else
    request = usual(lines or false, ends, method, path, query, name, body)
  end
  if not lines then
    asked[request] = io
  end
  if body == nil then
    streamed[request] = io
  end
  return setmetatable(request, METATABLE)
end

-- Who walks through a request finds all of it. LuaJIT knows no __pairs.
if jit then
  function _G.pairs(...)
    local walked = ...
    if type(walked) == 'table' and rawget(walked, LINES) ~= nil then
      complete(walked)
    end
    return pairs(...)
  end
else
  function METATABLE.__pairs(request)
    complete(request)
    return next, request, nil
  end
end

function _G.next(...)
  local walked, key = ...
  if type(walked) ~= 'table' then
    error(("bad argument #1 to 'next' (table expected, got %s)"):format(select('#', ...) > 0 and type(walked) or 'no value'), 2)
  elseif key == nil and rawget(walked, LINES) ~= nil then
    complete(walked)
  end
  return next(walked, key)
end
