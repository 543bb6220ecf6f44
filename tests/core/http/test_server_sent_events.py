"""Server-sent events: what is written is what a browser would read of it (WHATWG HTML, 9.2)."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from httpng_core import sse_event, sse_headers


def read(stream: bytes) -> list[tuple[str, str, str]]:
    """Type, data and last event id of each event that a browser dispatches, by the steps of 9.2.6."""
    events, last_id, kind, data = [], "", "", ""
    for line in re.split("\r\n|\n|\r", stream.decode()):
        if not line:
            if data:
                events.append((kind or "message", data.removesuffix("\n"), last_id))
            kind = data = ""
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            data += value + "\n"
        elif field == "event":
            kind = value
        elif field == "id" and "\0" not in value:
            last_id = value
    return events


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"data": "tick"}, "data: tick\n\n"),
        ({"data": ""}, "data: \n\n"),
        ({"data": "a\nb\r\nc\rd"}, "data: a\ndata: b\ndata: c\ndata: d\n\n"),
        ({"data": "a\n"}, "data: a\ndata: \n\n"),
        ({"data": b"\xc3\xa4\nb"}, "data: ä\ndata: b\n\n"),
        ({"data": "a\x0b\x85\u2028b"}, "data: a\x0b\x85\u2028b\n\n"),
        ({"data": "x", "event": "gap", "id": 7}, "event: gap\nid: 7\ndata: x\n\n"),
        ({"id": ""}, "id: \n\n"),
        ({"retry": 1000}, "retry: 1000\n\n"),
        ({"comment": "still\nhere"}, ": still\n: here\n\n"),
        ({"comment": ""}, ": \n\n"),
    ],
)
def test_an_event_has_a_field_for_each_line(arguments: dict[str, Any], text: str) -> None:
    assert sse_event(**arguments) == text.encode()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({}, ValueError, "an event needs data, or an event"),
        ({"data": 5}, TypeError, "data must be str or bytes, not 5"),
        ({"data": {"a": 1}}, TypeError, "data must be str or bytes, not {'a': 1}"),
        ({"data": "x", "event": "a\nb"}, ValueError, r"event must be one line without NUL, not 'a\\nb'"),
        ({"data": "x", "id": "a\rb"}, ValueError, r"id must be one line without NUL, not 'a\\rb'"),
        ({"data": "x", "id": "a\0"}, ValueError, "id must be one line without NUL"),
        ({"data": "x", "id": 1.5}, TypeError, "id must be str or int, not 1.5"),
        ({"data": "x", "id": True}, TypeError, "id must be str or int, not True"),
        ({"data": "x", "event": b"x"}, TypeError, "event must be str, not b'x'"),
        ({"retry": 1.5}, TypeError, "retry must be a whole number of milliseconds, not 1.5"),
        ({"retry": True}, TypeError, "retry must be a whole number of milliseconds, not True"),
        ({"retry": -1}, ValueError, "retry must be 0 or more milliseconds, not -1"),
        ({"comment": 5}, TypeError, "comment must be str, not 5"),
    ],
)
def test_mistakes_raise(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        sse_event(**arguments)


TEXT = st.text(st.characters(codec="utf-8"), max_size=30)
LINE = TEXT.filter(lambda text: not re.search("[\r\n\0]", text))


@given(data=TEXT, event=LINE, id=LINE, comment=TEXT)
def test_a_browser_reads_what_was_written_and_nothing_else(
    data: str, event: str, id: str, comment: str
) -> None:
    written = sse_event(data, event=event, id=id, comment=comment) + sse_event(comment=comment)
    lines = re.sub("\r\n|\r", "\n", data)
    assert read(written) == [(event or "message", lines, id)]


def test_nothing_may_store_or_buffer_a_stream_of_events() -> None:
    assert sse_headers() == {
        "content-type": "text/event-stream; charset=utf-8",
        "cache-control": "no-store",
        "x-accel-buffering": "no",
    }
    assert sse_headers() is not sse_headers()
