"""Feeds from Lua, a test a sentence: what is published, who gets it, and what on_gap may do."""

import re

import pytest
from tests.lua.conftest import Serve, Served
from tests.lua.test_leaks import MEMORY, fibers_of, memory_of, waits_of

from httpng_core import FeedStats
from httpng_core.testing import Client

# A feed, /publish?PAYLOAD, /stats and /close beside a handler `follow(io)` at any other path.
FEED = """
local feed = httpng.feed{%s}
local follow
local function stats(s)
  local merged = s.merged > 0 and (' %%d merged'):format(s.merged) or ''
  return ('%%d %%d %%d %%d %%d'):format(s.published, s.followers, s.delivered, s.skipped, s.expired) .. merged
end
local function ask(req, io)
  if req.path:find('^/publish') then
    for payload in req.query:gmatch('[^&]+') do feed:publish(payload) end
    return 'published'
  elseif req.path == '/stats' then return stats(feed:get_stats())
  elseif req.path == '/close' then feed:close() return 'closed' end
  return follow(req, io)
end
handler = ask
"""


def feed_script(follow: str, options: str = "") -> str:
    return f"{FEED % options}\nfunction follow(req, io) {follow} end"


def publish(served: Served, *payloads: str) -> None:
    assert served.answer("/publish?" + "&".join(payloads)).body == b"published"


def stats(served: Served) -> str:
    """Published, followers, delivered, skipped, expired."""
    return served.answer("/stats").body.decode()


def body(client: Client) -> bytes:
    [response] = client.responses()
    return response.body


def feeds_of(served: Served) -> tuple[FeedStats, ...]:
    return served.app.statistics().feeds


# Merging ----------------------------------------------------------------------------------------------


def test_what_was_not_sent_is_merged(serve: Serve) -> None:
    served = serve(feed_script("io:follow(feed)", "merge = httpng.json_merge('sum')"))
    client = served.ask(room=0)
    publish(served, "1", "2", "3")
    client.give_room()
    assert body(client) == b"6"
    [told] = feeds_of(served)
    assert (told.delivered, told.merged) == (1, 2)
    assert stats(served) == "3 1 1 0 0 2 merged"


def test_objects_are_merged_by_members(serve: Serve) -> None:
    merge = "merge = httpng.json_merge{v = 'sum', h = 'max', o = 'first'}"
    served = serve(feed_script("io:follow(feed)", merge))
    client = served.ask(room=0)
    publish(served, '{"o":1,"h":5,"v":1}', '{"o":2,"h":3,"v":2}')
    client.give_room()
    assert body(client) == b'{"o":1,"h":5,"v":3}'


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("httpng.json_merge('add')", "json_merge combines values by one of"),
        ("httpng.json_merge{v = 'add'}", "json_merge combines values by one of"),
        ("httpng.json_merge{v = 5}", "json_merge combines values by one of"),
        ("httpng.json_merge{'sum'}", "a member must be named by a string without NUL, not 1"),
        ("httpng.json_merge{}", "json_merge needs a word, or a table of one for each member, not a table"),
        ("httpng.json_merge()", "json_merge needs a word, or a table of one for each member, not a nil"),
        (
            "httpng.feed{merge = function() end}",
            "merge must be what httpng.json_merge returns, not a function",
        ),
        ("httpng.feed{merge = 'sum'}", 'merge must be what httpng.json_merge returns, not "sum"'),
        ("httpng.feed{merge = {}}", "merge must be what httpng.json_merge returns, not a table"),
        (
            "httpng.feed{policy = 'every', merge = httpng.json_merge('sum')}",
            'merge is for the policy "latest"',
        ),
    ],
)
def test_what_cant_merge_raises(serve: Serve, given: str, told: str) -> None:
    served = serve(f"function handler(req, io) see(select(2, pcall(function() return {given} end))) end")
    served.ask()
    [seen] = served.seen()
    assert told in seen


# Deltas -----------------------------------------------------------------------------------------------


def test_what_has_changed_of_an_object_is_sent(serve: Serve) -> None:
    served = serve(feed_script("io:follow(feed)", "delta = httpng.json_delta('id'), full_every = 3"))
    client = served.ask()
    for number in range(4):
        publish(served, f'{{"id":"ACME","bid":{number},"ask":10,"venue":"somewhere"}}')
    first, *deltas, last = body(client).replace(b"}{", b"}\n{").split(b"\n")
    assert first == b'{"id":"ACME","bid":0,"ask":10,"venue":"somewhere"}'
    assert deltas == [b'{"delta":{"id":"ACME","bid":1}}', b'{"delta":{"id":"ACME","bid":2}}']
    assert last == b'{"id":"ACME","bid":3,"ask":10,"venue":"somewhere"}'


def test_what_has_changed_of_a_text_is_sent(serve: Serve) -> None:
    served = serve(feed_script("io:follow(feed)", "delta = httpng.text_delta()"))
    client = served.ask()
    publish(served, "a-long-text-with-1")
    publish(served, "a-long-text-with-2")
    assert body(client) == b'a-long-text-with-1\0[17,1,"2"]'


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("httpng.json_delta(5)", "a member must be named by a string without NUL, not 5"),
        ("httpng.json_delta('a\\0b')", "a member must be named by a string without NUL"),
        ("httpng.feed{delta = function() end}", "delta must be what httpng.json_delta or httpng.text_delta"),
        ("httpng.feed{delta = httpng.json_merge('sum')}", "delta must be what httpng.json_delta or"),
        (
            "httpng.feed{merge = httpng.json_delta()}",
            "merge must be what httpng.json_merge returns, not a table",
        ),
        ("httpng.feed{full_every = 'x'}", 'full_every must be an integer, not "x"'),
        ("httpng.feed{full_every = 0}", "full_every must be 1 or more"),
        ("httpng.feed{policy = 'every', delta = httpng.text_delta()}", 'delta is for the policy "latest"'),
    ],
)
def test_what_makes_no_deltas_raises(serve: Serve, given: str, told: str) -> None:
    served = serve(f"function handler(req, io) see(select(2, pcall(function() return {given} end))) end")
    served.ask()
    [seen] = served.seen()
    assert told in seen


