"""What tests of the engine share: frames as a client writes them, and a session that is driven by frames."""

from struct import pack
from typing import ClassVar

import hpack

from httpng_core.http2.engine import (
    PREFACE,
    Config,
    ConnectionFailed,
    Event,
    RequestBegan,
    Session,
    StreamReset,
    frames,
)

GET = ((b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"test"), (b":path", b"/"))
POST = ((b":method", b"POST"), *GET[1:])
Fields = tuple[tuple[bytes, bytes], ...]


def frame(kind: int, flags: int = 0, stream_id: int = 0, payload: bytes = b"") -> bytes:
    """Any frame, sound or not."""
    return pack(">L", len(payload))[1:] + bytes([kind, flags]) + pack(">L", stream_id) + payload


def data(stream_id: int, body: bytes = b"", end: bool = False) -> bytes:
    return frame(frames.DATA, frames.END_STREAM if end else 0, stream_id, body)


def rst(stream_id: int, code: int = 8) -> bytes:
    return frame(frames.RST_STREAM, 0, stream_id, pack(">L", code))


def window_update(stream_id: int, step: int) -> bytes:
    return frame(frames.WINDOW_UPDATE, 0, stream_id, pack(">L", step))


def settings(*values: tuple[int, int]) -> bytes:
    return frame(frames.SETTINGS, 0, 0, b"".join(pack(">HL", *value) for value in values))


def read_all(wire: bytes) -> list[frames.Frame]:
    """Frames of ours, which are never cut."""
    reader = frames.FrameReader()
    reader.feed(wire)
    found = []
    while (one := reader.next_frame()) is not None:
        found.append(one)
    return found


class Driven:
    """A session after the preface, and what it made of what it was sent.

    Attributes:
        engine: what reads it.
        events: all events.
        answers: all control frames since the handshake.
        now: the clock.
    """

    engine: ClassVar[type[Session]] = Session

    def __init__(self, config: Config | None = None, *, handshake: bool = True) -> None:
        self.session = self.engine(config or Config(), 0.0)
        self.encoder = hpack.Encoder()
        self.events: list[Event] = []
        self.answers: list[frames.Frame] = []
        self.now = 0.0
        if handshake:
            self.send(PREFACE + settings())
            self.answers.clear()
            self.events.clear()

    def send(self, wire: bytes) -> list[Event]:
        """Send bytes, until all is acted on; return the events of it."""
        begun = self.session.receive(wire, self.now)
        while self.session.has_more:
            begun += self.session.receive(b"", self.now)
        self.events += begun
        self.answers += read_all(self.session.take_control())
        return begun

    def block(self, fields: Fields) -> bytes:
        return self.encoder.encode(list(fields))

    def headers(self, stream_id: int, fields: Fields = GET, end: bool = True) -> bytes:
        flags = frames.END_HEADERS | (frames.END_STREAM if end else 0)
        return frame(frames.HEADERS, flags, stream_id, self.block(fields))

    def request(self, stream_id: int = 1, fields: Fields = GET, end: bool = True) -> list[Event]:
        return self.send(self.headers(stream_id, fields, end))

    def respond(self, stream_id: int, body: bytes = b"") -> bytes:
        """Answer a request to its end."""
        made = self.session.send_head(stream_id, b"\x88", end=not body)
        if body:
            made += self.session.data_frame_head(stream_id, len(body), end=True) + body
        return made

    @property
    def begun(self) -> list[int]:
        return [event.stream_id for event in self.events if isinstance(event, RequestBegan)]

    @property
    def resets(self) -> list[tuple[int, int]]:
        """Streams that were reset by us, and the code."""
        return [
            (one.stream_id, int.from_bytes(one.payload))
            for one in self.answers
            if one.kind == frames.RST_STREAM
        ]

    @property
    def failure(self) -> int | None:
        """The code of the GOAWAY after which nothing more is read, `None` if the connection goes on."""
        events = [event for event in self.events if isinstance(event, ConnectionFailed)]
        assert bool(events) == self.session.has_failed
        if not events:
            return None
        last = self.answers[-1]
        assert (last.kind, int.from_bytes(last.payload[4:8])) == (frames.GOAWAY, events[0].code)
        return events[0].code

    @property
    def reset_events(self) -> list[tuple[int, int]]:
        return [(event.stream_id, event.code) for event in self.events if isinstance(event, StreamReset)]


__all__ = ["GET", "POST", "Driven", "data", "frame", "read_all", "rst", "settings", "window_update"]
