-- The handler of lua_writes.py, in Lua: as many writes as the path says.

local BODY = ('x'):rep(100)

local function handler(req, io)
  for _ = 1, tonumber(req.path:sub(2)) do
    io:write(BODY)
  end
end

require 'httpng'.cfg{handler = handler, default_send_window = 2 ^ 30}
