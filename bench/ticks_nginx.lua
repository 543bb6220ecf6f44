-- The ticks of ticks.py for nginx with Lua: the newest one, when flush(true) says that the last has gone.

local ffi = require 'ffi'
pcall(ffi.cdef, [[
  struct ticks_timespec { long seconds; long nanoseconds; };
  int clock_gettime(int clock, struct ticks_timespec *now);
]])

local PER_SECOND, SIZE = 50, 1024
local CLOCK_MONOTONIC = 1
local LAST = PER_SECOND * 3600
local timespec = ffi.new('struct ticks_timespec')

local function clock()
  ffi.C.clock_gettime(CLOCK_MONOTONIC, timespec)
  return tonumber(timespec.seconds) + tonumber(timespec.nanoseconds) / 1e9
end

ngx.header['content-type'] = 'application/octet-stream'
ngx.header['cache-control'] = 'no-store'
local number = 0
for _ = 1, LAST do
  local pause = (number + 1) / PER_SECOND - clock()
  if pause > 0 then ngx.sleep(pause) end
  number = math.floor(clock() * PER_SECOND)
  local body = string.format('%020d', number) .. ('.'):rep(SIZE - 21) .. '\n'
  if not ngx.print(body) or not ngx.flush(true) then return end
end
