-- A queue of jobs: two fibers work, handlers put jobs into a channel and wait for the answer, or are told to come back.
--
--   python -m httpng_asyncio examples/jobs.lua
--   curl http://127.0.0.1:3300/12
--   for n in 1 2 3 4 5 6 7 8; do curl -s http://127.0.0.1:3300/$n & done; wait

local httpng = require 'httpng'
local fiber = require 'fiber'
local log = require 'log'

local WORKERS, SECONDS = 2, 0.2
local jobs = fiber.channel(4) -- so many may stand in line
local done = 0

local function work(number)
  while true do
    local job = jobs:get()
    local ok, answer = pcall(function()
      fiber.sleep(SECONDS) -- what takes time: other fibers and handlers run meanwhile
      return assert(tonumber(job.input), 'not a number') ^ 2
    end)
    done = done + 1
    log.info('worker %d has done job %d', number, done)
    job.answer:put({ok = ok, value = answer}, 0) -- 0: whoever has given up waiting gets nothing
  end
end

local function handler(req)
  local job = {input = req.path:sub(2), answer = fiber.channel(1)}
  if not jobs:put(job, 0.1) then
    return {status = 503, headers = {['retry-after'] = 1}, body = 'too many jobs\n'}
  end
  local answer = job.answer:get(5)
  if not answer then return {status = 504, body = 'it takes too long\n'} end
  if not answer.ok then return {status = 400, body = 'not a number\n'} end
  return ('%d\n'):format(answer.value)
end

for number = 1, WORKERS do
  fiber.create(work, number):name('worker ' .. number)
end
httpng.cfg{handler = handler, listen = '127.0.0.1:3300'}
