"""What RFC 9113 and RFC 7541 demand of a server, on whole connections: in clear text and over TLS.

The tables are the engine's (`engine/demands.py`); here is what a client gets to see of each on its socket.
`h2spec_cases.py` says which test holds which case of h2spec.
"""

from collections.abc import Callable
from typing import Any

import hpack
import pytest
from tests.core.driving import Driven as Plain
from tests.core.http2.engine.demands import CONNECTION, HARMLESS, PING, REQUESTS, STREAM
from tests.core.http2.engine.driving import GET, Fields, frame, read_all, settings, window_update
from tests.core.sealed import Sealed

from httpng_core import CertificateFiles, Certificates, Response

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING_FRAME, GOAWAY = 0, 1, 3, 4, 6, 7
REFUSED_STREAM = 7
Act = Callable[[Any], bytes]
BOTH = pytest.mark.parametrize("tls", [False, True], ids=["clear text", "TLS"])


class Wired:
    """A connection after both sides' settings, and what its client saw.

    Attributes:
        first: the type, the stream and the payload of each frame until then.
        seen: those since then.
    """

    def __init__(self, end: Plain | Sealed) -> None:
        self.end = end
        self.encoder = hpack.Encoder()
        self.read = 0
        self.seen: list[tuple[int, int, bytes]] = []
        self.send(PREFACE + settings())
        self.first, self.seen = self.seen, []

    def send(self, wire: bytes) -> None:
        end = self.end
        if isinstance(end, Sealed):
            end.send(wire)
        else:
            end.receive(wire)
        self.push()

    def push(self) -> None:
        self.end.push()
        came = bytes(self.end.opened if isinstance(self.end, Sealed) else self.end.wire)
        self.seen += [(one.kind, one.stream_id, one.payload) for one in read_all(came[self.read :])]
        self.read = len(came)

    def block(self, fields: Fields) -> bytes:
        return self.encoder.encode(list(fields))

    def headers(self, stream_id: int, fields: Fields = GET, end: bool = True) -> bytes:
        return frame(HEADERS, 5 if end else 4, stream_id, self.block(fields))

    def request(self, stream_id: int = 1) -> None:
        self.send(self.headers(stream_id))

    def respond(self, stream_id: int, body: bytes = b"") -> None:
        """Answer the newest request, which is that of `stream_id`, if it is a whole one."""
        self.end.exchange.respond(Response(body=body), self.end.now)
        self.push()

    @property
    def bodies(self) -> dict[int, bytes]:
        """What came of the body of each stream."""
        found: dict[int, bytes] = {}
        for kind, stream, payload in self.seen:
            if kind == DATA:
                found[stream] = found.get(stream, b"") + payload
        return found

    @property
    def failure(self) -> int | None:
        return next((int.from_bytes(told[4:8]) for kind, _, told in self.seen if kind == GOAWAY), None)

    @property
    def resets(self) -> list[tuple[int, int]]:
        return [(stream, int.from_bytes(code)) for kind, stream, code in self.seen if kind == RST_STREAM]

    def answers(self) -> bool:
        """Whether a PING is answered, and another request served."""
        self.send(PING)
        answered = self.seen[-1] == (PING_FRAME, 0, b"12345678")
        count = len(self.end.events)
        self.request(99)
        return answered and len(self.end.events) > count


Wire = Callable[[bool], Wired]


@pytest.fixture
def wired(certificates: Certificates, pair: CertificateFiles) -> Wire:
    return lambda tls: Wired(Sealed(certificates, pair).shake() if tls else Plain(b""))


@BOTH
@pytest.mark.parametrize("act", REQUESTS.values(), ids=REQUESTS)
def test_a_request_is_answered(wired: Wire, act: Act, tls: bool) -> None:
    one = wired(tls)
    one.send(act(one))
    one.respond(1)
    assert (one.failure, one.resets) == (None, [])
    assert [stream for kind, stream, _ in one.seen if kind == HEADERS] == [1]
    assert one.answers()


@BOTH
@pytest.mark.parametrize("act", HARMLESS.values(), ids=HARMLESS)
def test_a_frame_does_no_harm(wired: Wire, act: Act, tls: bool) -> None:
    one = wired(tls)
    one.send(act(one))
    assert (one.failure or 0, one.resets) == (0, [])
    # After a GOAWAY of the client's there is one of ours, and no request more.
    assert one.failure == 0 or one.answers()


@BOTH
@pytest.mark.parametrize(("act", "code"), CONNECTION.values(), ids=CONNECTION)
def test_the_connection_ends(wired: Wire, act: Act, code: int, tls: bool) -> None:
    one = wired(tls)
    one.send(act(one))
    assert one.failure == code
    count = len(one.seen)
    one.send(PING)
    assert len(one.seen) == count
    assert one.end.connection.half_close_expected() or one.end.connection.close_expected()


