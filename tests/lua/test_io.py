"""The calls of io in their new form: results, windows, timeouts, headers, mistakes."""

import pytest
from tests.lua.conftest import Serve


def test_a_handler_streams(serve: Serve) -> None:
    served = serve("""
        function handler(req, io)
          see(told(io:write_header(201, {['X-Kind'] = 'a', ['x-count'] = 3})))
          see(told(io:write('abc')))
          see(told(io:write(12)))
        end""")
    response = served.answer()
    assert (response.status, response.body) == (201, b"abc12")
    assert (response.headers["x-kind"], response.headers["x-count"]) == ("a", "3")
    assert served.seen() == ["nil", "nil", "nil"]


def test_bodies_are_bytes(serve: Serve) -> None:
    served = serve(r"function handler(req, io) io:write('\0\255\r\n') return '\128' end")
    assert served.answer().body == b"\0\xff\r\n\x80"


def test_numbers_are_written_the_same_on_all_runtimes(serve: Serve) -> None:
    served = serve("""
        function handler(req, io)
          io.headers['x-whole'] = 6 / 2
          io:write(10 / 2) io:write(' ') io:write(0.5) io:write(' ') io:write(2 ^ 53)
        end""")
    response = served.answer()
    assert response.headers["x-whole"] == "3"
    assert response.body == b"5 0.5 9007199254740992"


@pytest.mark.parametrize(
    ("number", "digits"),
    [
        ("2^53", "9007199254740992"),
        ("-2^53", "-9007199254740992"),
        ("2^53 + 2", "9007199254740994"),
        ("1e18", "1000000000000000000"),
        ("2^64", "18446744073709551616"),
        ("1e22", "10000000000000000000000"),
        ("math.huge", "inf"),
    ],
)
def test_whole_numbers_keep_all_their_digits(serve: Serve, number: str, digits: str) -> None:
    served = serve(f"""
        function handler(req, io)
          io.headers['x-number'] = {number}
          io:write({number})
        end""")
    response = served.answer()
    assert response.body.decode() == response.headers["x-number"] == digits


@pytest.mark.parametrize(
    ("runtime", "number", "digits"),
    [
        ("lua54", "(1 << 53) + 1", "9007199254740993"),
        ("lua54", "math.maxinteger", "9223372036854775807"),
        ("lua54", "math.mininteger", "-9223372036854775808"),
        ("luajit21", "9007199254740993LL", "9007199254740993"),
        ("luajit21", "18446744073709551615ULL", "18446744073709551615"),
    ],
)
def test_integers_keep_all_their_digits(
    serve: Serve, lua: str, runtime: str, number: str, digits: str
) -> None:
    if lua != runtime:
        pytest.skip("the other Lua has them as something else")
    served = serve(f"function handler(req, io) return {{headers = {{x = {number}}}, body = {number}}} end")
    response = served.answer()
    assert response.body.decode() == response.headers["x"] == digits


def test_results_tell_what_they_are(serve: Serve) -> None:
    served = serve("""
        function handler(req, io)
          io.send_window = 4
          io:write('1234')
          local result = io:write('567', 0)
          see(tostring(result))
          see('of a wait: ' .. io:wait(0, 0))
          see(result == io:write('890', 0), (pcall(function() result.sent = 5 end)))
          io:close()
          see(io:write('x'))
        end""")
    client = served.ask(room=0)
    client.give_room()
    assert served.seen() == [
        "send_result of write: cancelled=false, headers_were_sent=false, body_bytes_sent=0",
        "of a wait: send_result of wait: cancelled=false, headers_were_sent=false, reached=false",
        "true false",
        "send_result of write: cancelled=true, headers_were_sent=false, body_bytes_sent=0",
    ]


UNKNOWN = [
    ("io.send_windw = 5", "io has no field send_windw; the nearest known one is send_window"),
    ("io.status = 404", "io has no field status; the nearest known one is headers"),
    ("io.timeout = 5", "io has no field timeout; the nearest known one is send_timeout"),
    ("io[1] = 5", "io has no field 1; the nearest known one is send_window"),
]


@pytest.mark.parametrize(("assignment", "message"), UNKNOWN)
def test_unknown_fields_of_io_raise(serve: Serve, assignment: str, message: str) -> None:
    served = serve(f"function handler(req, io) see(select(2, pcall(function() {assignment} end))) end")
    served.ask()
    [told] = served.seen()
    assert told.startswith(message.partition(";")[0])
    assert "the nearest known one is " in told


