-- How deep calls of C may nest on LuaJIT, which doesn't count them, and crashes. Lua 5.4 does, and raises.

local error, pcall, type = error, pcall, type

if not jit then
  return
end

local gsub, resume = string.gsub, coroutine.resume

local MOST = 190
local OVERFLOW = 'C stack overflow'

local depth = 0

local function left(...)
  depth = depth - 1
  return ...
end

function coroutine.resume(co, ...)
  if depth >= MOST then
    return false, OVERFLOW
  end
  depth = depth + 1
  return left(resume(co, ...))
end

local function raised(ok, result, count)
  if ok then
    return result, count
  end
  error(result, 0)
end

-- Each one that calls back keeps a buffer of kilobytes on the stack.
function string.gsub(source, pattern, replacement, ...)
  if type(replacement) == 'string' then
    return gsub(source, pattern, replacement, ...)
  elseif depth >= MOST then
    error(OVERFLOW, 2)
  end
  depth = depth + 1
  return raised(left(pcall(gsub, source, pattern, replacement, ...)))
end