# Whole connections announce what an engine alone doesn't.
STREAMS = {name: row for name, row in STREAM.items() if name != "extended CONNECT that wasn't announced"}


@BOTH
@pytest.mark.parametrize(("act", "code"), STREAMS.values(), ids=STREAMS)
def test_the_stream_is_reset_and_the_connection_goes_on(wired: Wire, act: Act, code: int, tls: bool) -> None:
    one = wired(tls)
    one.send(act(one))
    assert (one.failure, one.resets) == (None, [(1, code)])
    assert one.answers()


@BOTH
def test_a_stream_over_the_limit_is_refused(wired: Wire, tls: bool) -> None:
    one = wired(tls)
    for number in range(101):
        one.request(2 * number + 1)
    assert (one.failure, one.resets) == (None, [(201, REFUSED_STREAM)])
    one.send(PING)
    assert one.seen[-1] == (PING_FRAME, 0, b"12345678")


# The beginning, settings and PING -----------------------------------------------------------------------


@BOTH
def test_the_server_begins_with_its_settings_and_acknowledges_the_client_s(wired: Wire, tls: bool) -> None:
    one = wired(tls)
    (kind, stream, payload), *_ = one.first
    assert (kind, stream) == (SETTINGS, 0)
    assert len(payload) > 0
    assert one.first.count((SETTINGS, 0, b"")) == 1


@BOTH
def test_settings_are_acknowledged(wired: Wire, tls: bool) -> None:
    one = wired(tls)
    one.send(settings((3, 100), (1, 0)))
    one.send(settings())
    assert one.seen == [(SETTINGS, 0, b"")] * 2


@BOTH
def test_a_ping_is_answered_with_the_same(wired: Wire, tls: bool) -> None:
    one = wired(tls)
    one.send(frame(PING_FRAME, 0, 0, b"as it is"))
    assert one.seen == [(PING_FRAME, 0, b"as it is")]


@BOTH
def test_an_acknowledgement_is_not_answered(wired: Wire, tls: bool) -> None:
    one = wired(tls)
    one.send(frame(PING_FRAME, 1, 0, b"as it is") + frame(SETTINGS, 1))
    assert one.seen == []
    one.send(PING)
    assert one.seen == [(PING_FRAME, 0, b"12345678")]


NO_PREFACE = b"INVALID CONNECTION PREFACE\r\n\r\n"


@BOTH
def test_what_begins_otherwise_is_no_http2(
    certificates: Certificates, pair: CertificateFiles, tls: bool
) -> None:
    """Both protocols are spoken at one address: it is taken for HTTP/1.1, and refused as such."""
    end = Sealed(certificates, pair).shake() if tls else Plain(b"")
    if isinstance(end, Sealed):
        end.send(NO_PREFACE)
    else:
        end.receive(NO_PREFACE)
    end.push()
    came = bytes(end.opened if isinstance(end, Sealed) else end.wire)
    assert came.startswith(b"HTTP/1.1 400 ")
    assert end.connection.half_close_expected() or end.connection.close_expected()


# Windows ------------------------------------------------------------------------------------------------

WHOLE = frame(HEADERS, 5, 1, b"\x82\x86\x84\x41\x01x")
WINDOWS: dict[str, tuple[bytes, list[tuple[bytes, int]]]] = {
    "a window of 1": (settings((4, 1)) + WHOLE, [(b"", 1), (window_update(1, 1), 2)]),
    "two values for it, of which the last counts": (settings((4, 100), (4, 1)) + WHOLE, [(b"", 1)]),
    "settings that open it after the request": (
        settings((4, 0)) + WHOLE,
        [(b"", 0), (settings((4, 1)), 1), (settings((4, 4)), 4)],
    ),
    "settings that make it negative": (
        settings((4, 3)) + WHOLE,
        [(b"", 3), (settings((4, 2)), 3), (window_update(1, 1), 3), (window_update(1, 1), 4)],
    ),
}
"""What comes before the response of 10 bytes; then what comes, and how much of it the client has then."""


@BOTH
@pytest.mark.parametrize(("before", "steps"), WINDOWS.values(), ids=WINDOWS)
def test_no_more_is_sent_than_a_window_allows(
    wired: Wire, before: bytes, steps: list[tuple[bytes, int]], tls: bool
) -> None:
    one = wired(tls)
    one.send(before)
    one.respond(1, b"0123456789")
    for wire, size in steps:
        one.send(wire)
        assert one.bodies.get(1, b"") == b"0123456789"[:size]
    one.send(window_update(1, 100))
    assert one.bodies == {1: b"0123456789"}
    assert one.failure is None
