-- The answer of bench_apps.py, from Lua.

local HEADERS = {['content-type'] = 'text/plain; charset=utf-8'}

local function hello(req)
  return {status = 200, headers = HEADERS, body = 'hello'}
end

require 'httpng'.cfg{handler = hello}
