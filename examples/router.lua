-- Routes: which handler has which path and method, with placeholders, and a function that is asked first.
--
--   python -m httpng_asyncio examples/router.lua
--   curl http://127.0.0.1:3300/users/ada
--   curl http://127.0.0.1:3300/files/2024/report.txt
--   curl -X DELETE -H 'x-token: secret' http://127.0.0.1:3300/users/ada

local httpng = require 'httpng'

local users = {ada = 'Ada Lovelace', alan = 'Alan Turing'}
local router = httpng.router.new()

-- Whoever changes something must know the token. What this returns, if not nil, is the answer.
router:before(function(req)
  local reads = req.method == 'GET' or req.method == 'HEAD'
  if not reads and req.headers['x-token'] ~= 'secret' then
    return {status = 403, body = 'no token\n'}
  end
  req:stash('reader', not reads and 'admin' or 'guest') -- for the handlers below
end)

router:route({path = '/', method = 'GET'}, function(req)
  return 'hello ' .. req:stash('reader') .. '\n'
end)

router:route({path = '/users/:name', method = 'GET'}, function(req)
  local user = users[req:stash('name')]
  return user and user .. '\n' or {status = 404, body = 'no such user\n'}
end)

-- Another method of the same path. Any third one is answered with 405, and an Allow header that names these.
router:route({path = '/users/:name', method = 'DELETE'}, function(req)
  users[req:stash('name')] = nil
  return {status = 204}
end)

router:route({path = '/files/*path'}, function(req)
  return 'you want ' .. req:stash('path') .. '\n'
end)

httpng.cfg{handler = router, listen = '127.0.0.1:3300'}
