"""Requests that are taken whole: what they mean, and what of them isn't that simple."""

import pytest
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from tests.core.http2.engine.driving import data, frame

from httpng_core.http2.engine import PREFACE, Config, RequestBegan, Session, frames

WHOLE = frames.END_HEADERS | frames.END_STREAM
# GET and http by index.
METHOD, SCHEME = b"\x82", b"\x86"
HOST = b"\x01\x04test"


def request(number: int, path: bytes, *, coded: bytes = b"", more: bytes = b"") -> bytes:
    """A request whose path is a literal that isn't put into the table; `coded`: in the Huffman code."""
    text = coded or path
    size = len(text) | (0x80 if coded else 0)
    literal = bytes([0x04, size]) + text if len(text) < 0x7F else bytes([0x04, 0x7F, len(text) - 0x7F]) + text
    return frame(frames.HEADERS, WHOLE, number, METHOD + literal + SCHEME + HOST + more)


def begun(max_streams: int = 100_000) -> Session:
    """One behind the preface, whose settings are out."""
    made = Session(Config(max_streams=max_streams), 0.0)
    made.receive(PREFACE + frame(frames.SETTINGS, 0, 0, b""), 0.0)
    made.control, made.control_size = [], 0
    return made


@pytest.fixture
def session() -> Session:
    """One that knows a request for /first, as stream 1, and for /second, as stream 3."""
    made = begun()
    for number, path in ((1, b"/first"), (3, b"/second")):
        assert made.take_requests(request(number, path)) == []
        (event,) = made.receive(request(number, path), 0.0)
        assert isinstance(event, RequestBegan)
    return made


def test_several_are_taken_with_paths_of_their_own(session: Session) -> None:
    coded = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH).encode(b"/fourth")
    data = request(5, b"/first") + request(7, b"/third") + request(9, b"", coded=coded)
    taken = session.take_requests(data)
    assert [(number, path or head.path.decode()) for number, head, path in taken] == [
        (5, "/first"),
        (7, "/third"),
        (9, "/fourth"),
    ]
    assert session.last_stream == 9
    assert set(session.streams.open) == {1, 3, 5, 7, 9}


def test_they_are_taken_however_many_paths_there_are(session: Session) -> None:
    for number in range(5, 405, 2):
        ((_, head, path),) = session.take_requests(request(number, b"/%d" % number))
        assert (path or head.path.decode()) == f"/{number}"


@pytest.mark.parametrize(
    "data",
    [
        request(5, b"/" + b"x" * 150),
        request(5, b"/third", more=b"\x00\x01x\x01y"),
        request(5, b"", coded=b"\xff\xff\xff\xff"),
        request(5, b"no path"),
        request(5, b"/third")[:-1],
        request(5, b"/third") + b"\x00",
        request(2, b"/third"),
        request(3, b"/third"),
        request(7, b"/third") + request(5, b"/third"),
        request(5, b"/third") + frame(frames.PING, 0, 0, bytes(8)),
        frame(frames.HEADERS, frames.END_HEADERS, 5, METHOD + b"\x04\x02/x" + SCHEME + HOST),
    ],
)
def test_nothing_is_done_where_there_is_more_to_look_at(session: Session, data: bytes) -> None:
    assert session.take_requests(data) == []
    assert set(session.streams.open) == {1, 3}
    assert (session.streams.highest, session.last_stream) == (3, 3)


def test_nothing_is_done_while_the_client_has_answers_to_read(session: Session) -> None:
    session.receive(frame(frames.PING, 0, 0, bytes(8)), 0.0)
    assert session.take_requests(request(5, b"/first")) == []


def test_no_more_are_taken_than_there_may_be() -> None:
    session = begun(2)
    session.receive(request(1, b"/"), 0.0)
    assert session.take_requests(request(3, b"/") + request(5, b"/")) == []
    assert len(session.take_requests(request(3, b"/"))) == 1


def test_one_that_declares_a_body_and_has_none_is_left_to_be_refused() -> None:
    session = begun()
    declared = METHOD + b"\x04\x01/" + SCHEME + HOST + b"\x0f\x0d\x013"
    session.receive(frame(frames.HEADERS, frames.END_HEADERS, 1, declared) + data(1, b"abc", end=True), 0.0)
    alone = frame(frames.HEADERS, WHOLE, 3, declared)
    assert session.take_one(alone) is None
    assert session.take_requests(alone + frame(frames.HEADERS, WHOLE, 5, declared)) == []
    assert not [event for event in session.receive(alone, 0.0) if isinstance(event, RequestBegan)]
