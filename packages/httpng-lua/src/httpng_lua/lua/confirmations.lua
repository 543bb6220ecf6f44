-- httpng.confirmations: the clients of streams say by small requests what they have.

local host, core = ...

local settle, handle_of, text = core.settle, core.handle_of, core.text
local error, rawget, setmetatable, type = error, rawget, setmetatable, type

local PATH = {}
local CONFIRMATIONS = {}

local function path_of(confirmations)
  local path = type(confirmations) == 'table' and rawget(confirmations, PATH)
  if not path then
    error('confirmations is invalid', 0)
  end
  return path
end

--- confirmations:event(io)
-- The first event of a stream of server-sent events, which has its token: write it first. From then on events of the type
-- `confirm` are put between those of the handler, for the client to answer; they are part of the body, and count in
-- positions.
--
-- Returns: a string.
-- Raises: where the stream has a token, or is a WebSocket, whose client needs none.
function CONFIRMATIONS.event(confirmations, io)
  return settle(host.confirm_event(handle_of(io), path_of(confirmations)))
end

--- confirmations:token(io)
-- The token of a stream of another kind, whose client counts the bytes of the body by itself and may tell its position
-- whenever it likes. Nothing is put into the body.
--
-- Returns: a string.
-- Raises: as `confirmations:event`.
function CONFIRMATIONS.token(confirmations, io)
  path_of(confirmations)
  return settle(host.confirm_token(handle_of(io)))
end

local function answered(req)
  if req.method == 'GET' or req.method == 'HEAD' then
    local headers = { ['content-type'] = 'text/javascript; charset=utf-8', ['cache-control'] = 'no-cache' }
    return { headers = headers, body = settle(host.confirm_helper()) }
  elseif req.method ~= 'POST' then
    return { status = 405, headers = { allow = 'GET, HEAD, POST' } }
  end
  local code, status, why = host.confirm(req.body)
  return { status = settle(code, status), body = why }
end

local METATABLE = { __index = CONFIRMATIONS }
core.metatables.confirmations = METATABLE

--- httpng.confirmations(path)
-- What tells the clients of streams that are no WebSockets to confirm what they have. Its `handler` belongs to the sites, at
-- its `path`: there a POST of `TOKEN POSITION` confirms, and a GET gets a script for pages. A stream begins with
-- `confirmations:event(io)`; then `io.window_until` may be `'confirmed'`. See [Fresh behind a
-- proxy](../how-to/fresh-behind-a-proxy.md).
--
-- Returns: a table with `path`, `handler`, `event` and `token`.
-- Raises: a path that doesn't begin with `/`.
function core.httpng.confirmations(path)
  local given = type(path) == 'string' and text(path)
  if not given or given:sub(1, 1) ~= '/' then
    error("the path of confirmations must be a string that begins with '/'", 0)
  end
  return setmetatable({ [PATH] = given, path = given, handler = answered }, METATABLE)
end