# Limits -----------------------------------------------------------------------------------------------


def test_a_client_is_sent_so_many_in_a_second_until_that_changes(serve: Serve) -> None:
    script = """
      local fiber = require 'fiber'
      see(io:get_follow_stats())
      fiber.create(function()
        fiber.sleep(0.6)
        io:set_follow_pace{max_rate = 10, max_bandwidth = 1000}
        local s = io:get_follow_stats()
        see(s.max_rate, s.max_bandwidth, s.delivered, s.skipped, s.pending, s.expired, s.merged)
        io:set_follow_pace{max_rate = false, max_bandwidth = false, priority = false}
        see(io:get_follow_stats().max_rate)
      end)
      io:follow(feed, {max_rate = 1, priority = {a = 2, [5] = 3, [true] = 4}})
    """
    served = serve(feed_script(script))
    client = served.ask()
    for number in range(4):
        publish(served, f"{number},")
        served.loop.advance(0.25)
    assert body(client) == b"0,1,2,3,".replace(b"1,", b"")
    assert served.seen()[0] == "nil"
    assert served.seen()[1].split()[2:] == ["1", "1", "1", "0", "0"]
    assert served.seen()[2] == "nil"


def test_keys_go_by_their_priority(serve: Serve) -> None:
    script = "for _, k in ipairs{'a', 'b', 'c'} do feed:publish(k, k) end"
    served = serve(feed_script(f"{script} io:follow(feed, {{priority = {{b = 9}}}})"))
    assert body(served.ask()) == b"bac"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("{max_rate = 'x'}", 'max_rate must be a number, not "x"'),
        ("{max_rate = 0}", "max_rate must be more than 0 payloads"),
        ("{max_bandwidth = -1}", "max_bandwidth must be more than 0 bytes"),
        ("{priority = 5}", "priority must be a table of keys and numbers, not 5"),
        ("{priority = {a = 'x'}}", 'the priority of "a" must be an integer, not "x"'),
        ("{priority = {a = 1.5}}", "must be an integer"),
        ("{priority = {a = 101}}", "must be 1 to 100, not 101"),
        ("{priority = {[{}] = 1}}", "key must be a string"),
    ],
)
@pytest.mark.parametrize("call", ["follow(feed, %s)", "set_follow_pace(%s)"])
def test_what_are_no_limits_raises(serve: Serve, options: str, told: str, call: str) -> None:
    made = call % options
    begun = "" if "feed" in call else "require('fiber').create(io.follow, io, feed)"
    served = serve(feed_script(f"{begun} see(select(2, pcall(function() io:{made} end)))"))
    served.ask()
    assert told in served.seen()[-1]


def test_an_unknown_limit_raises(serve: Serve) -> None:
    served = serve(feed_script("see(select(2, pcall(io.set_follow_pace, io, {max_rat = 1})))"))
    served.ask()
    assert "max_rate" in served.seen()[-1]


# Comments ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("comment", "sent"), [("", b":\n\n"), (", keep_alive_comment = '!'", b"!")])
def test_an_idle_stream_is_kept_alive(serve: Serve, comment: str, sent: bytes) -> None:
    served = serve(feed_script(f"io:follow(feed, {{keep_alive = 5{comment}}})"))
    client = served.ask()
    publish(served, "tick,")
    served.loop.advance(4.9)
    assert body(client) == b"tick,"
    served.loop.advance(0.2)
    assert body(client) == b"tick," + sent


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("keep_alive = 0", "keep_alive must be more than 0 seconds"),
        ("keep_alive = 'x'", 'keep_alive must be a number of seconds, not "x"'),
        ("keep_alive = 5, keep_alive_comment = 5", "keep_alive_comment must be a string, not 5"),
    ],
)
def test_what_keeps_nothing_alive_raises(serve: Serve, options: str, told: str) -> None:
    served = serve(feed_script(f"see(select(2, pcall(io.follow, io, feed, {{{options}}})))"))
    served.ask()
    assert told in served.seen()[0]


# Lag --------------------------------------------------------------------------------------------------


def test_a_client_is_told_that_it_is_thinned_and_that_it_is_current(serve: Serve) -> None:
    options = "on_lag = {thinned = '[slow]', current = '[fine]'}, lag_limits = {3, 1}"
    served = serve(feed_script(f"io:follow(feed, {{{options}}})"))
    client = served.ask(room=0)
    publish(served, "tick,")
    served.loop.advance(2.9)
    publish(served, "tock,")
    served.loop.advance(0.2)
    client.give_room()
    assert body(client) == b"[slow]tock,[fine]"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("on_lag = function() end", "on_lag must be a table of strings, thinned and current, not a function"),
        ("on_lag = {thinned = 5}", "on_lag.thinned must be a string, not 5"),
        ("on_lag = {thined = 'x'}", "thinned"),
        ("on_lag = {thinned = 'x'}, lag_limits = 5", "lag_limits must be a table of two numbers"),
        ("on_lag = {thinned = 'x'}, lag_limits = {1, 2}", "lag_limits must be more seconds and fewer"),
    ],
)
def test_what_tells_no_lag_raises(serve: Serve, options: str, told: str) -> None:
    served = serve(feed_script(f"see(select(2, pcall(io.follow, io, feed, {{{options}}})))"))
    served.ask()
    assert told in served.seen()[0]