def test_known_fields_of_io_may_be_set_and_unset(serve: Serve) -> None:
    served = serve("""
        function handler(req, io)
          for name in ('send_window send_timeout stall_timeout window_until headers'):gmatch('%S+') do
            io[name] = nil
            io[name] = name == 'headers' and {a = 'b'} or nil
          end
          io.send_window, io.send_timeout, io.window_until = 10, 5, 'sent'
          local write = io.write
          io.write = function(self, body) return write(self, body .. '!') end
          io:write('hello')
        end""")
    response = served.answer()
    assert (response.body, response.headers["a"]) == (b"hello!", "b")


def test_a_slow_client_gets_what_was_accepted_and_no_more(serve: Serve) -> None:
    served = serve("""
        function handler(req, io)
          io.send_window = 10
          see(told(io:write('12345678')))
          local before = fiber.clock()
          see(told(io:write('abc', 0.5)))
          see(fiber.clock() - before)
          see(told(io:write('xy', 0)))
          io:close()
        end""")
    client = served.ask(room=0)
    served.loop.advance(1)
    client.give_room()
    assert client.responses()[0].body == b"12345678xy"
    assert served.seen() == ["nil", "write 0", "0.5", "nil"]


def test_a_long_body_is_accepted_in_part(serve: Serve) -> None:
    served = serve(
        """
        function handler(req, io)
          local body = ('x'):rep(100000)
          local result = io:write(body, 2)
          see(told(result), httpng.cancelled(result), httpng.headers_were_sent(result))
          io:close()
        end""",
        default_send_window=1000,
    )
    client = served.ask(room=3000)
    served.loop.advance(2)
    client.give_room()
    [response] = client.responses()
    assert response.complete
    assert served.seen() == [f"write {len(response.body)} false true"]
    assert 0 < len(response.body) < 100000


def test_a_write_that_fell_short_cuts_the_response_short(serve: Serve) -> None:
    served = serve(
        """
        function handler(req, io)
          io:write('12345678')
          see(told(io:write('abc', 1)))
        end""",
        default_send_window=10,
    )
    client = served.ask(room=0)
    served.loop.advance(2)
    client.give_room()
    assert (client.closed, client.gone) == (True, False)
    assert not client.received.endswith(b"0\r\n\r\n")
    assert served.seen() == ["write 0"]


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ("io:write('abc', 0.25)", 0.25),
        ("(function() io.send_timeout = 3 return io:write('abc') end)()", 3),
        ("(function() io.send_timeout = 3 return io:write('abc', 1) end)()", 1),
        ("io:write('abc')", 7),
        ("io:write('abc', nil)", 7),
    ],
)
def test_which_timeout_counts(serve: Serve, given: str, seconds: float) -> None:
    served = serve(
        f"""
        function handler(req, io)
          io:write('1234567890')
          local before = fiber.clock()
          see(told({given}))
          see(('%g'):format(fiber.clock() - before))
        end""",
        default_send_window=10,
        default_send_timeout=7,
    )
    served.ask(room=0)
    served.loop.advance(100)
    assert served.seen() == ["write 0", f"{seconds:g}"]


def test_infinity_waits_for_ever(serve: Serve) -> None:
    served = serve(
        """
        function handler(req, io)
          io:write('1234567890')
          see(told(io:write('abc', math.huge)))
        end""",
        default_send_window=10,
    )
    client = served.ask(room=0)
    served.loop.advance(1e6)
    assert served.seen() == []
    client.give_room()
    assert served.seen() == ["nil"]


def test_send_window_nil_is_the_default_and_zero_waits_for_the_kernel(serve: Serve) -> None:
    served = serve(
        """
        function handler(req, io)
          io.send_window = 2 ^ 16
          see(told(io:write(('x'):rep(65536), 0)))
          io.send_window = nil
          see(told(io:write('abc', 0)))
          io.send_window = 0
          see(told(io:write('abc', 1)))
          io:close()
        end""",
        default_send_window=65539,
    )
    served.ask(room=0)
    served.loop.advance(2)
    assert served.seen() == ["nil", "nil", "write 0"]


def test_wait(serve: Serve) -> None:
    served = serve("""
        function handler(req, io)
          io:write('1234567890')
          see(told(io:wait(10, 1)))
          see(told(io:wait(-10, 1)))
          see(told(io:wait(0)))
          see(told(io:wait(10.0)))
        end""")
    client = served.ask(room=0)
    served.loop.advance(2)
    assert served.seen() == ["wait false", "wait true"]
    client.give_room()
    assert served.seen() == ["wait false", "wait true", "wait true", "wait true"]


