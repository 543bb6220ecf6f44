-- A stock ticker on a feed: each quote goes out once for all, and slow clients skip to the newest.
--
--   python -m httpng_asyncio examples/ticker_feed.lua
--   curl -N http://127.0.0.1:3300/
--
-- / streams server-sent events. A client that has missed quotes is told so: by an event `gap` with their
-- number, also when it comes back with the header Last-Event-ID. /stats tells what became of all quotes.

local httpng = require 'httpng'
local fiber = require 'fiber'

local SYMBOLS = {'ACME', 'BOLT', 'CORK', 'DUNE', 'ECHO', 'FERN', 'GULF', 'HALO'}
local PER_SECOND = 50
local EVENT_STREAM = {['content-type'] = 'text/event-stream', ['cache-control'] = 'no-store'}

local feed = httpng.feed()
local number, prices = 0, {}

local function quote()
  local symbol = SYMBOLS[math.random(#SYMBOLS)]
  local price = math.max(1, (prices[symbol] or 100) + (math.random() - 0.5) * 0.4)
  number, prices[symbol] = number + 1, price
  local data = ('{"symbol":"%s","price":%.2f}'):format(symbol, price)
  feed:publish(('id: %d\ndata: %s\n\n'):format(number, data), symbol)
end

-- Prices walk for as long as somebody looks.
local function trade()
  while true do
    fiber.sleep(1 / PER_SECOND)
    if feed:get_stats().followers > 0 then quote() end
  end
end

local function gap(missed)
  return ('event: gap\ndata: %d\n\n'):format(missed)
end

-- The quotes, from the newest of each symbol on.
local function stream(req, io)
  io.headers = EVENT_STREAM
  local last = tonumber((req.headers['last-event-id'] or ''):match('^%d+$'))
  if last and last < number then io:write(gap(number - last)) end
  io:follow(feed, {max_age = 10, on_gap = gap})
end

local function stats()
  local told = {}
  for name, count in pairs(feed:get_stats()) do
    told[#told + 1] = ('"%s":%d'):format(name, count)
  end
  return '{' .. table.concat(told, ',') .. '}'
end

local function handler(req, io)
  if req.path == '/stats' then
    return {headers = {['content-type'] = 'application/json'}, body = stats()}
  elseif req.path ~= '/' then
    return {status = 404, body = 'not found'}
  end
  stream(req, io)
end

fiber.create(trade)
httpng.cfg{handler = handler, listen = '127.0.0.1:3300'}
