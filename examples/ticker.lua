-- A stock ticker: 50 boards a second, and the newest one to whoever is ready for it.
--
--   python -m httpng_asyncio examples/ticker.lua
--   curl -N http://127.0.0.1:3300/
--
-- / streams server-sent events. A slow client gets fewer boards, each of them fresh: the next is chosen
-- when the client has acknowledged the last (on Linux; elsewhere, without window_until, when the TCP/IP stack
-- has taken it). /every writes every board, whoever reads, for comparison.
-- /stats tells where each stream stands; name yours with ?client=NAME.

local httpng = require 'httpng'
local fiber = require 'fiber'

local SYMBOLS = {'ACME', 'BOLT', 'CORK', 'DUNE', 'ECHO', 'FERN', 'GULF', 'HALO'}
local PER_SECOND = 50
local EVENT_STREAM = {['content-type'] = 'text/event-stream', ['cache-control'] = 'no-store'}

local prices = {}
for _, symbol in ipairs(SYMBOLS) do prices[symbol] = 100 end

local began = fiber.clock()
local number, event = 0, nil

local function number_of_now()
  return math.floor((fiber.clock() - began) * PER_SECOND)
end

local function make_event()
  local quotes = {}
  for i, symbol in ipairs(SYMBOLS) do
    local price = math.max(1, prices[symbol] + (math.random() - 0.5) * 0.4)
    prices[symbol] = price
    quotes[i] = string.format('{"symbol":"%s","bid":%.2f,"ask":%.2f,"last":%.2f,"volume":%d}',
      symbol, price - 0.01, price + 0.01, price, math.random(100000, 999999))
  end
  local board = string.format('{"at":%.3f,"quotes":[%s]}', fiber.time(), table.concat(quotes, ','))
  return string.format('id: %d\ndata: %s%s\n\n', number, board, (' '):rep(980 - #board))
end

-- The board of now as an event: about 1 KiB, made once for all who ask.
local function newest_board()
  local now = number_of_now()
  if now ~= number or event == nil then
    number = now
    event = make_event()
  end
  return event
end

local function wait_for_next_board()
  fiber.sleep(began + (number_of_now() + 1) / PER_SECOND - fiber.clock() + 0.001)
end

-- The newest board, each time the client has the last one.
local function newest(io)
  io.window_until = 'acked'
  while true do
    wait_for_next_board()
    -- The client is gone, or has acknowledged nothing for as long as default_send_timeout.
    if io:write(newest_board()) or not httpng.reached(io:wait(0)) then return end
  end
end

-- Every board, into whatever buffer has room: what most servers do.
local function every(io)
  while true do
    wait_for_next_board()
    if io:write(newest_board()) then return end
  end
end

local streams = {}

local function stats()
  local told = {}
  for name, io in pairs(streams) do
    local each = io:get_send_stats()
    told[#told + 1] = string.format('"%s":{"current":%d,"sent":%d}', name, each.current, each.sent)
  end
  return '{' .. table.concat(told, ',') .. '}'
end

local function handler(req, io)
  local path = req.path:match('^[^?]*')
  if path == '/stats' then
    return {headers = {['content-type'] = 'application/json'}, body = stats()}
  end
  local stream = ({['/'] = newest, ['/every'] = every})[path]
  if not stream then return {status = 404, body = 'not found'} end

  local name = (req.query or ''):match('^client=([%w-]+)') or req.peer.host .. ':' .. req.peer.port
  streams[name] = io
  io.headers = EVENT_STREAM
  stream(io)
  streams[name] = nil
end

httpng.cfg{handler = handler, listen = '127.0.0.1:3300'}