def test_get_send_stats_is_a_fresh_table(serve: Serve) -> None:
    served = serve("""
        function handler(req, io)
          local before = io:get_send_stats()
          io:write('abc')
          fiber.sleep(2)
          local after = io:get_send_stats()
          see(before.current, before.sent, before.cancelled, before.headers_were_sent, before.acked)
          see(after.current, after.sent, after.cancelled, after.headers_were_sent, ('%g'):format(after.lag))
          see(before ~= after)
        end""")
    served.ask(room=0)
    served.loop.advance(3)
    assert served.seen() == ["0 0 false false nil", "3 0 false false 2", "true"]


def test_a_client_that_is_gone_is_a_result(serve: Serve) -> None:
    served = serve(
        """
        function handler(req, io)
          io:write('1234567890')
          see(told(io:write('abc')))
          see(told(io:write('abc')), told(io:wait(0)))
          see(io:get_send_stats().cancelled)
        end""",
        default_send_window=10,
    )
    client = served.ask(room=0)
    client.reset()
    assert served.seen() == ["write 0 cancelled", "write 0 cancelled wait false cancelled", "true"]


def test_headers_of_io_are_for_calls_without_headers(serve: Serve) -> None:
    served = serve("""
        function handler(req, io)
          io.headers.a = 'b'
          if req.path == '/write' then io:write('x')
          elseif req.path == '/absent' then io:write_header(200)
          elseif req.path == '/none' then io:write_header(200, nil)
          elseif req.path == '/own' then io:write_header(200, {c = 'd'})
          elseif req.path == '/timeout' then io:write_header(200, nil, 1)
          elseif req.path == '/body' then return 'x'
          elseif req.path == '/table' then return {headers = {c = 'd'}}
          elseif req.path == '/close' then io:close() end
        end""")
    given = {path: served.answer(f"/{path}").headers for path in ("write", "absent", "body", "close", "end")}
    assert {path: headers.get("a") for path, headers in given.items()} == dict.fromkeys(given, "b")
    for path in ("/none", "/own", "/timeout", "/table"):
        assert "a" not in served.answer(path).headers
    assert served.answer("/own").headers["c"] == served.answer("/table").headers["c"] == "d"


def test_write_header_waits_for_the_kernel_and_a_write_need_not(serve: Serve) -> None:
    served = serve("""
        function handler(req, io)
          see(told(io:write_header(200, {}, 1)))
          see(told(io:write('abc', 0)))
          see(pcall(io.write_header, io, 200))
        end""")
    client = served.ask(room=0)
    served.loop.advance(2)
    client.give_room()
    assert client.responses()[0].body == b"abc"
    assert served.seen() == ["header", "nil", "false Handler has already written header"]


