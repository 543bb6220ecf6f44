-- httpng.feed and io:follow: what a script publishes once, and each client gets when it can take it.

local host, core = ...

local settle, text, shown = core.settle, core.text, core.shown
local misused, result_of = core.misused, core.result_of
local named, key_of, wanted_keys = core.named, core.key_of, core.wanted_keys
local IO, handle_of, sending, begun = core.IO, core.handle_of, core.sending, core.begun
local DONE, FAILED = core.DONE, core.FAILED
local error, next, pairs, pcall, rawget = error, next, pairs, pcall, rawget
local concat, setmetatable, tostring, type = table.concat, setmetatable, tostring, type
local unpack = table.unpack or unpack

-- Private keys of a feed: the host's number of it, and what makes the payload of a removed key.
local NUMBER, ON_REMOVE = {}, {}

-- Arguments -----------------------------------------------------------------------------------------

local function number_of(feed)
  local number = type(feed) == 'table' and rawget(feed, NUMBER)
  if not number then
    misused('feed is invalid', feed)
  end
  return number
end

local NONE = {}

local function checked(options, known, ...)
  if options == nil then
    return NONE
  elseif type(options) ~= 'table' then
    error('options must be a table, not ' .. named(options), 0)
  end
  for name in pairs(options) do
    if not known[name] then
      settle(host.refuse_option(tostring(name), ...))
    end
  end
  return options
end

-- A box.NULL is a nil here, and must not cross the boundary.
local function option(options, name, kind, wanted)
  local value = options[name]
  if value == nil then
    return nil
  elseif type(value) ~= kind then
    error(('%s must be %s, not %s'):format(name, wanted, named(value)), 0)
  end
  return value
end

local function payload_of(given)
  local payload = text(given)
  if payload == nil then
    error('payload must be a string or a number, not ' .. named(given), 0)
  end
  return payload
end

-- Feeds ---------------------------------------------------------------------------------------------

local Feed = {}
Feed.__index = Feed
core.metatables.feed = Feed

local register = core.new_register(host.forget_feed)

local function new_feed(number, on_remove)
  return register(number, setmetatable({ [NUMBER] = number, [ON_REMOVE] = on_remove, is_closed = false }, Feed))
end

local FEED_NAMES =
  { 'policy', 'max_queued', 'overflow', 'on_remove', 'snapshot_end', 'merge', 'delta', 'full_every', 'resume' }
local FEED_OPTIONS = {}
for i = 1, #FEED_NAMES do
  FEED_OPTIONS[FEED_NAMES[i]] = true
end

local RESUME_OPTIONS = { id_line = true, first = true, gap = true, retry = true, max_replay = true }

-- What may be false as well: then nothing is sent in that place.
local function text_or_none(options, name)
  if options[name] == false then
    return false
  end
  return option(options, name, 'string', 'a string or false')
end

-- Whether clients may come back, and how, as the host takes it.
local function resume_of(options)
  local resume = options.resume
  if resume == nil or resume == false then
    return false
  elseif resume == true then
    return true
  elseif type(resume) ~= 'table' then
    error('resume must be true, false or a table, not ' .. named(resume), 0)
  end
  checked(resume, RESUME_OPTIONS, 'id_line', 'first', 'gap', 'retry', 'max_replay')
  local least, most = resume.retry, nil
  if type(least) == 'table' then
    least, most = least[1], least[2]
  elseif least == nil then
    least = nil -- no box.NULL
  end
  if least ~= nil and type(least) ~= 'number' or most ~= nil and type(most) ~= 'number' then
    error('retry must be seconds, or a table of two numbers of them, not ' .. named(resume.retry), 0)
  end
  local id_line, max_replay = option(resume, 'id_line', 'string', 'a string'), option(resume, 'max_replay', 'number', 'an integer')
  return true, id_line, text_or_none(resume, 'first'), text_or_none(resume, 'gap'), least, most, max_replay
end

