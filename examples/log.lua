-- What to log, at which level, and how a client that was slow shows in it.
--
--   python -m httpng_asyncio examples/log.lua --access-log
--   curl http://127.0.0.1:3300/
--   curl -d 'not JSON' http://127.0.0.1:3300/
--   curl http://127.0.0.1:3300/mistake
--
-- The log goes to stderr; in a Python program it is that of `logging`, by the logger httpng.lua.

local httpng = require 'httpng'
local json = require 'json'
local log = require 'log'

local function handler(req, io)
  -- The arguments are those of string.format. What isn't logged, as debug here, isn't formatted either.
  log.debug('%s %s from %s', req.method, req.path, req.peer.host)
  if req.path == '/mistake' then
    -- Answered with 500; the error and its traceback are logged by the server.
    error({code = 42, why = 'a table is shown with its fields'})
  end
  if req.body ~= '' then
    local ok, given = pcall(json.decode, req.body)
    if not ok then
      log.warn('%s', given)
      return {status = 400, body = given .. '\n'}
    end
    log.info(given) -- a table is logged as JSON
  end
  local result = io:write('read the log\n', 5)
  if result then
    log.error('%d bytes in 5 s, %s', httpng.body_bytes_sent(result), httpng.cancelled(result) and 'gone' or 'slow')
  end
end

httpng.cfg{handler = handler, listen = '127.0.0.1:3300'}
