-- What a write that timed out tells, and two things to do about it.
--
--   python -m httpng_asyncio examples/patience.lua
--   curl -sN --limit-rate 4M http://127.0.0.1:3300/drop | tail -c 60
--   curl -sN --limit-rate 40M http://127.0.0.1:3300/go-on | wc -c
--
-- /drop gives a client half a second for 64 MB. What was not accepted by then is not sent, ever; the client gets
-- a line that tells how much that was. /go-on sends all of it, half a second at a time, for as long as the client
-- takes something. The log tells how often that fell short.

local httpng = require 'httpng'
local log = require 'log'

local SIZE, SECONDS = 64000000, 0.5
local body = ('.'):rep(SIZE)

local function drop(io)
  local result = io:write(body, SECONDS)
  if not result then return io:write('\nall of it\n') end -- nil: all was accepted
  if httpng.cancelled(result) then return end -- the client is gone
  local taken = httpng.body_bytes_sent(result)
  log.info('dropped all but %d bytes', taken)
  io:write(('\nonly %d of %d bytes in time\n'):format(taken, SIZE))
  -- The last write was whole: so the response ends cleanly, else it would be cut short.
end

local function go_on(io)
  local at, calls = 0, 0
  while at < SIZE do
    local result = io:write(body:sub(at + 1), SECONDS)
    calls = calls + 1
    if not result then break end
    local taken = httpng.body_bytes_sent(result)
    if httpng.cancelled(result) or taken == 0 then
      log.warn('gave up after %d bytes', at + taken)
      return -- short of what was to be written: it is cut short
    end
    at = at + taken
  end
  log.info('all of it, in %d calls', calls)
end

local function handler(req, io)
  if req.path == '/drop' then
    drop(io)
  elseif req.path == '/go-on' then
    io.headers['content-length'] = SIZE
    go_on(io)
  else
    return {status = 404, body = '/drop or /go-on\n'}
  end
end

httpng.cfg{handler = handler, listen = '127.0.0.1:3300'}