def test_steps_are_taken_as_a_client_lags_and_told(serve: Serve) -> None:
    options = """lag_policy = {
      {after = 2, action = 'slow', max_rate = 1, mark = '[slow]', left = '[fine]'},
      {after = 4, action = 'conflate', mark = '[slower]', ['until'] = 3},
      {after = 6, action = 'drop', keys = {'other'}, reason = 'no others'},
    }"""
    served = serve(
        feed_script(
            f"""
            if req.path == '/books' then return tostring(books and books()) end
            function books()
              local s = io:get_follow_stats()
              return ('%d %s %s'):format(s.lag_step, s.max_rate, s.dropped)
            end
            io:follow(feed, {{{options}}})"""
        )
    )
    client = served.ask(room=0)
    publish(served, "tick,")
    for seconds, told in ((1, "0 nil nil"), (1, "1 1 nil"), (2, "2 1 nil"), (2, "3 1 no others")):
        served.loop.advance(seconds)
        assert served.answer("/books").body.decode().replace(".0", "") == told
    client.give_room()
    assert body(client) == b"[slow][slower]tick,"
    served.loop.advance(6)
    served.loop.advance(4)
    served.loop.advance(2)
    assert body(client) == b"[slow][slower]tick,[fine]"
    assert served.answer("/books").body == b"0 nil no others"


def test_one_that_lags_too_much_is_cut_short(serve: Serve) -> None:
    served = serve(
        feed_script(
            "see(told(io:follow(feed, {lag_policy = {{after = 5, action = 'close', mark = '[bye]'}}})))"
        )
    )
    client = served.ask()
    client.room = 0
    publish(served, "tick,")
    served.loop.advance(5)
    client.give_room()
    assert client.received.endswith(b"[bye]\r\n")
    assert served.seen() == ["wait false cancelled"]


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        ("5", "lag_policy must be a table of steps, not 5"),
        ("{5}", "lag_policy must be a table of steps, which are tables, not 5 in it"),
        ("{{aftr = 5}}", "after"),
        ("{{after = '5', action = 'close'}}", "after of a step must be a number, not"),
        ("{{action = 'close'}}", "after and until of a step must be numbers of seconds"),
        ("{{after = 5}}", "the action of a step must be"),
        ("{{after = 5, action = 'clsoe'}}", "the action of a step must be"),
        ("{{after = 5, action = 'drop'}}", 'a step "drop" needs keys'),
        ("{{after = 5, action = 'drop', keys = 5}}", "keys must be a table of keys"),
        ("{{after = 5, action = 'conflate'}, {after = 5, action = 'close'}}", "must come in order"),
    ],
)
def test_what_is_no_policy_raises(serve: Serve, policy: str, told: str) -> None:
    served = serve(feed_script(f"see(select(2, pcall(io.follow, io, feed, {{lag_policy = {policy}}})))"))
    served.ask()
    assert told in served.seen()[0]
    assert stats(served).split()[1] == "0"


# Following --------------------------------------------------------------------------------------------


def test_a_payload_goes_to_whoever_follows(serve: Serve) -> None:
    served = serve(feed_script("io:follow(feed)"))
    clients = [served.ask(), served.ask()]
    publish(served, "tick,")
    publish(served, "tock,")
    assert [body(client) for client in clients] == [b"tick,tock,"] * 2
    assert stats(served) == "2 2 4 0 0"


def test_a_follow_returns_nil_when_the_feed_has_closed_and_all_is_sent(serve: Serve) -> None:
    served = serve(feed_script("see(io:follow(feed), feed.is_closed) return 'end'"))
    client = served.ask(room=0)
    publish(served, "last,")
    served.answer("/close")
    assert served.seen() == []
    client.give_room()
    assert served.seen() == ["nil true"]
    assert body(client) == b"last,end"


def test_one_whose_time_is_up_returns_what_a_wait_would(serve: Serve) -> None:
    served = serve(feed_script("see(told(io:follow(feed, {timeout = 2}))) io:write('end')"))
    client = served.ask()
    publish(served, "tick,")
    served.loop.advance(1.9)
    assert served.seen() == []
    served.loop.advance(0.2)
    assert served.seen() == ["wait false"]
    assert body(client) == b"tick,end"


def test_one_whose_client_is_gone_returns_what_a_wait_would(serve: Serve) -> None:
    served = serve(feed_script("see(told(io:follow(feed)))"))
    served.ask().reset()
    assert served.seen() == ["wait false cancelled"]
    assert stats(served) == "0 0 0 0 0"


def test_without_a_timeout_it_goes_on(serve: Serve) -> None:
    served = serve(feed_script("io.send_timeout = 1 see(told(io:follow(feed)))"))
    served.ask()
    served.loop.advance(1000)
    assert served.seen() == []
    assert stats(served) == "0 1 0 0 0"


def test_it_begins_the_response_with_the_headers_and_as_the_fields_say(serve: Serve) -> None:
    served = serve(
        feed_script("""
          io.headers, io.send_window, io.window_until, io.stall_timeout = {['x-a'] = 'b'}, 8, 'acked', 5
          see(told(io:follow(feed)))
        """)
    )
    client = served.ask()
    client.acknowledges = False
    for payload in ("first", "second", "third"):
        publish(served, payload)
    [response] = client.responses()
    assert response.headers["x-a"] == "b"
    assert response.body == b"first"
    served.loop.advance(6)
    assert served.seen() == ["wait false cancelled"]


