-- httpng.sse_event and httpng.sse_headers: server-sent events as strings.

local host, core = ...

local settle, text = core.settle, core.text
local error, pairs, tostring, type = error, pairs, tostring, type

local FIELDS = { event = true, id = true, retry = true, comment = true }

-- A field that may be left out; a box.NULL is a nil here, and must not cross the boundary.
local function field(fields, name)
  local given = fields[name]
  if given == nil then
    return nil
  end
  local value = text(given)
  if value == nil then
    error(name .. ' must be a string or a number, not a ' .. type(given), 0)
  end
  return value
end

local function retry_of(fields)
  local given = fields.retry
  if given ~= nil and type(given) ~= 'number' then
    error('retry must be a whole number of milliseconds, not a ' .. type(given), 0)
  end
  return given ~= nil and given or nil
end

--- httpng.sse_event(data, fields)
-- One server-sent event, or what stands between two, for `io:write` or `feed:publish`. Each line of `data` goes in a field
-- of its own; `nil`: the event has no data, and a client acts on none. `fields` may have `event` (its type), `id` (what a
-- client that comes back sends as `Last-Event-ID`), `retry` (milliseconds until it comes back) and `comment`.
--
-- Returns: a string.
-- Raises: nothing was given; a line end or NUL in `event` or `id`; a value of another type, an unknown field.
function core.httpng.sse_event(data, fields)
  if fields == nil then
    fields = {}
  elseif type(fields) ~= 'table' then
    error('fields must be a table, not a ' .. type(fields), 0)
  end
  for name in pairs(fields) do
    if not FIELDS[name] then
      settle(host.refuse_option(tostring(name), 'event', 'id', 'retry', 'comment'))
    end
  end
  local body = nil
  if data ~= nil then
    body = text(data)
    if body == nil then
      error('data must be a string or a number, not a ' .. type(data), 0)
    end
  end
  local event, id, comment = field(fields, 'event'), field(fields, 'id'), field(fields, 'comment')
  return settle(host.sse_event(body, event, id, retry_of(fields), comment))
end

--- httpng.sse_headers()
-- The headers of a response that is a stream of events: nothing may store it, and nginx is told not to buffer it.
--
-- Returns: a fresh table, for `io.headers`.
function core.httpng.sse_headers()
  local headers = {}
  local names = { 'content-type', 'cache-control', 'x-accel-buffering' }
  for at = 1, #names do
    headers[names[at]] = settle(host.sse_header(names[at]))
  end
  return headers
end
