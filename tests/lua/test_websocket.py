"""WebSockets of Lua handlers: `io:upgrade_to_websocket` and what it returns."""

import logging
import re
from math import inf

import pytest
from tests.core.websocket.speaking import BINARY, TEXT, close, frame, frames, messages, request
from tests.lua.conftest import Serve, Served

from httpng_core.testing import Client

ECHO = """
function handler(req, io)
  local ws = io:upgrade_to_websocket()
  local data, kind = ws:receive()
  while data do
    local send = kind == 'text' and ws.send_text or ws.send_binary
    see(#data, kind, told(send(ws, data)))
    data, kind = ws:receive()
  end
  see(kind, ws.close_code, ws.close_reason)
end
"""


class Speaker:
    """A client whose WebSocket was asked for."""

    def __init__(self, served: Served, room: float = inf, **headers: str) -> None:
        self.served = served
        self.client: Client = served.loop.connect(room)
        self.client.send(request(**headers))

    def send(self, *said: bytes) -> None:
        self.client.send(b"".join(said))

    @property
    def head(self) -> str:
        return bytes(self.client.received).partition(b"\r\n\r\n")[0].decode()

    @property
    def said(self) -> bytes:
        return bytes(self.client.received).partition(b"\r\n\r\n")[2]

    @property
    def messages(self) -> list[str | bytes]:
        return messages(self.said)

    @property
    def closes(self) -> list[bytes]:
        return [payload for first, payload in frames(self.said) if first & 0xF == 8]


def test_messages_go_both_ways_until_the_client_closes(serve: Serve) -> None:
    served = serve(ECHO)
    speaker = Speaker(served)
    told: list[str | bytes] = ["", "caf\u00e9", b"\x00\xff", b"", "x" * 70_000]
    for one in told:
        speaker.send(frame(TEXT, one.encode()) if isinstance(one, str) else frame(BINARY, one))
    speaker.send(close(3001, b"bye"))
    assert speaker.head.startswith("HTTP/1.1 101 ")
    assert speaker.messages == told
    assert speaker.closes == [b"\x0b\xb9"]
    sizes = ["0 text nil", "5 text nil", "2 binary nil", "0 binary nil", "70000 text nil"]
    assert served.seen() == [*sizes, "closed 3001 bye"]


def test_messages_that_came_behind_the_handshake_are_received(serve: Serve) -> None:
    """With a CLOSE behind them nothing can be sent any more."""
    served = serve(ECHO)
    served.loop.connect().send(request() + frame(TEXT, b"early") + close())
    assert served.seen() == ["5 text write 0 cancelled", "closed 1000 "]


def test_it_is_a_stream_of_http_2(serve: Serve) -> None:
    served = serve(ECHO)
    peer = served.loop.connect_http2()
    number = peer.http2.h2.get_next_available_stream_id()
    pseudo = ((":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https"))
    where = ((":path", "/chat"), (":authority", "x"), ("sec-websocket-version", "13"))
    peer.http2.send_fields(number, (*pseudo, *where), None)
    served.loop.settle()
    for said in (frame(TEXT, b"hello"), close()):
        peer.http2.h2.send_data(number, said)
        served.loop.settle()
    stream = peer.http2.streams[number]
    assert (stream.status, stream.complete) == (200, True)
    assert messages(bytes(stream.body)) == ["hello"]


# recv_fn -----------------------------------------------------------------------------------------------

TAKER = """
function handler(req, io)
  local ws
  ws = io:upgrade_to_websocket({['x-a'] = 'b'}, function(data, is_binary)
    fiber.sleep(1)
    see(data, is_binary)
    ws:send_text('got ' .. data)
    if data == 'fail' then error('no ' .. data) end
    if data == 'close' then ws:close(1000) see('closed') end
  end)
  see(pcall(ws.receive, ws))
  fiber.sleep(100)
end
"""


