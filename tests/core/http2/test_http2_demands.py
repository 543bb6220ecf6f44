"""What RFC 9113 and RFC 7541 demand of a server, on whole connections: in clear text and over TLS.

The cases are the engine's (`engine/test_demands.py`); here is what a client gets to see of each on its
socket. By the sections of a well-known conformance suite (generic, RFC 9113 and HPACK, 147 kinds in all)
they are held by:

* generic 1 and 2, 9113 5.1: streams and their states: REQUESTS, CONNECTION "... on a stream that is",
  STREAM
* generic 3.1 to 3.10, 9113 6.1 to 6.10: each type of frame, its size, its stream, its flags: all four
  tables
* generic 4, 9113 8.1 to 8.2: GET, HEAD, POST, trailers; pseudo-headers, fields, Content-Length: REQUESTS,
  STREAM
* generic 5, HPACK 2.3.3 to 6.3: representations, indices, Huffman code, the table's size: HPACK, CONNECTION
* 9113 3.4: the preface, settings first: engine/test_session: "no preface", "begins with its settings"
* 9113 4.1 to 4.3: unknown types, flags, reserved bits, sizes, blocks in one piece: HARMLESS, REQUESTS,
  CONNECTION
* 9113 5.1.1, 5.1.2: numbers of streams, how many: CONNECTION; engine/test_demands: "over the limit"
* 9113 5.3.1: what depends on itself: STREAM, CONNECTION (on a stream that is idle)
* 9113 5.4.1: GOAWAY, then the end: `test_the_connection_ends`
* 9113 6.5.3: settings in order, acknowledged: engine/test_session: "taken in order"; FrameWalker in
  properties
* 9113 6.9.1, 6.9.2: windows of 1, negative ones, too large: engine/test_flow, engine/test_session;
  CONNECTION, STREAM
* 9113 6.8, 7: GOAWAY, codes that are unknown: HARMLESS
"""

from collections.abc import Callable
from typing import Any

import hpack
import pytest
from tests.core.driving import Driven as Plain
from tests.core.http2.engine.driving import GET, Fields, frame, read_all, settings
from tests.core.http2.engine.test_demands import CONNECTION, HARMLESS, PING, REQUESTS, STREAM
from tests.core.sealed import Sealed

from httpng_core import CertificateFiles, Certificates

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADERS, RST_STREAM, PING_FRAME, GOAWAY = 1, 3, 6, 7
Act = Callable[[Any], bytes]
BOTH = pytest.mark.parametrize("tls", [False, True], ids=["clear text", "TLS"])


class Wired:
    """A connection after both sides' settings, and what its client saw.

    Attributes:
        seen: the type, the stream and the payload of each frame since then.
    """

    def __init__(self, end: Plain | Sealed) -> None:
        self.end = end
        self.encoder = hpack.Encoder()
        self.read = 0
        self.seen: list[tuple[int, int, bytes]] = []
        self.send(PREFACE + settings())
        self.seen.clear()

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

    def respond(self, stream_id: int) -> None:
        self.end.exchange.finish(self.end.now)
        self.push()

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
@pytest.mark.parametrize("act", [*REQUESTS.values(), *HARMLESS.values()], ids=[*REQUESTS, *HARMLESS])
def test_it_is_taken(wired: Wire, act: Act, tls: bool) -> None:
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
