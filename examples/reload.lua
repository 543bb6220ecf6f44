-- Handlers, sites and settings are replaced while the server runs: all of it, or, if something is wrong, nothing.
--
--   python -m httpng_asyncio examples/reload.lua
--   curl http://127.0.0.1:3300/            the first version
--   curl http://127.0.0.1:3300/switch      gives it the second, and back
--   curl http://127.0.0.1:3300/mistake     is refused, and changes nothing

local httpng = require 'httpng'

local conf = {listen = '127.0.0.1:3300'}

local function first(req, io) return 'the first version\n' end
local function second(req, io) return 'the second version\n' end

local function switch(req, io)
  conf.handler = conf.handler == first and second or first
  httpng.cfg(conf)
  return 'switched\n'
end

local function mistake(req, io)
  local ok, why = pcall(httpng.cfg, {handler = first, threads = 1000})
  return tostring(ok) .. ': ' .. tostring(why) .. '\n'
end

conf.sites = {
  {path = '/switch', handler = switch},
  {path = '/mistake', handler = mistake},
}
conf.handler = first
httpng.cfg(conf)
-- Where a server listens can't be changed while it runs, so what follows must not name it.
conf.listen = nil
