"""The original's `write(io, body, is_last)` and `write_header(io, code, headers, body, is_last)`."""

import pytest
from tests.lua.conftest import Serve


def test_the_old_forms_return_booleans(serve: Serve) -> None:
    served = serve("""
        function handler(req, io)
          see(io:write_header(201, {a = 'b'}, 'x', false))
          see(io:write('y', false))
          see(io:write('z', true))
          see(io:write('late', false), io:write('late', true))
          see(told(io:write('late')))
        end""")
    response = served.answer()
    assert (response.status, response.headers["a"], response.body) == (201, "b", b"xyz")
    assert served.seen() == ["false", "false", "true", "true true", "write 0 cancelled"]


@pytest.mark.parametrize(
    ("call", "returned", "body"),
    [
        ("io:write_header(200, nil, 'a', true)", "true", b"a"),
        ("io:write_header(200, nil, 'foo')", "false", b"foo"),
        ("io:write_header(200, nil, 'foo', nil)", "false", b"foo"),
        ("io:write_header(200, nil, nil, false)", "false", b""),
        ("io:write_header(200, nil, nil, true)", "true", b""),
        ("io:write_header(200, nil, 5, true)", "true", b"5"),
        ("io:write_header(200, nil, 5)", "nil", b""),
        ("io:write_header(200, nil)", "nil", b""),
        ("io:write('foo', nil)", "nil", b"foo"),
        ("io:write('foo', true)", "true", b"foo"),
        ("io:write('foo', false)", "false", b"foo"),
    ],
)
def test_which_form_it_is(serve: Serve, call: str, returned: str, body: bytes) -> None:
    served = serve(f"function handler(req, io) io.headers.a = 'b' see({call}) end")
    response = served.answer()
    assert response.body == body
    assert served.seen() == [returned]
    assert ("a" in response.headers) == ("write(" in call)


def test_the_end_of_an_old_form_leaves_the_rest_to_be_flushed(serve: Serve) -> None:
    served = serve("""
        function handler(req, io)
          see(io:write_header(200, nil, 'abc', true))
          see(io:write('late', false))
        end""")
    client = served.ask(room=0)
    assert served.seen() == ["true", "true"]
    client.give_room()
    assert client.responses()[0].body == b"abc"
    assert client.responses()[0].complete


@pytest.mark.parametrize(
    "call",
    ["io:write('abc', false)", "io:write('abc', true)", "io:write_header(200, {}, 'abcdefghijk', false)"],
)
def test_one_that_times_out_cancels_the_exchange(serve: Serve, call: str) -> None:
    begin = "" if "header" in call else "io:write('1234567890')"
    served = serve(
        f"""
        function handler(req, io)
          {begin}
          io.send_timeout = 2
          local before = fiber.clock()
          see({call}, ('%g'):format(fiber.clock() - before))
          see(io:get_send_stats().cancelled)
        end""",
        default_send_window=10,
    )
    client = served.ask(room=0)
    served.loop.advance(5)
    assert client.gone
    assert served.seen() == ["true 2", "true"]


def test_a_header_block_alone_that_times_out(serve: Serve) -> None:
    served = serve("""
        function handler(req, io)
          io.send_timeout = 1
          see(io:write_header(200, nil, nil, false))
        end""")
    client = served.ask(room=0)
    served.loop.advance(2)
    assert client.gone
    assert served.seen() == ["true"]


def test_one_that_is_cut_off_returns_true(serve: Serve) -> None:
    served = serve(
        """
        function handler(req, io)
          see(io:write('1234567890', false))
          see(io:write('abc', false))
          see(io:write('abc', true))
        end""",
        default_send_window=10,
    )
    served.ask(room=0).reset()
    assert served.seen() == ["false", "true", "true"]


def test_one_that_waits_goes_on_when_there_is_room(serve: Serve) -> None:
    served = serve(
        """
        function handler(req, io)
          see(io:write_header(200, nil, '1234567890', false))
          see(io:write('abc', false))
          see(io:write('def', true))
        end""",
        default_send_window=10,
    )
    client = served.ask(room=0)
    served.loop.advance(1)
    assert served.seen() == []
    client.give_room()
    assert served.seen() == ["false", "false", "true"]
    assert client.responses()[0].body == b"1234567890abcdef"


def test_mistakes_of_the_old_forms(serve: Serve) -> None:
    served = serve("""
        function handler(req, io)
          see(pcall(io.write_header, io, 200, {a = true}, 'x', true))
          see(pcall(io.write_header, io, 200, {['content-length'] = 1}, 'xy', true))
          see(pcall(io.write_header, io, 200, nil, 'x', true))
          see(pcall(io.write_header, io, 200, nil, {}, true))
          io:write('1')
        end""")
    assert served.answer().body == b"1"
    said = served.seen()
    assert said[0] == "false value of header 'a' must be a string or a number, not boolean"
    assert said[1].startswith("false content-length is 1, 0 bytes were written and 2 more")
    assert said[2] == "false Handler has already written header"
    assert said[3] == "false body must be a string or a number, not table"


def test_nil_is_no_body_in_the_old_form(serve: Serve) -> None:
    served = serve(
        """
        function handler(req, io)
          io:write('a', false)
          see(io:write(nil, true))
          see(io:write(nil, false))
        end"""
    )
    assert served.answer().body == b"a"
    assert served.seen() == ["true", "true"]
