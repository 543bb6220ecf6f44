-- httpng.router: routes and their handlers. The host finds the route; the handlers stay here.

local host, core = ...

local settle, misused = core.settle, core.misused
local STASH = core.STASH
local error, ipairs, rawget, select = error, ipairs, rawget, select
local setmetatable, tostring, type = setmetatable, tostring, type

-- Private keys of a router: the host's number of it, the handlers by the numbers of their routes, what is
-- called before them, and the function that serves it.
local NUMBER, HANDLERS, BEFORE, FUNCTION = {}, {}, {}, {}

local Router = {}
Router.__index = Router
core.metatables.router = Router

local register = core.new_register(host.forget_router)

local function is_router(value)
  return type(value) == 'table' and rawget(value, NUMBER) ~= nil
end

local function checked(router)
  if not is_router(router) then
    misused('router is invalid', router)
  end
  return router
end

-- A router as a handler; any other value as it is.
local function as_function(value)
  return is_router(value) and value[FUNCTION] or value
end

local function checked_function(value, name)
  local fn = as_function(value)
  if type(fn) ~= 'function' then
    error(name .. ' is not a function', 0)
  end
  return fn
end

-- Serving -------------------------------------------------------------------------------------------

local function stashed(request, ...)
  local stash = rawget(request, STASH) or {}
  for at = 1, select('#', ...), 2 do
    local name, value = select(at, ...)
    stash[name] = value
  end
  request[STASH] = stash
end

local function refusal(status, body, allow)
  return { status = status, body = body, headers = { ['content-type'] = 'text/plain; charset=utf-8', allow = allow } }
end

local function routed(router, request, io, route, ...)
  if route == nil then
    return refusal(...)
  end
  stashed(request, ...)
  local handler = router[HANDLERS][route]
  for _, fn in ipairs(router[BEFORE]) do
    local answer = fn(request, io)
    if answer ~= nil then
      return answer
    end
  end
  return handler(request, io)
end

-- A handler may have changed it, or made up the whole request.
local function field(request, name)
  local value = request[name]
  if type(value) ~= 'string' then
    error(name .. ' of a request must be a string, not ' .. type(value), 0)
  end
  return value
end

local function serve(router, request, io)
  local method, name, path = field(request, 'method'), field(request, 'host'), field(request, 'path')
  local number = core.number_of(io)
  return routed(router, request, io, host.find_route(router[NUMBER], method, name, path, number))
end

Router.__call = serve

-- Routes --------------------------------------------------------------------------------------------

local OPTIONS = { path = true, method = true, host = true, name = true, stream_body = true }

-- A box.NULL is a nil here, and must not cross the boundary.
local function text_of(options, key)
  local value = options[key]
  if value == nil then
    return nil
  elseif type(value) ~= 'string' then
    error(key .. ' of a route must be a string, not ' .. type(value), 0)
  end
  return value
end

local function flag_of(options, key)
  local value = options[key]
  if value == nil then
    return nil
  elseif type(value) ~= 'boolean' then
    error(key .. ' of a route must be true or false, not ' .. type(value), 0)
  end
  return value
end

local function checked_options(options)
  if type(options) ~= 'table' then
    error('options must be a table, not ' .. type(options), 0)
  elseif options.path == nil then
    error('a route needs a path', 0)
  end
  for key in pairs(options) do
    if not OPTIONS[key] then
      settle(host.refuse_option(tostring(key), 'path', 'method', 'host', 'name', 'stream_body'))
    end
  end
  local path, method, name = text_of(options, 'path'), text_of(options, 'method'), text_of(options, 'host')
  return path, method, name, text_of(options, 'name'), flag_of(options, 'stream_body')
end

--- router:route(options, handler)
-- Adds a route: its [options](#options-of-a-route), and a function or another router. Requests that arrive after that
-- see it. With `stream_body = true` the handler starts when the head is in, and reads the body by
-- [`req:read`](#reqreadtimeout).
--
-- Returns: the router, for the next one.
-- Raises: `router is invalid`, a path that can't be, a name that is taken, an unknown option, `handler is not a function`.
function Router:route(options, handler)
  checked(self)
  local path, method, name, title, streams = checked_options(options)
  local fn = checked_function(handler, 'handler')
  local inner = is_router(handler) and handler[NUMBER] or nil
  local route = settle(host.add_route(self[NUMBER], path, method, name, title, streams, inner))
  self[HANDLERS][route] = fn
  return self
end

--- router:delete(name)
-- Deletes the route of that name; its handlers that run go on.
--
-- Returns: nothing.
-- Raises: if there is none.
function Router:delete(name)
  checked(self)
  if type(name) ~= 'string' then
    error('name of a route must be a string, not ' .. type(name), 0)
  end
  self[HANDLERS][settle(host.delete_route(self[NUMBER], name))] = nil
end

--- router:before(fn)
-- Has `fn(req, io)` called before the handler of any route, in the order in which they were given. What it returns, if
-- not `nil`, is the response. It may wait. Where the body is streamed it is called when the head is in.
--
-- Returns: the router.
-- Raises: `before is not a function`.
function Router:before(fn)
  local list = checked(self)[BEFORE]
  list[#list + 1] = checked_function(fn, 'before')
  return self
end

--- httpng.router.new()
-- A router without routes: a handler, for `cfg` or to be called like one.
--
-- Returns: the router.
local function new()
  local router = { [NUMBER] = host.router(), [HANDLERS] = {}, [BEFORE] = {} }
  router[FUNCTION] = function(request, io)
    return serve(router, request, io)
  end
  return register(router[NUMBER], setmetatable(router, Router))
end

core.httpng.router = { new = new }
core.as_function = as_function

-- The host's number of a router, or nil for anything else.
function core.router_number(value)
  return is_router(value) and value[NUMBER] or nil
end

package.preload['httpng.router'] = function()
  return core.httpng.router
end
