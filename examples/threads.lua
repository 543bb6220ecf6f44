-- Several event loops, each in a thread: while Lua computes for one client, the others go on being sent to.
--
--   python -m httpng_asyncio examples/threads.lua
--   curl http://127.0.0.1:3300/prices          a number every 20 ms
--   curl http://127.0.0.1:3300/compute         keeps Lua busy for half a second
--   curl http://127.0.0.1:3300/threads?2       two threads from now on; those that go finish what they have

local fiber, httpng = require 'fiber', require 'httpng'

local conf = {listen = '127.0.0.1:3300', threads = 4}

-- All handlers share one Lua: what one sets the others see, in whichever thread they run.
local served = 0

local function prices(req, io)
  served = served + 1
  for number = 1, 50 do
    if io:write(number .. '\n') or io:wait(0) and io:get_send_stats().cancelled then return end
    fiber.sleep(0.02)
  end
end

local function compute(req, io)
  local stop = fiber.clock() + 0.5
  local rounds = 0
  while fiber.clock() < stop do rounds = rounds + 1 end
  return 'computed\n'
end

local function threads(req, io)
  conf.threads = tonumber(req.query) or 1
  local ok, why = pcall(httpng.cfg, conf)
  return ok and 'threads: ' .. conf.threads .. '\n' or why .. '\n'
end

conf.sites = {
  {path = '/prices', handler = prices},
  {path = '/compute', handler = compute},
  {path = '/threads', handler = threads},
}
conf.handler = function(req, io) return 'streams so far: ' .. served .. '\n' end
httpng.cfg(conf)
conf.listen = nil
