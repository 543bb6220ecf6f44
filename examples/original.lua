-- A script as it was written for the original httpng: it runs as it stands.
--
--   python -m httpng_asyncio examples/original.lua
--   curl http://127.0.0.1:3300/
--   curl http://127.0.0.1:3300/lines
--   curl -d 'some text' http://127.0.0.1:3300/echo
--
-- docs/coming-from-the-original.md tells what differs, and what may be made better.

local httpng = require 'httpng'
local fiber = require 'fiber'

-- write(body, is_last) returns true when the client is gone or the response has ended.
local function lines(req, io)
  local closed = io:write_header(200, {['content-type'] = 'text/plain; charset=utf-8'}, 'the first line\n', false)
  if closed then return end
  for number = 2, 4 do
    fiber.sleep(0.01)
    closed = io:write('line ' .. number .. '\n', false)
    if closed then return end
  end
  io:write('the last line\n', true)
end

local function echo(req, io)
  io.headers['content-type'] = req.headers['content-type']
  io:write(req.body)
  io:close()
end

local function hello(req, io)
  return {
    status = 200,
    headers = {['x-peer'] = req.peer.host, ['x-version'] = req.version_major .. '.' .. req.version_minor},
    body = 'hello, ' .. req.host .. (req.https and ', in secret' or '') .. '\n',
  }
end

httpng.cfg{
  listen = 3300,
  use_body_split = true,
  threads = 2,
  sites = {
    {path = '/lines', handler = lines},
    {path = '/echo', handler = echo},
    {path = '/', handler = hello},
  },
}
