-- For wrk: asks for the sites of reloads.py in turn, and counts the responses that aren't of one configuration.

local PATHS = {'/', '/a', '/odd', '/a/x', '/even', '/pieces'}
local at, threads = 0, {}

seen, wrong, example = 0, 0, ''
local newest = -1

function setup(thread)
  threads[#threads + 1] = thread
end

function request()
  at = at % #PATHS + 1
  return wrk.format('GET', PATHS[at])
end

-- Sites of one parity only, the number in the header and in the body, and none that was replaced by then.
local function is_right(headers, body)
  local site, n, done = body:match('^(%l+) (%d+) (%d+)$')
  if not site or headers['x-n'] ~= n or tonumber(n) < tonumber(done) then
    return false
  end
  if tonumber(n) > newest then
    seen, newest = seen + 1, tonumber(n)
  end
  return not (site == 'odd' and n % 2 == 0 or site == 'even' and n % 2 == 1)
end

function response(status, headers, body)
  if status ~= 200 or not is_right(headers, body) then
    wrong, example = wrong + 1, status .. ' ' .. body
  end
end

function done()
  for _, thread in ipairs(threads) do
    print(('wrong: %d %s'):format(thread:get('wrong'), thread:get('example')))
    print(('configurations seen: %d'):format(thread:get('seen')))
  end
end
