-- Runs the handler: its request, a plain table, goes in; what it returned comes out as plain values.
--
-- One that takes no `io` gets none, so that neither Lua nor the host has anything to keep for that.

local _, core = ...

local flat, implicit, body_of, code_of = core.flat, core.implicit, core.body_of, core.code_of
local new_io, new_request, start = core.new_io, core.new_request, core.start
local error, next, tostring, type = error, core.next, tostring, type

-- What handlers return ------------------------------------------------------------------------------

local RESPONSE = { status = true, headers = true, body = true }

-- The first key that isn't one of a response, or nil: there are three that are, so a fourth can't be.
local function odd_key(response)
  -- Step by step, as LuaJIT compiles the call of a handler with all that is called in it only if there is no loop.
  local key = next(response)
  if RESPONSE[key] then
    key = next(response, key)
    if RESPONSE[key] then
      key = next(response, key)
      if RESPONSE[key] then
        key = next(response, key)
      end
    end
  end
  return key
end

local function checked(response)
  local key = odd_key(response)
  if key ~= nil then
    error('a response has status, headers and body, not ' .. tostring(key), 0)
  end
  local status, body = response.status, response.body
  return status ~= nil and code_of(status) or 200, body ~= nil and body_of(body) or ''
end

-- Status (nil: none was returned), body, and headers as `flat` has them.
local function answer(io, returned)
  if returned == nil then
    return nil, nil, io and implicit(io)
  elseif type(returned) == 'string' then
    return 200, returned, io and implicit(io)
  elseif type(returned) ~= 'table' then
    error('a handler must return nil, a string or a table, not ' .. type(returned), 0)
  end
  local status, body = checked(returned)
  return status, body, flat(returned.headers)
end

local function run(handler, request, io)
  return answer(io, (handler(request, io)))
end

-- Starts a handler on an exchange, whose number is nil if nothing will be asked about it: its fiber's id, and what the
-- first step brought.
function core.serve(number, handle, ...)
  local handler, io = core.handlers[number], handle and new_io(handle)
  return start(run, handler, new_request(io, ...), io)
end