def test_headers_are_sent_once(serve: Serve) -> None:
    served = serve(
        feed_script("""
          io:follow(feed, {timeout = 1})
          io.headers = 'none that are read'
          see(told(io:write('end')))
        """)
    )
    served.ask()
    served.loop.advance(1)
    assert served.seen() == ["nil"]


def test_where_no_body_is_sent_it_ends_at_once(serve: Serve) -> None:
    served = serve(feed_script("see(told(io:follow(feed)))"))
    served.ask(method="HEAD")
    assert served.seen() == ["nil"]


def test_bodies_are_bytes_and_numbers_are_written_as_elsewhere(serve: Serve) -> None:
    served = serve(
        feed_script("feed:publish('\\0\\255', 'a') feed:publish(3.0, 'b') io:follow(feed, {timeout = 1})")
    )
    client = served.ask()
    served.loop.advance(1)
    assert body(client) == b"\0\xff3"


def test_a_fiber_publishes_while_handlers_follow(serve: Serve) -> None:
    served = serve(
        feed_script("io:follow(feed)")
        + """
        fiber.create(function()
          for number = 1, 3 do fiber.sleep(1) feed:publish(number .. ',') end
          feed:close()
        end)"""
    )
    clients = [served.ask(), served.ask()]
    served.loop.advance(1.5)
    clients.append(served.ask())
    served.loop.advance(2)
    assert [body(client) for client in clients] == [b"1,2,3,"] * 3
    assert all(client.responses()[0].complete for client in clients)
    assert stats(served) == "3 0 9 0 0"


def test_a_feed_is_followed_from_inside_a_coroutine_and_outlives_it(serve: Serve) -> None:
    served = serve(
        """
        local feed
        function handler(req, io)
          if req.path == '/publish' then collectgarbage() feed:publish('tick') return end
          coroutine.wrap(function()
            feed = httpng.feed()
            see(told(io:follow(feed, {on_gap = function() end, timeout = 1})))
          end)()
        end"""
    )
    client = served.ask()
    served.ask("/publish")
    served.loop.advance(1)
    assert served.seen() == ["wait false"]
    assert body(client) == b"tick"
    served.ask("/publish")


def test_another_fiber_can_not_follow_with_the_same_io(serve: Serve) -> None:
    served = serve(
        feed_script("""
          fiber.create(function() fiber.yield() see(pcall(io.follow, io, feed)) end)
          see(told(io:follow(feed, {timeout = 1})))
          see(told(io:follow(feed, {timeout = 1})))
        """)
    )
    client = served.ask()
    publish(served, "tick,")
    served.loop.advance(1)
    served.loop.advance(1)
    assert served.seen() == [f"false {FOLLOWS}", "wait false", "wait false"]
    assert body(client) == b"tick,tick,"


# Policies and keys ------------------------------------------------------------------------------------


def test_by_default_the_newest_of_each_key_is_sent(serve: Serve) -> None:
    served = serve(
        feed_script("""
          local keys = {'a', 1, 1.5, true, false, '1'}
          for round = 1, 2 do
            for at, key in ipairs(keys) do feed:publish(at .. ':' .. round .. ',', key) end
            feed:publish('nil:' .. round .. ',')
            feed:publish('nil:' .. round .. ';', nil)
          end
          feed:publish('2:3,', 1.0)
          feed:publish('7:1,', 0)
          io:follow(feed)
        """)
    )
    assert body(served.ask()) == b"1:2,3:2,4:2,5:2,6:2,nil:2;2:3,7:1,"


def test_a_stalled_client_goes_on_with_the_newest(serve: Serve) -> None:
    served = serve(feed_script("io:follow(feed)"))
    client = served.ask(room=0)
    publish(served, "1,", "2,", "3,")
    assert stats(served) == "3 1 0 2 0"
    client.give_room()
    assert body(client) == b"3,"


def test_with_every_nothing_is_skipped_within_the_bound(serve: Serve) -> None:
    served = serve(feed_script("io:follow(feed)", "policy = 'every', max_queued = 4.0"))
    client, late = served.ask(room=0), served.ask(room=0)
    publish(served, "1,", "2,")
    client.give_room()
    assert body(client) == b"1,2,"
    publish(served, "3,")
    assert late.gone
    assert not client.gone


def test_what_is_too_much_is_dropped_if_told_so(serve: Serve) -> None:
    options = "policy = 'every', max_queued = 4, overflow = 'drop_oldest'"
    served = serve(feed_script("io:follow(feed)", options))
    client = served.ask(room=0)
    publish(served, "1,", "2,", "3,")
    client.give_room()
    assert body(client) == b"2,3,"
    assert stats(served) == "3 1 2 1 0"


def test_what_is_older_than_max_age_by_the_clock_of_the_server_expires(serve: Serve) -> None:
    served = serve(feed_script("io:follow(feed, {max_age = 1.5})"))
    client = served.ask(room=0)
    publish(served, "old,")
    served.loop.advance(1.6)
    client.give_room()
    assert body(client) == b""
    assert stats(served) == "1 1 0 0 1"
    publish(served, "new,")
    served.loop.advance(10)
    assert body(client) == b"new,"


