-- Runs the handler: its request, a plain table, goes in; what it returned comes out as plain values.

local _, core = ...

local flat, implicit, body_of, code_of = core.flat, core.implicit, core.body_of, core.code_of
local concat, gmatch = table.concat, string.gmatch
local error, next, rawget, setmetatable = error, next, rawget, setmetatable
local tostring, type = tostring, type

-- Key of ours in a request: what a router has stashed.
local STASH = {}
core.STASH = STASH

-- Requests ------------------------------------------------------------------------------------------

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

local Request = {}
Request.__index = Request
core.metatables.request = Request

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

local function new_request(
  method, path, query, name, body, https, is_websocket, major, minor,
  peer, peer_port, peer_family, ours, our_port, our_family, headers
)
  return setmetatable({
    method = method,
    path = path,
    query = query,
    host = name,
    headers = joined(headers),
    body = body,
    https = https,
    is_websocket = is_websocket,
    version_major = major,
    version_minor = minor,
    peer = address(peer, peer_port, peer_family),
    ouraddr = address(ours, our_port, our_family),
  }, Request)
end

-- What handlers return ------------------------------------------------------------------------------

local RESPONSE = { status = true, headers = true, body = true }

local function checked(response)
  for key in next, response do
    if not RESPONSE[key] then
      error('a response has status, headers and body, not ' .. tostring(key), 0)
    end
  end
  local status, body = response.status, response.body
  return status ~= nil and code_of(status) or 200, body ~= nil and body_of(body) or ''
end

-- Status (nil: none was returned), body, and headers as `flat` has them.
local function answer(io, returned)
  if returned == nil then
    return nil, nil, implicit(io)
  elseif type(returned) == 'string' then
    return 200, returned, implicit(io)
  elseif type(returned) ~= 'table' then
    error('a handler must return nil, a string or a table, not ' .. type(returned), 0)
  end
  local status, body = checked(returned)
  return status, body, flat(returned.headers)
end

local function run(handler, request, io)
  return answer(io, (handler(request, io)))
end

-- Starts a handler on an exchange: its fiber, and what the first step brought.
function core.serve(number, handle, ...)
  local io, request = core.new_io(handle), new_request(...)
  local handler = core.handlers[number]
  local id = core.new_fiber(run, handler)
  return id, core.step(id, handler, request, io)
end
