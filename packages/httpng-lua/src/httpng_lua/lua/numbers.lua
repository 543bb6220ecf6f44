-- Objects here of which the host has a part under a number: it is told which of them are no longer held, each
-- time they have doubled.

local _, core = ...

-- A function that takes an object in; `forget` is called with the numbers of those that are gone.
function core.new_register(forget)
  -- number -> object: while it is there, the host must keep its part.
  local held = setmetatable({}, { __mode = 'v' })
  local numbers, count, purge_at = {}, 0, 64

  local function purge()
    for number in pairs(numbers) do
      if held[number] == nil then
        forget(number)
        numbers[number], count = nil, count - 1
      end
    end
    purge_at = 2 * count + 64
  end

  return function(number, object)
    if count >= purge_at then
      purge()
    end
    held[number], numbers[number], count = object, true, count + 1
    return object
  end
end
