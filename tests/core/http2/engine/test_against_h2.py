"""The session beside h2 in the role of a server: both are sent the same frames, by chance, until one refuses.

What h2 refuses, the session must refuse, with the same code. What it refuses besides is written down here,
and so is where the two differ on purpose:

* A malformed request is an error of its stream (RFC 9113, 8.1.1); h2 ends the connection. One that has
  neither :authority nor Host is answered with 400.
* A stream that depends on itself, and a window that grows by nothing, are errors of that stream; on a stream
  that is over such a window is ignored.
* Types of frames that RFC 9113 doesn't have are ignored, ALTSVC (0xA) too; h2 checks its size.
* After GOAWAY of the client its streams go on; h2 takes nothing more, so scripts end there.
* Of two errors in one frame each may see the other first: its size, its stream, its padding, its block.
* A header block that can't be decoded is COMPRESSION_ERROR, always; with h2 it is so at times.
"""

from dataclasses import dataclass
from math import inf

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import StreamReset as H2StreamReset
from h2.exceptions import ProtocolError
from tests.core.http2.engine.driving import Driven, settings
from tests.core.http2.engine.scripts import Script

from httpng_core.http2.engine import (
    COMPRESSION_ERROR,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    PREFACE,
    PROTOCOL_ERROR,
    STREAM_CLOSED,
    Config,
    ConnectionFailed,
    RequestRefused,
    StreamReset,
)

ALTSVC, GOAWAY, WINDOW_UPDATE = 0xA, 7, 8
FRAMES = 30

# What the session refuses and h2 does not, by the words of its reasons.
STRICTER = (
    # RFC 9218 and RFC 8441, which h2 doesn't know.
    "a frame has a stream identifier that its type can't have",
    "a priority for no stream, or for one that isn't the client's",
    "a frame has a size that its type can't have",
    "a setting is neither 0 nor 1",
    # h2 takes frames of other types of any size, and PUSH_PROMISE at times.
    "a frame is too long",
    "a client can't push",
    # Of two values of one setting h2 sees the last.
    "INITIAL_WINDOW_SIZE is too large",
    "MAX_FRAME_SIZE is out of its range",
    # h2 resets, or ignores, without an event.
    "a frame on a stream that is closed",
    "a frame on a stream that is closed, or half closed",
    "a frame on a stream that hasn't begun, or is long over",
    "a header block isn't whole, or CONTINUATION comes without one",
    # RFC 9113, 8.1.1 and 8.3, which h2 checks in part.
    "content-length isn't 0, and there is no body",
    "the body isn't as long as content-length says",
    "a pseudo-header comes twice, or behind other headers",
    "malformed :path, or none",
)
# Codes of one frame with two errors: what h2 says, and what the session says.
EITHER = {
    (PROTOCOL_ERROR, FRAME_SIZE_ERROR),
    (FRAME_SIZE_ERROR, PROTOCOL_ERROR),
    (FLOW_CONTROL_ERROR, PROTOCOL_ERROR),
    (PROTOCOL_ERROR, COMPRESSION_ERROR),
    (PROTOCOL_ERROR, STREAM_CLOSED),
    (STREAM_CLOSED, PROTOCOL_ERROR),
    (COMPRESSION_ERROR, STREAM_CLOSED),
}


@dataclass
class Refusal:
    code: int
    reason: str


class Pair:
    """h2 and a session, after the preface."""

    def __init__(self) -> None:
        self.h2 = H2Connection(H2Configuration(client_side=False))
        self.h2.initiate_connection()
        self.h2.increment_flow_control_window((1 << 20) - 65535)
        self.h2.receive_data(PREFACE + settings())
        self.driven = Driven(Config(max_control_rate=inf, max_reset_rate=inf))

    def theirs(self, wire: bytes) -> Refusal | None:
        try:
            events = self.h2.receive_data(wire)
        except ProtocolError as error:
            return Refusal(int(error.error_code), f"{type(error).__name__}: {error}")
        for event in events:
            if isinstance(event, H2StreamReset) and not event.remote_reset:
                return Refusal(int(event.error_code or 0), "reset")
        return None

    def ours(self, wire: bytes) -> Refusal | None:
        for event in self.driven.send(wire):
            if isinstance(event, ConnectionFailed) or (isinstance(event, StreamReset) and event.is_local):
                return Refusal(event.code, event.reason)
            if isinstance(event, RequestRefused):
                return Refusal(PROTOCOL_ERROR, event.reason)
        return None

    def answer_some(self, script: Script) -> None:
        for stream_id in list(self.driven.session.streams.open):
            if script.chance.random() < 0.3 and self.driven.session.is_open(stream_id):
                self.h2.send_headers(stream_id, [(":status", "200")], end_stream=True)
                self.driven.respond(stream_id)


def agree(wire: bytes, theirs: Refusal | None, ours: Refusal | None) -> bool:
    """Whether both say the same, or differ in a way that is written above."""
    if theirs is None:
        return ours is None or ours.reason in STRICTER
    if ours is None:
        return wire[3] in (ALTSVC, WINDOW_UPDATE)
    return theirs.code == ours.code or (theirs.code, ours.code) in EITHER


def run(seed: int) -> bool:
    """Play one script; return whether anything was refused."""
    script, pair = Script(seed), Pair()
    for _ in range(FRAMES):
        wire = script.frames()
        if wire[3] == GOAWAY:
            return False
        theirs, ours = pair.theirs(wire), pair.ours(wire)
        assert agree(wire, theirs, ours), (seed, wire[:60].hex(), theirs, ours)
        if theirs is not None or ours is not None:
            return True
        pair.answer_some(script)
    return False


@pytest.mark.parametrize("part", range(4))
def test_what_h2_refuses_is_refused(part: int) -> None:
    refused = sum(run(seed) for seed in range(500 * part, 500 * (part + 1)))
    assert refused > 100


@pytest.mark.soak
@pytest.mark.parametrize("part", range(10, 30))
def test_what_h2_refuses_is_refused_at_length(part: int) -> None:
    assert sum(run(seed) for seed in range(5000 * part, 5000 * (part + 1))) > 1000
