-- The ticks of ticks.py as messages of a WebSocket: the newest one, each time the client has confirmed the last.

local httpng = require 'httpng'
local fiber = require 'fiber'

local PER_SECOND, SIZE = 50, 1024
local LAST = PER_SECOND * 3600

local function handler(req, io)
  local ws = io:upgrade_to_websocket()
  if ws == nil then return end
  ws.window_until, ws.send_window = 'confirmed', 0
  local number = 0
  for _ = 1, LAST do
    local pause = (number + 1) / PER_SECOND - fiber.clock()
    if pause > 0 then fiber.sleep(pause) end
    number = math.floor(fiber.clock() * PER_SECOND)
    local tick = string.format('%020d', number) .. ('.'):rep(SIZE - 21) .. '\n'
    if httpng.cancelled(ws:send_binary(tick)) then return end
  end
end

httpng.cfg{handler = handler, listen = '127.0.0.1:3300'}
