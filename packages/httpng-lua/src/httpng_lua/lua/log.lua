-- require 'log': Python's logging, by the logger httpng.lua.

local host, core = ...

local json, shown = core.json, core.shown
local format = string.format
local pcall, select, type = pcall, select, type

local log = {}

-- The arguments of string.format; a single one is logged as it is, a table as JSON if it can be.
local function text_of(given, ...)
  if select('#', ...) > 0 then
    local formatted = format(given, ...)
    return formatted -- not a tail call: its errors would name this function
  elseif type(given) == 'table' then
    local ok, encoded = pcall(json.encode, given)
    return ok and encoded or shown(given)
  end
  return shown(given)
end

--- log.error(...), log.warn(...), log.info(...), log.verbose(...), log.debug(...)
-- Log to Python's logger `httpng.lua`, with `verbose` as level 15, between INFO and DEBUG. The arguments are those of
-- `string.format`. A single one is logged as it is, and a table as JSON. What isn't logged isn't formatted either.
--
-- Returns: nothing.
-- Raises: as `string.format` does.
for _, level in ipairs({ 'error', 'warn', 'info', 'verbose', 'debug' }) do
  log[level] = function(...)
    if host.logs(level) then
      host.log(level, text_of(...))
    end
  end
end

package.preload.log = function()
  return log
end
