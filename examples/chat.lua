-- A chat: whoever listens gets every message that is said from then on, each client at its own pace.
--
--   python -m httpng_asyncio examples/chat.lua
--   curl -N http://127.0.0.1:3300/
--   curl -d 'hello all' 'http://127.0.0.1:3300/say?as=ada'       # in another terminal
--
-- Nobody waits for a slow client: up to 64 KiB wait for it, then the oldest messages are skipped, and it is told.

local httpng = require 'httpng'

local messages = httpng.feed{policy = 'every', max_queued = 65536, overflow = 'drop_oldest'}
local router = httpng.router.new()

router:route({path = '/', method = 'GET'}, function(req, io)
  io.headers = {['content-type'] = 'text/plain; charset=utf-8', ['cache-control'] = 'no-store'}
  io:write('welcome\n')
  io:follow(messages, {
    on_gap = function(missed) return ('(you have missed %d messages)\n'):format(missed) end,
  })
end)

router:route({path = '/say', method = 'POST'}, function(req)
  local name = (req.query or ''):match('^as=(%w+)$') or 'somebody'
  local text = req.body:gsub('%c', ' ')
  if text == '' then return {status = 400, body = 'say something\n'} end
  messages:publish(name .. ': ' .. text .. '\n')
  return {status = 202, body = ('%d listen\n'):format(messages:get_stats().followers)}
end)

httpng.cfg{handler = router, listen = '127.0.0.1:3300', max_body_len = 1000}