def test_a_removed_key_is_told_to_who_follows_and_not_given_to_who_joins(serve: Serve) -> None:
    served = serve(
        """
        local feed = httpng.feed{
          on_remove = function(key) return key and ('-%s,'):format(tostring(key)) end, snapshot_end = 'end,'}
        for _, key in ipairs{'a', 1.0, true} do feed:publish(('+%s,'):format(tostring(key)), key) end
        feed:publish('+nil,')
        function handler(req, io)
          if req.path == '/remove' then
            see(feed:remove('a'), feed:remove('a'), feed:remove('b'), feed:remove(true, 'bye,'))
          elseif req.path == '/clear' then feed:clear() see(feed:remove(1), feed:remove())
          else io:follow(feed) end
        end"""
    )
    client = served.ask()
    served.ask("/remove")
    assert served.seen() == ["true false false true"]
    late = served.ask()
    assert body(late) in (b"+1.0,+nil,end,", b"+1,+nil,end,")
    served.ask("/clear")
    assert served.seen()[1:] == ["false false"]
    assert body(served.ask()) == b"end,"
    start = b"+a,+1.0,+true,+nil,end,-a,bye," if b"1.0" in body(late) else b"+a,+1,+true,+nil,end,-a,bye,"
    assert body(client) == start + (b"-1.0," if b"-1.0" in body(client) else b"-1,")


REMOVALS = [
    ("httpng.feed{on_remove = 5}", "on_remove must be a function, not 5"),
    ("httpng.feed{snapshot_end = 5}", "snapshot_end must be a string, not 5"),
    ("httpng.feed{snapshot_end = ''}", "a payload needs at least one byte"),
    (
        "httpng.feed{policy = 'every', on_remove = print}",
        'on_remove is for the policy "latest": with "every" no values are kept',
    ),
    (
        "httpng.feed{policy = 'every'}:remove('a')",
        'a feed with the policy "every" keeps no values that could be removed',
    ),
    (
        "httpng.feed{policy = 'every'}:clear()",
        'a feed with the policy "every" keeps no values that could be removed',
    ),
    ("feed:remove({})", "key must be a string, a number, a boolean or nil, not a table"),
    ("feed:remove('a', {})", "payload must be a string or a number, not a table"),
    ("feed.remove('a')", "feed is invalid: called with a dot, use a colon"),
    ("feed:close() feed:remove('a')", "the feed is closed"),
    ("feed:close() feed:clear()", "the feed is closed"),
    ("feed:publish('x', 'a') feed:remove('a')", "oh"),
    ("feed:publish('x', 'b') feed:remove('b')", "payload must be a string or a number, not true"),
]


@pytest.mark.parametrize(("code", "text"), REMOVALS)
def test_mistakes_of_removals_raise(serve: Serve, code: str, text: str) -> None:
    served = serve(
        f"""
        local function on_remove(key) return key ~= 'a' or error('oh', 0) end
        local feed = httpng.feed{{on_remove = on_remove}}
        function handler(req, io) see(select(2, pcall(function() {code} end))) end"""
    )
    served.ask()
    assert served.seen() == [text]


def test_a_client_gets_the_keys_that_it_wants(serve: Serve) -> None:
    served = serve(
        """
        local feed = httpng.feed()
        local wanted = httpng.keys{'a', true}
        local function put(...)
          for _, key in ipairs{...} do feed:publish(tostring(key) .. ',', key) end
        end
        put('a', 'b')
        function handler(req, io)
          if req.path == '/put' then put('a', 'b', true, 'c')
          elseif req.path == '/change' then
            wanted:add('b') wanted:discard('a') see(wanted:has('a'), wanted:has('b'), wanted:has(1))
          elseif req.path == '/list' then io:follow(feed, {keys = {'b', 'c'}})
          else io:follow(feed, {keys = wanted}) collectgarbage() end
        end"""
    )
    live, listed = served.ask(), served.ask("/list")
    served.ask("/put")
    assert [body(live), body(listed)] == [b"a,a,true,", b"b,b,c,"]
    served.ask("/change")
    served.ask("/put")
    assert served.seen() == ["false true false"]
    assert [body(live), body(listed)] == [b"a,a,true,b,b,true,", b"b,b,c,b,c,"]


def test_several_feeds_are_followed_until_all_have_closed(serve: Serve) -> None:
    served = serve(
        """
        local one, other = httpng.feed(), httpng.feed{policy = 'every'}
        one:publish('one,')
        function handler(req, io)
          if req.path == '/put' then other:publish('other,')
          elseif req.path == '/close' then (one.is_closed and other or one):close()
          else see(told(io:follow({one, other}, {keys = nil}))) end
        end"""
    )
    client = served.ask()
    served.ask("/put")
    served.ask("/close")
    assert served.seen() == []
    served.ask("/put")
    served.ask("/close")
    assert served.seen() == ["nil"]
    assert body(client) == b"one,other,other,"


def test_keys_that_lua_let_go_of_are_let_go_of(serve: Serve) -> None:
    served = serve(
        """
        local feed = httpng.feed()
        function handler(req, io)
          for _ = 1, 500 do httpng.keys{'a'} end
          collectgarbage() collectgarbage()
          for _ = 1, 100 do io:follow(feed, {keys = {'a'}, timeout = 0}) end
        end"""
    )
    assert served.answer().complete
    assert stats_of(served) == (0, 0)