MISTAKES = [
    ("io.write()", "Not enough parameters"),
    ("io:write()", "Not enough parameters"),
    ("io.write_header()", "Not enough parameters"),
    ("io:write_header()", "Not enough parameters"),
    ("io:wait()", "Not enough parameters"),
    ("io.write('x')", "shuttle is invalid: called with a dot, use a colon"),
    ("io.write(5)", "shuttle is invalid: called with a dot, use a colon"),
    ("io.write_header(200)", "shuttle is invalid: called with a dot, use a colon"),
    ("io.write_header(200, {})", "shuttle is invalid: called with a dot, use a colon"),
    ("io.wait(0)", "shuttle is invalid: called with a dot, use a colon"),
    ("io:write(nil)", "body is nil"),
    ("io:write(nil, 5)", "body is nil"),
    ("io.write({}, 'x')", "shuttle is invalid"),
    ("io.write('x', 'y')", "shuttle is invalid: called with a dot, use a colon"),
    ("io.write_header(5, 200)", "shuttle is invalid"),
    ("io.wait({}, 0)", "shuttle is invalid"),
    ("io.close()", "Not enough parameters: called with a dot, use a colon"),
    ("io.close({})", "shuttle is invalid"),
    ("io.get_send_stats()", "shuttle is invalid: called with a dot, use a colon"),
    ("io:write_header('a')", "HTTP code is not an integer"),
    ("io:write_header(nil)", "HTTP code is not an integer"),
    ("io:write_header({})", "HTTP code is not an integer"),
    ("io:write_header(200.5)", "HTTP code is not an integer"),
    ("io:write_header(math.huge)", "HTTP code is not an integer"),
    ("io:write_header(99)", "HTTP code 99 is outside 100..599"),
    ("io:write_header(600)", "HTTP code 600 is outside 100..599"),
    ("io:write({})", "body must be a string or a number, not table"),
    ("io:write(true)", "body must be a string or a number, not boolean"),
    ("io:write('x', 'y')", "timeout must be a number of seconds, not string"),
    ("io:write('x', -1)", "timeout must be 0 or more seconds, not -1"),
    ("io:write('x', 0/0)", "timeout must be 0 or more seconds, not nan"),
    ("io:write_header(200, {}, {})", "timeout must be a number of seconds, not table"),
    ("io:wait(0, -1)", "timeout must be 0 or more seconds, not -1"),
    ("io:wait('x')", "position is not an integer"),
    ("io:wait(0.5)", "position is not an integer"),
    ("io:write_header(200, 'x')", "headers must be a table, not string"),
    ("io:write_header(200, {5})", "header name must be a string, not number"),
    ("io:write_header(200, {a = true})", "value of header 'a' must be a string or a number, not boolean"),
    ("io:write_header(200, {a = {true}})", "value of header 'a' must be a string or a number, not boolean"),
    (
        "io:write_header(200, {a = {b = 'c'}})",
        "value of header 'a' must be a string, a number or a list of these",
    ),
    ("io:write_header(200, {a = 'b', A = 'c'})", "header 'A' is also there as 'a'"),
    (
        "io:write_header(200, {['set-cookie'] = {'a'}, ['Set-Cookie'] = 'b'})",
        "header 'Set-Cookie' is also there as 'set-cookie'",
    ),
    ("io:write_header(200, {a = '\\0'})", "value of header 'a' has a control character in it"),
    ("io:write_header(200, {a = {'b', '\\127'}})", "value of header 'a' has a control character in it"),
    ("io:write_header(200, {['a\\1'] = 'b'})", 'header name "a\\1" has a control character in it'),
    ("io:write_header(200, {['a b'] = 'c'})", "header name b'a b' is not a token (RFC 9110, 5.1)"),
    ("io:write_header(200, {a = 'b\\nc'})", "value of header 'a' has a control character in it"),
    (
        "(function() io.send_timeout = 'x' io:write('a') end)()",
        "timeout must be a number of seconds, not string",
    ),
    (
        "(function() io.send_window = 'x' io:write('a') end)()",
        'send_window must be an integer or "auto", not string',
    ),
    (
        "(function() io.send_window = 0.5 io:write('a') end)()",
        'send_window must be an integer or "auto", not float',
    ),
    ("(function() io.send_window = -1 io:write('a') end)()", "send_window must be 0 or more bytes, not -1"),
    ("(function() io.headers = 5 io:write('a') end)()", "headers must be a table, not number"),
    ("(function() io.headers = 5 io:close() end)()", "headers must be a table, not number"),
]


@pytest.mark.parametrize(("call", "message"), MISTAKES)
def test_mistakes_raise_and_send_nothing(serve: Serve, call: str, message: str) -> None:
    served = serve(
        f"""
        function handler(req, io)
          local ok, message = pcall(function() {call} end)
          see(ok, message)
          see(io:get_send_stats().current)
          io.headers, io.send_window, io.send_timeout = {{}}, nil, nil
          return {{status = 202, body = 'fine'}}
        end""".replace("pcall(function() (", "pcall(function() return (")
    )
    response = served.answer()
    assert (response.status, response.body) == (202, b"fine")
    assert served.seen() == [f"false {message}", "0"]


def test_a_numeric_string_is_a_code(serve: Serve) -> None:
    assert serve("function handler(req, io) io:write_header('404') end").answer().status == 404


def test_more_than_the_content_length_raises_when_its_turn_comes(serve: Serve) -> None:
    served = serve(
        """
        function handler(req, io)
          io:write_header(200, {['content-length'] = 6})
          see(pcall(io.write, io, '12345678'))
          io:write('1234')
          local ok, message = pcall(io.write, io, '5678')
          see(ok, message)
          io:write('56')
        end""",
        default_send_window=4,
    )
    client = served.ask(room=200)
    assert client.responses()[0].body == b"123456"
    first, second = served.seen()
    assert first.startswith("false content-length is 6, 0 bytes were written and 8 more would exceed it")
    assert second.startswith("false content-length is 6, 4 bytes were written and 4 more would exceed it")


