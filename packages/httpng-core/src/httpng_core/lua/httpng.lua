-- require 'httpng'

local host, core = ...

local settle = core.settle
local httpng = {}

function httpng.cfg(parameters)
  if parameters == nil then
    error('No parameters specified', 0)
  elseif type(parameters) ~= 'table' then
    error('parameters must be a table, not ' .. type(parameters), 0)
  end
  local handler = rawget(parameters, 'handler')
  settle(host.configure(parameters))
  core.handler = handler
  return true
end

function httpng.shutdown()
  settle(host.shutdown())
end

local function helper(read)
  return function(result)
    if result ~= nil and type(result) ~= 'number' then
      error('not a send_result: ' .. type(result), 0)
    end
    return settle(read(result))
  end
end

for _, name in ipairs({ 'cancelled', 'headers_were_sent', 'body_bytes_sent', 'reached' }) do
  httpng[name] = helper(host[name])
end

package.preload.httpng = function()
  return httpng
end