def stats_of(served: Served) -> tuple[int, int]:
    """How many follow the only feed, and what it has published."""
    [told] = feeds_of(served)
    return told.followers, told.published


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("httpng.keys(5)", "keys must be a table of keys, not 5"),
        ("httpng.keys{print}", "key must be a string, a number, a boolean or nil, not a function"),
        ("httpng.keys().add('a')", "keys is invalid: called with a dot, use a colon"),
        ("httpng.keys():add({})", "key must be a string, a number, a boolean or nil, not a table"),
        ("httpng.keys():discard(print)", "key must be a string, a number, a boolean or nil, not a function"),
        (
            "io:follow(httpng.feed(), {keys = 'a'})",
            'keys must be a table of keys, or what httpng.keys returns, not "a"',
        ),
        (
            "io:follow(httpng.feed(), {keys = print})",
            "keys must be a table of keys, or what httpng.keys returns, not a function",
        ),
        (
            "io:follow({httpng.feed(), 5})",
            "io:follow needs a feed or a table of feeds, as httpng.feed makes them, not 5 in it",
        ),
        (
            "local feed = httpng.feed() io:follow({feed, feed})",
            "io.follow needs each Feed once; it is followed as a whole, or by keys",
        ),
    ],
)
def test_mistakes_of_filters_raise(serve: Serve, code: str, text: str) -> None:
    served = serve(f"function handler(req, io) see(select(2, pcall(function() {code} end))) end")
    served.ask()
    assert served.seen() == [text]


NULL = """
local null = nil
if jit then null = require('ffi').new('void *') end
"""


def test_nil_and_null_are_the_default(serve: Serve) -> None:
    served = serve(
        NULL
        + """
        see(pcall(httpng.cfg, {handler = null}))
        local feed = httpng.feed{policy = null, max_queued = null, overflow = null}
        httpng.feed(null)
        function handler(req, io)
          feed:publish('old', null) feed:publish('new')
          io:follow(feed, {timeout = 1, max_age = null, on_gap = null})
          io:follow(feed, null)
        end"""
    )
    client = served.ask()
    served.loop.advance(1)
    assert body(client) == b"newnew"
    assert served.seen() == ["false No handlers specified"]


# on_gap -----------------------------------------------------------------------------------------------


def gap_script(on_gap: str) -> str:
    return feed_script(f"""
      local function on_gap(n) {on_gap} end
      see(pcall(function() return told(io:follow(feed, {{on_gap = on_gap}})) end))
      io:close()
    """)


def test_on_gap_tells_how_many_were_missed_before_what_comes_next(serve: Serve) -> None:
    served = serve(gap_script("return ('[%d\\255]'):format(n)"))
    client = served.ask(room=0)
    publish(served, "1,", "2,", "3,")
    client.give_room()
    publish(served, "4,")
    assert body(client) == b"[2\xff]3,4,"


@pytest.mark.parametrize(("returned", "sent"), [("nil", b""), ("", b""), ("n", b"1"), ("''", b"")])
def test_on_gap_may_return_nothing_and_a_body(serve: Serve, returned: str, sent: bytes) -> None:
    served = serve(gap_script(f"return {returned}"))
    client = served.ask(room=0)
    publish(served, "1,", "2,")
    client.give_room()
    assert body(client) == sent + b"2,"


NEEDS = "io:follow needs a feed or a table of feeds, as httpng.feed makes them, not "
FOLLOWS = (
    "this response follows a feed already, and would never come to the second one: "
    "follow again when that call has returned"
)
WAITS = "can't wait inside a function that was called by a C function, such as table.sort"


@pytest.mark.parametrize(
    ("on_gap", "message"),
    [
        ("error('oh', 0)", "oh"),
        ("error('oh')", "*script.lua:*: oh"),
        ("error({code = 5})", "{code=5}"),
        ("error()", "nil"),
        ("return {}", "it must return a string or nil, not a table"),
        ("return true", "it must return a string or nil, not a boolean"),
        ("fiber.sleep(1)", WAITS),
        ("io:wait(-1e9 + 0) io:wait(1e9)", WAITS),
        ("fiber.channel():get()", WAITS),
        ("coroutine.yield()", "*attempt to yield "),
        ("io:write('x')", WAITS),
        ("io:follow(feed)", FOLLOWS),
    ],
)
def test_an_error_or_a_wait_in_on_gap_ends_the_follow_with_an_error(
    serve: Serve, on_gap: str, message: str
) -> None:
    served = serve(gap_script(on_gap))
    client = served.ask(room=0)
    publish(served, "1,", "2,")
    client.give_room()
    [seen] = served.seen()
    start, _, end = f"false on_gap: {message}".partition("*")
    assert seen.startswith(start), seen
    assert all(part in seen for part in end.split("*")), seen
    assert stats(served).split()[:3] == ["2", "0", "0"]
    assert body(client) == b""
    assert waits_of(served) == 0


@pytest.mark.parametrize(
    ("on_gap", "sent", "seen"),
    [
        ("feed:publish('new,')", b"2,new,", []),
        ("feed:close()", b"2,", ["true nil"]),
        ("fiber.create(function() fiber.sleep(1) see('slept') end)", b"2,", []),
        ("fiber.yield()", b"2,", []),
        ("collectgarbage() collectgarbage()", b"2,", []),
        ("io:get_send_stats() feed:get_stats()", b"2,", []),
        ("io:close()", b"", ["true wait false cancelled"]),
        ("io:close() error('late')", b"", ["true wait false cancelled"]),
    ],
)
def test_what_else_on_gap_does_is_done(serve: Serve, on_gap: str, sent: bytes, seen: list[str]) -> None:
    served = serve(gap_script(on_gap))
    client = served.ask(room=0)
    publish(served, "1,", "2,")
    client.give_room()
    assert body(client) == sent
    assert served.seen() == seen