def test_that_of_a_queued_write_raises_as_well(serve: Serve) -> None:
    served = serve(
        """
        function handler(req, io)
          io:write_header(200, {['content-length'] = 6}, 0)
          io:write('1234')
          fiber.create(function() see('first', told(io:write('56', 9))) end)
          see('second', pcall(io.write, io, '78', 9))
        end""",
        default_send_window=4,
    )
    client = served.ask(room=0)
    assert served.seen() == []
    client.give_room()
    assert client.responses()[0].body == b"123456"
    assert sorted(served.seen()) == [
        "first nil",
        "second false content-length is 6, 6 bytes were written and 2 more would exceed it; "
        "nothing of them is sent",
    ]


def test_an_empty_write_sends_the_headers(serve: Serve) -> None:
    served = serve("""
        function handler(req, io)
          io:write('')
          fiber.sleep(1)
        end""")
    client = served.ask()
    assert client.responses()[0].status == 200
    assert not client.responses()[0].complete


def test_close_ends_cleanly_and_again_does_nothing(serve: Serve) -> None:
    served = serve("""
        function handler(req, io)
          io:write('abc')
          io:close()
          io:close()
          see(told(io:write('d')), told(io:wait(3)))
          fiber.sleep(5)
          see(told(io:write('d')))
        end""")
    client = served.ask()
    assert client.responses()[0].complete
    served.loop.advance(6)
    assert client.responses()[0].body == b"abc"
    assert served.seen()[0].startswith("write 0 cancelled wait")
    assert served.seen()[1] == "write 0 cancelled"


def test_head_runs_the_handler_and_drops_the_body(serve: Serve) -> None:
    served = serve("""
        function handler(req, io)
          io:write_header(200, {['content-length'] = 5})
          see(told(io:write('12345')), io:get_send_stats().current)
        end""")
    client = served.ask(method="HEAD")
    [response] = client.responses("HEAD")
    assert (response.body, response.headers["content-length"]) == (b"", "5")
    # Its response was over once its head was sent.
    assert served.seen() == ["write 0 cancelled 0"]


@pytest.mark.parametrize("status", [204, 304])
def test_a_body_after_204_or_304_stays_off_the_wire(serve: Serve, status: int) -> None:
    served = serve(f"function handler(req, io) io:write_header({status}) io:write('body') end")
    client = served.ask()
    assert b"body" not in bytes(client.received)
    client.get("/seen")
    assert [response.status for response in client.responses()] == [status, 200]


def test_helpers_on_what_is_no_result(serve: Serve) -> None:
    served = serve("""
        function handler(req, io)
          see(httpng.cancelled(nil), httpng.headers_were_sent(nil))
          see(pcall(httpng.body_bytes_sent, nil))
          see(pcall(httpng.reached, nil))
          see(pcall(httpng.cancelled, 'x'))
          see(pcall(httpng.cancelled, 0))
          see(pcall(httpng.body_bytes_sent, io:wait(0)))
        end""")
    served.ask()
    assert served.seen() == [
        "nil true",
        "false body_bytes_sent() needs the send_result of a write, got nothing (nil)",
        "false reached() needs the send_result of a wait, got nothing (nil)",
        "false not a send_result: string",
        "false not a send_result: 0",
        "false body_bytes_sent() needs the send_result of a write, got one of a wait",
    ]


def test_a_send_window_may_follow_the_path(serve: Serve) -> None:
    served = serve(
        """
        function handler(req, io)
          io.send_window = 'auto'
          see(io:write('abc'))
          see(io:get_send_stats().acked)
        end"""
    )
    assert served.answer().body == b"abc"
    assert served.seen() == ["nil", "0"]


def test_a_null_is_the_default(serve: Serve) -> None:
    """On LuaJIT it equals nil, and isn't; there a decoded null is one."""
    served = serve(
        """
        local null = box.NULL
        function handler(req, io)
          io.headers, io.send_timeout, io.send_window = null, null, null
          io.window_until, io.stall_timeout = null, null
          see(told(io:write_header(200, null, null)), told(io:write('a', null)), io:write('b', false))
          see(told(io:wait(0, null, null)))
          see(httpng.cancelled(null), httpng.headers_were_sent(null))
          see(pcall(httpng.body_bytes_sent, null))
          see(pcall(httpng.reached, null))
        end"""
    )
    assert served.answer().body == b"ab"
    assert served.seen() == [
        "nil nil false",
        "wait true",
        "nil true",
        "false body_bytes_sent() needs the send_result of a write, got nothing (nil)",
        "false reached() needs the send_result of a wait, got nothing (nil)",
    ]
