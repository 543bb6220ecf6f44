-- What a handler gets as its request: a plain table. What costs comes when it is first asked for.

local host, core = ...

local concat, gmatch = table.concat, string.gmatch
local error, next, pairs, rawget, rawset = error, next, pairs, rawget, rawset
local select, setmetatable, type = select, setmetatable, type

-- Keys of ours in a request: what a router has stashed, and the number of the exchange by which the rest is
-- fetched, with the io that keeps the host from forgetting it. They are gone once it was.
local STASH, REST, KEPT = {}, {}, {}
core.STASH = STASH
core.next = next -- the one below costs more, and ours need it for what may be a request only

local LATER = { headers = true, is_websocket = true, peer = true, ouraddr = true }

-- Headers as they crossed the border: name and value, a line each.
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

local function fill(request, is_websocket, peer, peer_port, peer_family, ours, our_port, our_family, headers)
  local rest = {
    headers = joined(headers),
    is_websocket = is_websocket,
    peer = address(peer, peer_port, peer_family),
    ouraddr = address(ours, our_port, our_family),
  }
  for name, value in next, rest do
    rawset(request, name, value)
  end
  rawset(request, REST, nil)
  rawset(request, KEPT, nil)
end

-- Has all fields there, as plain ones. After that it is a table like any other.
local function complete(request)
  local handle = rawget(request, REST)
  if handle then
    fill(request, host.request_rest(handle))
  end
end

local Request = {}

local METATABLE = {
  __index = function(request, name)
    if LATER[name] then
      complete(request)
      return rawget(request, name)
    end
    return Request[name]
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

function core.new_request(io, handle, method, path, query, name, body, https, major, minor)
  return setmetatable({
    method = method,
    path = path,
    query = query,
    host = name,
    body = body,
    https = https,
    version_major = major,
    version_minor = minor,
    [REST] = handle,
    [KEPT] = io,
  }, METATABLE)
end

-- Who walks through a request finds all of it. LuaJIT knows no __pairs.
if jit then
  function _G.pairs(...)
    local walked = ...
    if type(walked) == 'table' and rawget(walked, REST) then
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
  elseif key == nil and rawget(walked, REST) then
    complete(walked)
  end
  return next(walked, key)
end