def test_on_gap_may_overflow_its_own_follower(serve: Serve) -> None:
    served = serve(
        feed_script(
            """
            local function on_gap() feed:publish('33,') feed:publish('44,') return 'gap' end
            see(told(io:follow(feed, {max_age = 1, on_gap = on_gap})))
            """,
            "policy = 'every', max_queued = 5",
        )
    )
    client = served.ask(room=0)
    publish(served, "1,")
    served.loop.advance(2)
    publish(served, "2,")
    client.give_room()
    assert served.seen() == ["wait false cancelled"]
    assert client.gone
    assert b"gap" not in client.received
    assert stats(served) == "4 0 0 3 1"


def with_memory(script: str) -> str:
    """A script that tells at /memory how much it holds."""
    return f"""
        {script}
        {MEMORY}
        local other = handler
        function handler(req, io)
          if req.path == '/memory' then return memory() end
          return other(req, io)
        end"""


def test_on_gap_is_kept_for_as_long_as_it_is_needed(serve: Serve) -> None:
    served = serve(with_memory(feed_script("io:follow(feed, {on_gap = function(n) return 'gap,' end})")))
    client = served.ask()
    for _ in range(30):
        client.room = 0
        publish(served, "a,", "b,")
        assert int(served.answer("/memory").body) > 0
        client.give_room()
    assert body(client) == b"gap,b," * 30


# Ends -------------------------------------------------------------------------------------------------


def test_a_follow_that_can_not_wait_leaves_the_feed(serve: Serve) -> None:
    served = serve(
        feed_script("see(pcall(string.gsub, 'x', 'x', function() io:follow(feed) end)) return 'x'")
    )
    served.ask()
    assert served.seen() == [f"false {WAITS}"]
    assert stats(served) == "0 0 0 0 0"


def test_an_abandoned_coroutine_leaves_the_feed(serve: Serve) -> None:
    served = serve(feed_script("coroutine.wrap(function() io:follow(feed) end)()"))
    served.ask()
    assert [feed.followers for feed in feeds_of(served)] == [1]
    served.loop.runner.close()
    assert [feed.followers for feed in feeds_of(served)] == [0]
    assert fibers_of(served) == 0
    assert waits_of(served) == 0
    assert not served.loop.runner.is_ready


def test_so_does_one_whose_handler_has_returned(serve: Serve) -> None:
    served = serve(feed_script("fiber.create(function() see(told(io:follow(feed))) end)"))
    assert served.ask().responses()[0].complete
    assert served.seen() == ["wait false cancelled"]
    assert stats(served) == "0 0 0 0 0"


def test_feeds_are_forgotten_when_lua_has_let_go_of_them(serve: Serve) -> None:
    served = serve(
        """
        local kept = httpng.feed()
        function handler(req, io)
          if req.path == '/publish' then kept:publish('kept') return end
          for _ = 1, 10 do httpng.feed() end
          collectgarbage()
        end"""
    )
    most = 0
    for _ in range(100):
        served.ask()
        most = max(most, len(feeds_of(served)))
    assert most < 200
    served.ask("/publish")
    assert feeds_of(served)[0].published == 1


def test_a_thousand_follows_leave_nothing(serve: Serve) -> None:
    served = serve(
        with_memory(feed_script("io:follow(feed, {timeout = 0.1, on_gap = function(n) error(n) end})"))
        + " if jit then jit.off() end"
    )

    def follows(count: int) -> None:
        for number in range(count):
            client = served.ask("/", room=0)
            if number % 3 == 0:
                publish(served, "a", "b")
                client.give_room()
            elif number % 3 == 1:
                client.reset()
            served.loop.advance(0.2)
            client.give_room()
            served.loop.forget()

    follows(300)
    before = memory_of(served)
    follows(600)
    # One table or function left of each would be 24,000 bytes and more; interned strings come and go, and
    # LuaJIT may double the table that it keeps them in.
    assert memory_of(served) - before < 16_000
    assert stats(served).split()[1] == "0"
    assert waits_of(served) == 0


# Mistakes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (
            "httpng.feed{polcy = 'latest'}",
            "unknown parameter polcy; the nearest known one is policy",
        ),
        (
            "httpng.feed{'latest'}",
            "unknown parameter 1; the nearest known one is snapshot_end",
        ),
        ("httpng.feed('latest')", 'options must be a table, not "latest"'),
        ("httpng.feed{policy = 'newest'}", 'policy must be "latest" or "every", not \'newest\''),
        ("httpng.feed{policy = {}}", 'policy must be "latest" or "every", not a table'),
        ("httpng.feed{max_queued = '5'}", 'max_queued must be an integer, not "5"'),
        ("httpng.feed{max_queued = 5.5}", "max_queued must be an integer, not float"),
        ("httpng.feed{max_queued = math.huge}", "max_queued must be an integer, not float"),
        ("httpng.feed{max_queued = 0}", "max_queued must be 1 or more bytes, not 0"),
        ("httpng.feed{overflow = 'x'}", 'overflow must be "close" or "drop_oldest", not \'x\''),
        ("httpng.feed{overflow = true}", 'overflow must be "close" or "drop_oldest", not true'),
        ("feed.publish('x')", "feed is invalid: called with a dot, use a colon"),
        ("feed.publish({}, 'x')", "feed is invalid"),
        ("feed.publish(io, 'x')", "feed is invalid"),
        ("feed:publish()", "Not enough parameters"),
        ("feed:publish('')", "a payload needs at least one byte"),
        ("feed:publish({})", "payload must be a string or a number, not a table"),
        ("feed:publish('x', {})", "key must be a string, a number, a boolean or nil, not a table"),
        ("feed:publish('x', print)", "key must be a string, a number, a boolean or nil, not a function"),
        ("feed:publish('x', 0/0)", "key is not a number"),
        ("feed:close() feed:close() feed:publish('x')", "the feed is closed"),
        ("feed.close()", "feed is invalid: called with a dot, use a colon"),
        ("feed.get_stats()", "feed is invalid: called with a dot, use a colon"),
        ("io.follow()", "shuttle is invalid: called with a dot, use a colon"),
        ("io.follow(feed)", "shuttle is invalid: called with a dot, use a colon"),
        ("io:follow()", "Not enough parameters"),
        ("io.follow(feed, {})", "shuttle is invalid: called with a dot, use a colon"),
        ("io:follow(io)", f"{NEEDS}a table"),
        ("io:follow('x')", f'{NEEDS}"x"'),
        ("io:follow(5)", f"{NEEDS}5"),
        ("io:follow(print)", f"{NEEDS}a function"),
        ("io:follow(feed, 5)", "options must be a table, not 5"),
        ("io:follow(feed, {maxage = 5})", "unknown parameter maxage; the nearest known one is max_age"),
        ("io:follow(feed, {max_age = 'x'})", 'max_age must be a number of seconds, not "x"'),
        ("io:follow(feed, {max_age = 0})", "max_age must be more than 0 seconds, not 0"),
        ("io:follow(feed, {timeout = {}})", "timeout must be a number of seconds, not a table"),
        ("io:follow(feed, {timeout = -1})", "timeout must be 0 or more seconds, not -1"),
        ("io:follow(feed, {on_gap = 5})", "on_gap must be a function, not 5"),
        (
            "io.headers = {['content-length'] = '5'} io:follow(feed)",
            "a response with a content-length can't follow a feed, which has none",
        ),
    ],
)
def test_mistakes_raise_without_a_position(serve: Serve, code: str, text: str) -> None:
    served = serve(
        f"""
        local feed = httpng.feed()
        function handler(req, io)
          see(select(2, pcall(function() {code} end)))
          io:close()
        end"""
    )
    served.ask()
    assert served.seen() == [text]