--- httpng.feed(options)
-- A feed: what is published once, each client that follows it gets when it can take it. [Its options](#options-of-a-feed)
-- may be left out.
--
-- Returns: the feed.
-- Raises: an unknown option, with the nearest known one; a value that can't be.
function core.httpng.feed(options)
  options = checked(options, FEED_OPTIONS, unpack(FEED_NAMES))
  local policy = option(options, 'policy', 'string', '"latest" or "every"')
  local max_queued = option(options, 'max_queued', 'number', 'an integer')
  local overflow = option(options, 'overflow', 'string', '"close" or "drop_oldest"')
  local on_remove = option(options, 'on_remove', 'function', 'a function')
  local snapshot_end = option(options, 'snapshot_end', 'string', 'a string')
  local merge = core.made_by(options, 'merge', 'httpng.json_merge')
  local delta = core.made_by(options, 'delta', 'httpng.json_delta or httpng.text_delta')
  local full_every = option(options, 'full_every', 'number', 'an integer')
  if on_remove and policy == 'every' then
    error('on_remove is for the policy "latest": with "every" no values are kept', 0)
  end
  local number = settle(
    host.feed(policy, max_queued, overflow, snapshot_end, merge, delta, full_every, resume_of(options))
  )
  return new_feed(number, on_remove)
end

--- feed:publish(payload, key)
-- Makes `payload`, one byte at least, the newest value of `key`, for all that follow now or later. Sends nothing itself.
-- A key is a string, a number, a boolean or `nil`, and equal when Lua says so.
--
-- Returns: nothing.
-- Raises: once the feed is closed; `feed is invalid`, `Not enough parameters`, a payload or a key of another type.
function Feed.publish(feed, payload, key)
  local number = number_of(feed)
  if payload == nil then
    error('Not enough parameters', 0)
  end
  settle(host.publish(number, payload_of(payload), key_of(key)))
end

-- What tells that a key was removed, if anything does.
local function removal_of(feed, number, key, payload)
  if payload ~= nil then
    return payload_of(payload)
  end
  local fn = feed[ON_REMOVE]
  local told = nil
  if fn and not feed.is_closed and host.feed_has(number, key) then
    told = fn(key)
  end
  return told ~= nil and payload_of(told) or nil
end

--- feed:remove(key, payload)
-- Takes the value of `key` away: who follows from now on doesn't get it. Those who follow already get `payload`, or what the
-- feed's `on_remove` returns, in place of a value that was not sent; where there is neither, that one is skipped.
--
-- Returns: whether there was a value.
-- Raises: once the feed is closed; with the policy `'every'`; `feed is invalid`, a payload or a key of another type, and what
-- `on_remove` raises.
function Feed.remove(feed, key, payload)
  local number = number_of(feed)
  key = key_of(key)
  return settle(host.remove_key(number, key, removal_of(feed, number, key, payload)))
end

--- feed:clear()
-- Takes the values of all keys away, each as by `feed:remove`, oldest first.
--
-- Returns: nothing.
-- Raises: as `feed:remove` does.
function Feed.clear(feed)
  local number = number_of(feed)
  local keys, count = {}, settle(host.list_keys(number))
  for i = 1, count do
    keys[i] = host.listed_key(i)
  end
  for i = 1, count do
    Feed.remove(feed, keys[i])
  end
end

--- feed:knows(id)
-- Whether an id is one of this feed's, however long ago it was given; `false` for a feed without `resume`.
--
-- Returns: a boolean.
-- Raises: `feed is invalid`, an id that isn't a string.
function Feed.knows(feed, id)
  local number = number_of(feed)
  if type(id) ~= 'string' then
    error('id must be a string, not ' .. named(id), 0)
  end
  return host.feed_knows(number, id)
end

--- feed:close()
-- Nothing more is published: who follows goes on when what is pending is sent. Again: nothing.
--
-- Returns: nothing.

--- feed.is_closed
-- Whether it was closed.
function Feed.close(feed)
  settle(host.close_feed(number_of(feed)))
  feed.is_closed = true
end

--- feed:get_stats()
-- What became of all that was published.
--
-- Returns: a fresh table: `published`, `followers`, and of all followers together, past ones too: `delivered`, `skipped`,
-- `expired`, `merged`.
function Feed.get_stats(feed)
  local published, followers, delivered, skipped, expired, merged = host.feed_stats(number_of(feed))
  return {
    published = published,
    followers = followers,
    delivered = delivered,
    skipped = skipped,
    expired = expired,
    merged = merged,
  }
end

-- Following -----------------------------------------------------------------------------------------

-- number -> what on_gap to call: it goes with the fiber that follows, however that ends.
local gaps = setmetatable({}, { __mode = 'v' })
local last_gap = 0

local function new_gap(fn)
  if not fn then
    return NONE
  end
  last_gap = last_gap + 1
  local gap = { number = last_gap, fn = fn }
  gaps[last_gap] = gap
  return gap
end

-- Waits until a follow ends. The use of `gap` after that is what keeps it until then.
local function followed(gap, code, value)
  local result = result_of(settle(code, value))
  if gap.number then
    gaps[gap.number] = nil
  end
  return result
end

-- What on_gap gives; the host asks, outside of all fibers, so there is nothing that could wait.
function core.gap(number, lost)
  local ok, notice = pcall(gaps[number].fn, lost)
  if not ok then
    return FAILED, shown(notice)
  elseif notice == nil then
    return DONE, nil
  elseif text(notice) == nil then
    return FAILED, 'it must return a string or nil, not a ' .. type(notice)
  end
  return DONE, text(notice)
end

local FOLLOW_NAMES =
  {
    'keys', 'since', 'max_age', 'on_gap', 'max_rate', 'max_bandwidth', 'priority', 'keep_alive', 'keep_alive_comment',
    'on_lag', 'lag_limits', 'lag_policy', 'timeout', 'until_draining',
  }
local FOLLOW_OPTIONS = {}
for i = 1, #FOLLOW_NAMES do
  FOLLOW_OPTIONS[FOLLOW_NAMES[i]] = true
end

local NEEDS = ' needs a feed or a table of feeds, as httpng.feed makes them, not '

-- The numbers of a feed, or of each in a table.
local function numbers_of(feeds, call)
  local number = type(feeds) == 'table' and rawget(feeds, NUMBER)
  if number then
    return tostring(number)
  elseif type(feeds) ~= 'table' or #feeds == 0 then
    error(call .. NEEDS .. named(feeds), 0)
  end
  local numbers = {}
  for i = 1, #feeds do
    number = type(feeds[i]) == 'table' and rawget(feeds[i], NUMBER)
    if not number then
      error(call .. NEEDS .. named(feeds[i]) .. ' in it', 0)
    end
    numbers[i] = tostring(number)
  end
  return concat(numbers, ' ')
end

--- io:follow(feed, options)
-- Sends what a feed publishes, or each feed in a table, until it is closed, beginning with the latest value of each key, or, with the policy
-- `'every'`, with the next payload. [Its options](#options-of-follow) may be left out. It begins the response if need be,
-- and reads the fields of `io` when it starts. `io.send_timeout` doesn't count.
--
-- Returns: `nil` when the feed was closed, or with `until_draining` when the server drains, and all that was pending is
-- sent, and at once where body bytes are dropped by rule (HEAD); else a `send_result` as of `wait`: the time was up, or
-- the exchange is over.
-- Raises: something else than a feed, an unknown option or a wrong one, a response with a Content-Length, one that follows
-- already in another fiber, and, with `on_gap: ` in front, what `on_gap` raises.
-- Waits: for all of that, for ever without a `timeout`.
function IO.follow(io, feed, options)
  if type(io) == 'table' and rawget(io, NUMBER) then
    misused('shuttle is invalid') -- it is the feed
  end
  local handle = handle_of(io, feed)
  if feed == nil then
    error('Not enough parameters', 0)
  end
  local numbers = numbers_of(feed, 'io:follow')
  options = checked(options, FOLLOW_OPTIONS, unpack(FOLLOW_NAMES))
  local since = option(options, 'since', 'string', 'an id as the feed has given it')
  local max_age = option(options, 'max_age', 'number', 'a number of seconds')
  local timeout = option(options, 'timeout', 'number', 'a number of seconds')
  local until_draining = option(options, 'until_draining', 'boolean', 'true or false')
  local fn = option(options, 'on_gap', 'function', 'a function')
  local keep_alive = option(options, 'keep_alive', 'number', 'a number of seconds')
  local comment = option(options, 'keep_alive_comment', 'string', 'a string')
  local lags = core.lag_of(options)
  local wanted = wanted_keys(options.keys)
  local gap = new_gap(fn)
  local rate, bandwidth, priority = core.pace_of(options)
  local code, value = begun(
    io,
    host.follow(
      handle, numbers, wanted, since, max_age, gap.number, rate, bandwidth, priority, keep_alive, comment, lags,
      timeout, until_draining, sending(io)
    )
  )
  return followed(gap, code, value)
end

core.checked_options, core.option = checked, option
core.feed_numbers, core.new_gap, core.followed = numbers_of, new_gap, followed
