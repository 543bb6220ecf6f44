"""Server-sent events from Lua: the bytes are those of Python, mistakes raise as everywhere."""

import pytest
from tests.lua.conftest import Serve

from httpng_core import sse_event, sse_headers


@pytest.mark.parametrize(
    ("call", "written"),
    [
        ("httpng.sse_event('tick')", sse_event("tick")),
        (
            "httpng.sse_event('a\\nb\\r\\nc', {event = 'gap', id = 7})",
            sse_event("a\nb\nc", event="gap", id=7),
        ),
        ("httpng.sse_event('\\255', {id = '', event = nil})", sse_event(b"\xff", id="")),
        ("httpng.sse_event(5)", sse_event("5")),
        ("httpng.sse_event(nil, {retry = 1000.0})", sse_event(retry=1000)),
        ("httpng.sse_event(nil, {comment = 'still\\nhere'})", sse_event(comment="still\nhere")),
        ("httpng.sse_event('')", sse_event("")),
    ],
)
def test_an_event_is_what_it_is_in_python(serve: Serve, call: str, written: bytes) -> None:
    served = serve(f"function handler(req, io) return {call} end")
    assert served.answer().body == written


def test_the_headers_are_those_of_python_and_fresh(serve: Serve) -> None:
    served = serve(
        """
        function handler(req, io)
          httpng.sse_headers()['x-a'] = 'b'
          io.headers = httpng.sse_headers()
          io:write(httpng.sse_event('x'))
        end"""
    )
    headers = served.answer().headers
    assert sse_headers().items() <= dict(headers).items()
    assert "x-a" not in headers


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("httpng.sse_event()", "an event needs data, or an event, an id, a retry or a comment"),
        ("httpng.sse_event({})", "data must be a string or a number, not a table"),
        ("httpng.sse_event('x', 'gap')", "fields must be a table, not a string"),
        ("httpng.sse_event('x', {name = 'gap'})", "unknown parameter name; the nearest known one is"),
        ("httpng.sse_event('x', {event = 'a\\nb'})", "event must be one line without NUL, not 'a\\nb'"),
        ("httpng.sse_event('x', {id = {}})", "id must be a string or a number, not a table"),
        (
            "httpng.sse_event('x', {retry = '1'})",
            "retry must be a whole number of milliseconds, not a string",
        ),
        ("httpng.sse_event('x', {retry = 1.5})", "retry must be a whole number of milliseconds, not 1.5"),
        ("httpng.sse_event('x', {retry = -1})", "retry must be 0 or more milliseconds, not -1"),
    ],
)
def test_mistakes_raise(serve: Serve, call: str, message: str) -> None:
    served = serve(f"function handler(req, io) see(select(2, pcall(function() {call} end))) end")
    served.ask()
    [seen] = served.seen()
    assert seen.startswith(message.replace("\n", "\\n"))