def test_the_window_may_follow_the_path(serve: Serve) -> None:
    served = serve(feed_script("io.send_window = 'auto' feed:publish('1') feed:close() see(io:follow(feed))"))
    assert served.answer().body == b"1"
    assert served.seen() == ["nil"]


def test_after_a_mistake_the_response_has_not_begun(serve: Serve) -> None:
    served = serve(
        feed_script("see(pcall(io.follow, io, feed, {max_age = 0})) io.headers = {a = 'b'} return 'x'")
    )
    response = served.answer()
    assert (response.status, response.body) == (200, b"x")
    assert response.headers["a"] == "b"


# Coming back ------------------------------------------------------------------------------------------

BACK = """
local feed = httpng.feed{%s}
function handler(req, io)
  local since = req.query:match('since=([%%w_.-]+)')
  for key, value in req.query:gmatch('([ab])=(%%w*)') do
    if value == '' then feed:remove(key) else feed:publish(key .. value .. ',', key) end
  end
  see(tostring(feed:knows(since or '')))
  io:follow(feed, {since = since, timeout = 0})
  io:close()
end
"""


SECONDS = "retry must be seconds, or "


def came(served: Served, path: str, since: str | None = None) -> str:
    """What a client is sent, without the feed's name in the ids."""
    path += "" if since is None else f"since={since}"
    return re.sub(r"[\w-]{8}\.", "", served.answer(path).body.decode())


def test_a_client_that_comes_back_gets_what_has_changed_since(serve: Serve) -> None:
    options = "on_remove = function(key) return '-' .. key .. ',' end, "
    served = serve(BACK % (options + "resume = {id_line = '<{id}>', first = 'hello,', retry = 2}"))
    body = served.answer("/?a=1&b=1").body.decode()
    name = body[1:9]
    assert re.sub(r"[\w-]{8}\.", "", body) == "<0>hello,<1>a1,<2>b1,"
    assert came(served, "/?b=2&a=&", f"{name}.2") == "<2>hello,<3>b2,<4>-a,"
    assert came(served, "/?", "else.2") == "<-1>hello,<2>event: gap\ndata: null\n\n<4>b2,"
    assert served.seen() == ["false", "true", "false"]


def test_each_message_is_sent_again_out_of_so_many_bytes(serve: Serve) -> None:
    options = (
        "policy = 'every', resume = {id_line = '<{id}>', first = false, gap = '{lost},', max_replay = 6}"
    )
    served = serve(BACK % options)
    body = served.answer("/?a=1&b=1&a=2&b=2").body.decode()
    assert body == ""
    assert came(served, "/?", "x") == "<2>null,<3>a2,<4>b2,"


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("httpng.feed{resume = 5}", "resume must be true, false or a table, not 5"),
        ("httpng.feed{resume = {frist = ''}}", "unknown parameter frist; the nearest known one is first"),
        ("httpng.feed{resume = {retry = 'x'}}", f'{SECONDS}a table of two numbers of them, not "x"'),
        (
            "httpng.feed{resume = {retry = {3, 1}}}",
            "retry must be seconds, or the least and the most of them, not (3, 1)",
        ),
        ("httpng.feed{resume = {gap = true}}", "gap must be a string or false, not true"),
        ("httpng.feed{resume = {id_line = 'x'}}", "id_line must have {id} in it, once, not 'x'"),
        ("httpng.feed():knows(5)", "id must be a string, not 5"),
        ("io:follow(httpng.feed(), {since = 5})", "since must be an id as the feed has given it, not 5"),
    ],
)
def test_mistakes_about_coming_back_are_told(serve: Serve, code: str, text: str) -> None:
    served = serve(f"function handler(req, io) see(select(2, pcall(function() {code} end))) io:close() end")
    served.ask()
    assert served.seen() == [text]