def test_recv_fn_gets_each_message_and_may_wait(serve: Serve) -> None:
    """Messages that come meanwhile wait in line, also those that came before `ws` was there."""
    served = serve(TAKER)
    client = served.loop.connect()
    client.send(request() + frame(TEXT, b"one") + frame(BINARY, b"two") + frame(TEXT, b"close"))
    served.loop.advance(3)
    client.send(close())
    served.loop.settle()
    head, _, said = bytes(client.received).partition(b"\r\n\r\n")
    assert b"x-a: b" in head
    assert messages(said) == ["got one", "got two", "got close"]
    mistake = "false recv_fn gets the messages of this WebSocket: it has no others to receive"
    assert served.seen() == [mistake, "one false", "two true", "close false", "closed"]


def test_recv_fn_that_raises_closes_with_1011(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    served = serve(TAKER)
    speaker = Speaker(served)
    speaker.send(frame(TEXT, b"fail"))
    with caplog.at_level(logging.ERROR, "httpng"):
        served.loop.advance(1)
    assert speaker.closes == [b"\x03\xf3"]
    assert "script.lua:" in caplog.text
    assert "no fail" in caplog.text


def test_recv_fn_ends_with_the_handler(serve: Serve) -> None:
    served = serve("""
    function handler(req, io)
      local ws = io:upgrade_to_websocket(nil, function(data) see(data) end)
      fiber.sleep(1)
      see('done')
    end
    """)
    speaker = Speaker(served)
    speaker.send(frame(TEXT, b"one"))
    served.loop.advance(1)
    assert speaker.closes == [b"\x03\xe8"]
    speaker.send(frame(TEXT, b"two"), close())
    assert served.seen() == ["one", "done"]
    assert speaker.client.closed


# Slow clients ------------------------------------------------------------------------------------------


def test_a_message_that_has_no_room_in_time_is_dropped_and_never_torn(serve: Serve) -> None:
    served = serve("""
    function handler(req, io)
      io.send_window, io.send_timeout = 20, 1
      local ws = io:upgrade_to_websocket()
      ws:receive()
      see(told(ws:send_text(('a'):rep(20))))
      local before = fiber.clock()
      see(told(ws:send('dropped')), fiber.clock() - before > 0.9)
      see(told(ws:send_binary('dropped', 0.5)), fiber.clock() - before > 1.4)
      ws.send_window = 100
      see(told(ws:send_text('taken')))
      local stats = ws:get_send_stats()
      see(stats.current, stats.sent, stats.cancelled, stats.headers_were_sent)
      see(told(ws:wait(0, 1)))
      see(told(ws:wait(-5)), told(ws:wait(0)))
      ws.send_window = 0
      see(told(ws:send_text(('b'):rep(50))), ws:get_send_stats().sent)
      ws:close()
    end
    """)
    speaker = Speaker(served)
    speaker.client.room = 0
    speaker.send(frame(TEXT, b"begin"))
    served.loop.advance(3)
    speaker.client.give_room(22)
    speaker.client.give_room()
    speaker.send(close())
    assert speaker.messages == ["a" * 20, "taken", "b" * 50]
    assert served.seen() == [
        "nil",
        "write 0 true",
        "write 0 true",
        "nil",
        "25 0 false true",
        "wait false",
        "wait true wait true",
        "nil 75",
    ]


def test_a_client_that_leaves_ends_every_call(serve: Serve) -> None:
    served = serve("""
    function handler(req, io)
      local ws = io:upgrade_to_websocket()
      fiber.new(function() see('taken', ws:receive()) end)
      see('send', told(ws:send_text(('x'):rep(2000000), 100)))
      see('again', told(ws:send_text('more')))
      see('wait', told(ws:wait(0)))
      ws:close()
      see('closed', ws.close_code, ws:get_send_stats().cancelled)
    end
    """)
    speaker = Speaker(served, room=1000)
    speaker.client.reset()
    seen = sorted(served.seen())
    assert seen == [
        "again write 0 cancelled",
        "closed 1006 true",
        "send write 2000000 cancelled",
        "taken nil closed",
        "wait wait false cancelled",
    ]


def test_one_whose_client_is_gone_already_is_nil(serve: Serve) -> None:
    served = serve("function handler(req, io) fiber.sleep(1) see(io:upgrade_to_websocket()) end")
    speaker = Speaker(served)
    speaker.client.reset()
    served.loop.advance(1)
    assert served.seen() == ["nil"]


def test_a_receive_whose_time_is_up_loses_nothing(serve: Serve) -> None:
    served = serve("""
    function handler(req, io)
      local ws = io:upgrade_to_websocket()
      see(ws:receive(0))
      see(ws:receive(1))
      fiber.new(function() see(pcall(ws.receive, ws)) end)
      see(ws:receive(10))
      see(ws:receive(10))
    end
    """)
    speaker = Speaker(served)
    served.loop.advance(1)
    speaker.send(frame(TEXT, b"one"), frame(BINARY, b"two"))
    two_at_once = "false another receive of this WebSocket waits: there can be one at a time"
    assert served.seen() == ["nil timeout", "nil timeout", two_at_once, "one text", "two binary"]


# The end -----------------------------------------------------------------------------------------------


def test_close_does_not_hang_behind_a_client_that_does_not_answer(serve: Serve) -> None:
    served = serve("""
    function handler(req, io)
      local ws = io:upgrade_to_websocket()
      see(ws:close(4000, 'enough', 2))
      see(ws.close_code)
    end
    """)
    speaker = Speaker(served)
    assert speaker.closes == [b"\x0f\xa0enough"]
    served.loop.advance(1.9)
    assert not speaker.client.closed
    served.loop.advance(0.2)
    assert speaker.client.gone
    assert served.seen() == ["", "1006"]


@pytest.mark.parametrize(
    ("ends", "code"),
    [("", 1000), ("error('no')", 1011), ("return 'a body'", 1011), ("io:close()", 1000)],
)
def test_the_handler_s_end_closes(serve: Serve, ends: str, code: int) -> None:
    served = serve(f"""
    function handler(req, io)
      local ws = io:upgrade_to_websocket()
      ws:send('last')
      {ends}
    end
    """)
    speaker = Speaker(served)
    assert speaker.messages == ["last"]
    assert [payload[:2] for payload in speaker.closes] == [code.to_bytes(2, "big")]


def drain(served: Served) -> None:
    """As a signal does it; `httpng.shutdown()` resets connections."""
    assert served.app.control is not None
    served.app.control.shutdown(resets=False)
    served.loop.settle()


def test_a_server_that_drains_closes_with_1012(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    served = serve("""
    function handler(req, io)
      local ws = io:upgrade_to_websocket()
      local message, why = ws:receive()
      require 'log'.error('%s %s %s %s', message, why, ws.close_code, io.draining)
    end
    """)
    speaker = Speaker(served)
    drain(served)
    assert speaker.closes == [b"\x03\xf4"]
    speaker.send(close(1012))
    assert speaker.client.closed
    assert "nil closed 1012 true" in caplog.text


def test_a_handler_that_waits_for_the_drain_says_goodbye_itself(serve: Serve) -> None:
    served = serve("""
    function handler(req, io)
      local ws = io:upgrade_to_websocket(nil, function(data) see(data) end)
      io:wait_draining()
      ws:send_text('bye')
      ws:close(4000)
    end
    """)
    speaker = Speaker(served)
    drain(served)
    assert speaker.messages == ["bye"]
    assert speaker.closes == [b"\x0f\xa0"]
    speaker.send(close(4000))
    assert speaker.client.closed


def test_what_is_over_leaves_nothing(serve: Serve) -> None:
    """Neither fibers nor waits nor exchanges, however it ended."""
    served = serve("""
    local which = 0
    function handler(req, io)
      if req.path == '/collect' then collectgarbage() collectgarbage() return '' end
      which = which + 1
      local taker = which % 2 == 0 and function(data) fiber.sleep(1) end or nil
      local ws = io:upgrade_to_websocket(nil, taker)
      if not taker then ws:receive(3000) ws:receive(0) ws:receive(1) end
      if which % 3 == 0 then error('no') end
      ws:close()
    end
    """)
    speakers = [Speaker(served) for _ in range(12)]
    for speaker in speakers:
        speaker.send(frame(TEXT, b"one"))
    for speaker in speakers[:6]:
        speaker.client.reset()
    for speaker in speakers[6:]:
        speaker.send(close())
    served.loop.advance(100)
    served.loop.forget()
    served.answer("/collect")
    told = served.app.statistics()
    assert (told.fibers, told.waits) == (0, 0)
    assert told.exchanges_held <= 1


@pytest.mark.parametrize("limits", [{"lua_memory_limit": 8 << 20}, {"handler_time_limit": 5}], ids=str)
def test_it_works_in_a_state_that_is_confined(serve: Serve, limits: dict[str, object]) -> None:
    served = serve(ECHO, sandbox=True, **limits)
    speaker = Speaker(served)
    speaker.send(frame(TEXT, b"one"), frame(BINARY, b"two"))
    speaker.send(close())
    assert speaker.messages == ["one", b"two"]
    assert served.seen() == ["3 text nil", "3 binary nil", "closed 1000 "]


def test_no_script_in_the_sandbox_gets_at_what_others_share(serve: Serve) -> None:
    served = serve(
        """
    function handler(req, io)
      local ws = io:upgrade_to_websocket()
      see(getmetatable(ws), pcall(setmetatable, ws, {}))
      see(pcall(ws.send_text, setmetatable({}, {}), 'a'))
    end
    """,
        sandbox=True,
    )
    Speaker(served)
    assert served.seen() == [
        "false false cannot change a protected metatable",
        "false websocket is invalid",
    ]


# What it agrees on, and mistakes -----------------------------------------------------------------------


def test_a_subprotocol_is_a_header(serve: Serve) -> None:
    served = serve("""
    function handler(req, io)
      see(pcall(io.upgrade_to_websocket, io, {['Sec-WebSocket-Protocol'] = 'other'}))
      io.headers['Sec-WebSocket-Protocol'] = 'chat'
      see(io:upgrade_to_websocket().subprotocol)
    end
    """)
    speaker = Speaker(served, sec_websocket_protocol="super, chat")
    assert "sec-websocket-protocol: chat" in speaker.head
    assert served.seen() == [
        "false subprotocol 'other' is none that the client offers: super, chat",
        "chat",
    ]


def test_mistakes_raise_and_name_the_place(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    served = serve("""
    local calls = {
      function(ws) ws:send_text() end,
      function(ws) ws:send_text(nil) end,
      function(ws) ws:send_text({}) end,
      function(ws) ws:send_text('\\255') end,
      function(ws) ws:send_text('a', 'b') end,
      function(ws) ws.send_text('a') end,
      function(ws) ws:send_text('a', -1) end,
      function(ws) ws:receive('a') end,
      function(ws) ws:receive(-1) end,
      function(ws) ws:wait() end,
      function(ws) ws:wait(0.5) end,
      function(ws) ws:close(1005) end,
      function(ws) ws:close('a') end,
      function(ws) ws:close(1000, ('x'):rep(124)) end,
      function(ws) ws:close(1000, '\\255') end,
      function(ws) ws:follow() end,
      function(ws) ws:follow({}) end,
      function(ws) ws:follow(httpng.feed(), {bynary = true}) end,
      function(ws) ws.send_windw = 1 end,
      function(ws) ws.send_window = {} ws:send_text('a') end,
    }
    function handler(req, io)
      see(pcall(io.upgrade_to_websocket, io, nil, 'a'))
      local ws = io:upgrade_to_websocket()
      for _, call in ipairs(calls) do see(select(2, pcall(call, ws))) end
      ws.send_window = nil
      see(pcall(io.upgrade_to_websocket, io))
      see(pcall(io.write, io, 'a'))
      ws:send_text({})
    end
    """)
    with caplog.at_level(logging.ERROR, "httpng"):
        speaker = Speaker(served)
    assert speaker.closes == [b"\x03\xf3"]
    assert speaker.messages == []
    assert served.seen() == [
        "false recv_fn must be a function, not string",
        "Not enough parameters",
        "message is nil",
        "message must be a string or a number, not table",
        "a text message isn't UTF-8: use send_binary (byte 1)",
        "timeout must be a number of seconds, not string",
        "websocket is invalid: called with a dot, use a colon",
        "timeout must be 0 or more seconds, not -1",
        "timeout must be a number of seconds, not string",
        "timeout must be 0 or more seconds, not -1",
        "Not enough parameters",
        "position is not an integer",
        "close code 1005 can't be sent: use 1000, one of 1001 to 1014, or 3000 to 4999",
        "close code must be an integer, not string",
        "close reason has 124 bytes of UTF-8, more than 123",
        "close reason isn't UTF-8 (byte 1)",
        "Not enough parameters",
        "ws:follow needs a feed or a table of feeds, as httpng.feed makes them, not a table",
        "unknown parameter bynary; the nearest known one is binary",
        "a WebSocket has no field send_windw; the nearest known one is send_window",
        'send_window must be an integer or "auto", not table',
        "false Unable to upgrade to WebSockets after sending HTTP headers",
        "false a WebSocket was accepted: use its send",
    ]
    assert "script.lua:" in caplog.text.partition("message must be")[0].splitlines()[-1]


def test_a_request_that_asks_for_none_is_an_error_of_the_handler(serve: Serve) -> None:
    served = serve("""
    function handler(req, io)
      see(req.is_websocket, pcall(io.upgrade_to_websocket, io))
      return 'plain'
    end
    """)
    assert served.answer().body == b"plain"
    assert served.seen() == ["false false GET / doesn't ask for a WebSocket"]


@pytest.mark.parametrize(
    ("headers", "status", "told"),
    [
        ({"sec_websocket_version": "8"}, 426, b"sec-websocket-version is 8, must be 13"),
        ({"sec_websocket_key": "short"}, 400, b"sec-websocket-key must be there once: 16 bytes in base64"),
    ],
)
def test_a_handshake_that_is_not_sound_is_its_client_s_mistake(
    serve: Serve, caplog: pytest.LogCaptureFixture, headers: dict[str, str], status: int, told: bytes
) -> None:
    served = serve("""
    function handler(req, io)
      if req.headers['x-late'] then fiber.sleep(1) end
      io:upgrade_to_websocket()
    end
    """)
    for late in ("", "yes"):
        speaker = Speaker(served, inf, x_late=late, **headers)
        served.loop.advance(1)
        [response] = speaker.client.responses()
        assert (response.status, response.body, response.complete) == (status, told, True)
        assert response.headers.get("sec-websocket-version") == ("13" if status == 426 else None)
    assert caplog.text == ""


def test_one_that_the_handler_has_caught_is_as_any_other(serve: Serve) -> None:
    served = serve("""
    function handler(req, io)
      local ok, why = pcall(io.upgrade_to_websocket, io)
      if req.headers['x-then'] == 'answer' then return {status = 403, body = why} end
      if req.headers['x-then'] == 'begin' then io:write('a') io:wait(0) error(why, 0) end
      error('another')
    end
    """)
    wrong = {"sec_websocket_version": "8"}
    [answered] = Speaker(served, inf, x_then="answer", **wrong).client.responses()
    assert (answered.status, answered.body) == (403, b"sec-websocket-version is 8, must be 13")
    [failed] = Speaker(served, inf, x_then="other", **wrong).client.responses()
    assert failed.status == 500
    begun = Speaker(served, inf, x_then="begin", **wrong)
    assert begun.head.startswith("HTTP/1.1 200 ")
    assert begun.said == b"1\r\na\r\n"


# Feeds -------------------------------------------------------------------------------------------------


def test_several_feeds_are_followed_as_messages_by_keys_and_from_an_id_on(serve: Serve) -> None:
    served = serve("""
    local quotes = httpng.feed{resume = {id_line = '{id} ', first = false}}
    local news = httpng.feed()
    for _, feed in ipairs{quotes, news} do
      for _, key in ipairs{'a', 'b', 'c'} do feed:publish(key, key) end
    end
    function handler(req, io)
      local ws = io:upgrade_to_websocket()
      see(pcall(ws.follow, ws, {quotes, 5}))
      see(pcall(ws.follow, ws, quotes, {since = 5}))
      see(told(ws:follow({quotes, news}, {keys = {'b', 'c'}, timeout = 0})))
      see(told(ws:follow(quotes, {since = 'x.3', keys = httpng.keys{'b'}, timeout = 0, binary = true})))
    end
    """)
    speaker = Speaker(served)
    messages = [re.sub(r"[\w-]{8}\.", "", as_text(message)) for message in speaker.messages]
    assert messages == ["2 b", "b", "3 c", "c", "1 event: gap\ndata: null\n\n", "3 b"]
    assert [isinstance(message, bytes) for message in speaker.messages] == [False] * 4 + [True] * 2
    assert served.seen()[:2] == [
        "false ws:follow needs a feed or a table of feeds, as httpng.feed makes them, not 5 in it",
        "false since must be an id as the feed has given it, not 5",
    ]


def as_text(message: str | bytes) -> str:
    return message if isinstance(message, str) else message.decode()


def test_a_feed_is_followed_as_messages(serve: Serve) -> None:
    served = serve("""
    local feed = httpng.feed()
    function handler(req, io)
      if req.path == '/publish' then
        for i = 1, 3 do feed:publish('p' .. i .. ('.'):rep(50)) end
        return ''
      elseif req.path == '/end' then
        feed:publish('\\255')
        return ''
      end
      local ws = io:upgrade_to_websocket()
      ws:receive()
      see(pcall(ws.follow, ws, feed, {on_gap = function(n) return 'gap ' .. n end}))
      feed:publish('binary')
      see(told(ws:follow(feed, {binary = true, timeout = 1})))
    end
    """)
    speaker = Speaker(served)
    speaker.client.room = 10
    served.answer("/publish")
    speaker.send(frame(TEXT, b"begin"))
    served.answer("/publish")
    speaker.client.give_room()
    served.answer("/end")
    served.loop.advance(1)
    last = "p3".ljust(52, ".")
    assert speaker.messages == [last, "gap 2", last, b"binary"]
    assert served.seen() == [
        "false a payload of the feed isn't UTF-8 (invalid start byte): follow with binary=True",
        "wait false",
    ]


def test_one_that_lags_is_told_by_messages_and_closed_in_the_end(serve: Serve) -> None:
    served = serve("""
    local feed = httpng.feed()
    function handler(req, io)
      if req.path:find('^/publish') then feed:publish(req.query, 'a') feed:publish('b', 'b') return '' end
      local ws = io:upgrade_to_websocket()
      ws:receive()
      local policy = {
        {after = 2, action = 'drop', keys = {'b'}, reason = 'no b', mark = 'only a'},
        {after = 5, action = 'close', reason = 'too slow'},
      }
      see(told(ws:follow(feed, {lag_policy = policy, on_lag = {thinned = 'thinned', current = 'current'}})))
      local stats = ws:get_follow_stats()
      see(stats.lag_step, stats.dropped)
    end
    """)
    speaker = Speaker(served)
    speaker.client.room = 0
    speaker.send(frame(TEXT, b"begin"))
    served.answer("/publish?one")
    served.loop.advance(2)
    speaker.client.give_room()
    assert speaker.messages == ["only a", "thinned", "one", "current"]
    speaker.client.room = 0
    served.answer("/publish?two")
    served.loop.advance(5)
    speaker.client.give_room()
    assert speaker.closes[-1] == (1013).to_bytes(2, "big") + b"too slow"
    assert served.seen() == ["wait false cancelled", "2 no b"]
