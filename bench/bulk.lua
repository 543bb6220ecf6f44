-- The bulk of bench_apps.py, from Lua: /chunked/COUNT or /sized/COUNT, as many pieces.

local PIECE = ('x'):rep(65536)

local function handler(req, io)
  local kind, count = req.path:match '^/(%a+)/?(%d*)$'
  if not kind then
    return {status = 200, headers = {['content-type'] = 'text/plain; charset=utf-8'}, body = 'hello'}
  end
  local headers = {['content-type'] = 'application/octet-stream'}
  if kind == 'sized' then
    headers['content-length'] = tostring(tonumber(count) * #PIECE)
  end
  io:write_header(200, headers)
  for _ = 1, tonumber(count) do
    io:write(PIECE)
  end
end

require 'httpng'.cfg{handler = handler}
