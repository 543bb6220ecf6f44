"""Frames by chance: mostly what a client may send, often not quite."""

import random
from struct import pack

import hpack
from tests.core.http2.engine.driving import GET, POST, data, frame, rst, settings, window_update

ODD = [
    (b"te", b"trailers"),
    (b"te", b"gzip"),
    (b"connection", b"x"),
    (b"transfer-encoding", b"chunked"),
    (b"X-A", b"b"),
    (b"a b", b"c"),
    (b"", b"x"),
    (b"a", b" b"),
    (b"a", b"b\0"),
    (b"content-length", b"3"),
    (b"content-length", b"x"),
    (b":path", b"/"),
    (b"host", b"test"),
    (b"host", b"other"),
    (b"cookie", b"c"),
]
TRAILERS = [(b"x-end", b"1"), (b":path", b"/"), (b"A", b"")]
SETTINGS = [1, 2, 3, 4, 4, 5, 6, 8, 9, 77]
VALUES = [0, 1, 2, 100, 16384, 65535, 1 << 24, 1 << 31]
STEPS = [0, 1, 1000, 65536, (1 << 31) - 1]


class Script:
    """One client. Its header blocks fit each other, so it must be heard from the start."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.encoder = hpack.Encoder()
        self.next_stream = 1
        # As often as they stand here.
        self.kinds = 4 * [self.request] + 4 * [self.data] + 2 * [self.trailers, self.window_update]
        self.kinds += [self.reset, self.settings, self.ping, self.priority]
        self.kinds += [self.unknown, self.continuation, self.anything]

    def frames(self) -> bytes:
        """One frame; or two, where a header block is cut."""
        return self.chance.choice(self.kinds)()

    def some_stream(self) -> int:
        """Mostly one that was begun."""
        chance = self.chance.random()
        if chance < 0.75 and self.next_stream > 1:
            return self.chance.randrange(1, self.next_stream, 2)
        if chance < 0.9:
            return self.next_stream + 2 * self.chance.randrange(3)
        return self.chance.choice([0, 2, self.next_stream])

    def request(self) -> bytes:
        stream_id = self.next_stream
        self.next_stream += 2 * self.chance.choice([1, 1, 1, 2])
        block = self.head()
        end = self.chance.choice([0, 1])
        how = self.chance.random()
        if how < 0.1:
            cut = self.chance.randrange(len(block) + 1)
            return frame(1, end, stream_id, block[:cut]) + frame(9, 4, stream_id, block[cut:])
        if how < 0.2:
            return frame(1, 4 | 8 | end, stream_id, b"\2" + block + b"\0\0")
        if how < 0.3:
            fields = pack(">LB", self.chance.choice([0, stream_id, 3]), 5)
            return frame(1, 4 | 32 | end, stream_id, fields + block)
        return frame(1, 4 | end, stream_id, block)

    def head(self) -> bytes:
        fields = list(self.chance.choice([GET, POST]))
        if self.chance.random() < 0.15:
            fields.pop(self.chance.randrange(len(fields)))
        if self.chance.random() < 0.3:
            place = self.chance.choice([len(fields), self.chance.randrange(len(fields) + 1)])
            fields.insert(place, self.chance.choice(ODD))
        return self.encoder.encode(fields)

    def data(self) -> bytes:
        size = self.chance.choice([0, 1, 3, 3, 10, 16384])
        end = self.chance.random() < 0.3
        if self.chance.random() < 0.2:
            padding = self.chance.choice([0, 1, min(size, 255), 5])
            return frame(0, 8 | end, self.some_stream(), bytes([padding]) + b"x" * size)
        return data(self.some_stream(), b"x" * size, end)

    def trailers(self) -> bytes:
        block = self.encoder.encode([self.chance.choice(TRAILERS)])
        return frame(1, self.chance.choice([4, 5, 5, 5]), self.some_stream(), block)

    def reset(self) -> bytes:
        return rst(self.some_stream(), self.chance.choice([0, 1, 8, 99]))

    def window_update(self) -> bytes:
        stream_id = self.some_stream() if self.chance.random() < 0.8 else 0
        return window_update(stream_id, self.chance.choice(STEPS))

    def settings(self) -> bytes:
        count = self.chance.randrange(3)
        return settings(*[(self.chance.choice(SETTINGS), self.chance.choice(VALUES)) for _ in range(count)])

    def ping(self) -> bytes:
        return frame(6, self.chance.choice([0, 1]), 0, b"x" * self.chance.choice([8, 8, 8, 7]))

    def priority(self) -> bytes:
        depends_on = self.chance.choice([0, 1, self.some_stream()])
        return frame(2, 0, self.some_stream(), pack(">LB", depends_on, 1))

    def unknown(self) -> bytes:
        kind = self.chance.choice([10, 12, 0x10, 0xFF])
        stream_id = self.chance.choice([0, self.some_stream()])
        return frame(kind, self.chance.randrange(256), stream_id, b"u=1......"[: self.chance.randrange(9)])

    def continuation(self) -> bytes:
        return frame(9, self.chance.choice([0, 4]), self.some_stream(), b"\x82")

    def anything(self) -> bytes:
        """A frame of any type with a bit that is wrong, and as long as it says."""
        payload = self.chance.randbytes(self.chance.randrange(12))
        wire = bytearray(
            frame(self.chance.randrange(12), self.chance.randrange(64), self.some_stream(), payload)
        )
        wire[self.chance.randrange(len(wire))] ^= 1 << self.chance.randrange(8)
        missing = int.from_bytes(wire[:3]) - (len(wire) - 9)
        return bytes(wire) + bytes(min(max(missing, 0), 17000))
