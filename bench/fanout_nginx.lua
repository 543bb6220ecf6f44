-- The ticks of fanout_apps.py from nginx with Lua: each connection sleeps until the next one, which all share.

local TICK = 200
local PERIOD = tonumber(os.getenv('FANOUT_FOLLOWERS')) / 20000
local shared = {number = 0}

local function tick(number)
  if shared.number ~= number then
    local body = 'data: ' .. string.format('%.0f', number) .. ' '
    shared.number, shared.body = number, body .. ('.'):rep(TICK - 2 - #body) .. '\n\n'
  end
  return shared.body
end

ngx.header['content-type'] = 'text/event-stream'
local number = math.floor(ngx.now() / PERIOD)
while ngx.print(tick(number)) do
  ngx.sleep((number + 1) * PERIOD - ngx.now())
  -- Its clock counts milliseconds: rounded, no tick comes twice.
  number = math.max(number + 1, math.floor(ngx.now() / PERIOD))
end
