-- A directory of static files beside handlers: the first site that takes a path has it.
--
--   python -m httpng_asyncio examples/sites.lua
--   curl -i http://127.0.0.1:3300/static/about.txt
--   curl http://127.0.0.1:3300/api/time
--   curl -I http://127.0.0.1:3300/static/css/main.css

local httpng = require 'httpng'
local fiber = require 'fiber'

-- The directory beside this script, wherever the server was started.
local here = debug.getinfo(1, 'S').source:match('^@(.*)/') or '.'

httpng.cfg{
  listen = '127.0.0.1:3300',
  sites = {
    {path = '/api/time', handler = function() return ('%.3f\n'):format(fiber.time()) end},
    {path = '/api', handler = function() return {status = 404, body = 'no such call\n'} end},
    {path = '/static', handler = here .. '/public'},
  },
  -- The same as a last site '/'. Without it all else is 404.
  handler = function(req) return 'nothing at ' .. req.path .. ', try /static/about.txt\n' end,
}
