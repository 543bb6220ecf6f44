-- The ticks of ticks.py as handlers of httpng: the newest one, each time the last has gone.
--
-- /acked waits until the client's TCP has acknowledged it, / until the TCP/IP stack has taken it. /feed follows
-- a feed of all ticks, the next one when the client's TCP has acknowledged the last.

local httpng = require 'httpng'
local fiber = require 'fiber'

local PER_SECOND, SIZE = 50, 1024
local LAST = PER_SECOND * 3600

local function newest()
  return math.floor(fiber.clock() * PER_SECOND)
end

local function body(number)
  return string.format('%020d', number) .. ('.'):rep(SIZE - 21) .. '\n'
end

local function follow(io)
  local feed = httpng.feed()
  local over = false
  fiber.create(function()
    local number = newest()
    for _ = 1, LAST do
      if over then return end
      fiber.sleep((number + 1) / PER_SECOND - fiber.clock())
      number = newest()
      feed:publish(body(number))
    end
  end)
  io.window_until = 'acked'
  io:follow(feed)
  over = true
end

local function handler(req, io)
  io.headers = {['content-type'] = 'application/octet-stream', ['cache-control'] = 'no-store'}
  if req.path == '/feed' then return follow(io) end
  if req.path == '/acked' then io.window_until = 'acked' end
  local number = 0
  for _ = 1, LAST do
    local pause = (number + 1) / PER_SECOND - fiber.clock()
    if pause > 0 then fiber.sleep(pause) end
    number = newest()
    if io:write(body(number)) or not httpng.reached(io:wait(0)) then return end
  end
end

httpng.cfg{handler = handler, listen = '127.0.0.1:3300'}
