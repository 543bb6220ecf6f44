"""A driver of one connection that speaks HTTP/2, with its client: both in the hands of the test."""

from typing import Any, ClassVar

from tests.core.driving import Driven

from httpng_core import Exchange
from httpng_core.testing import Http2Client, ReceivedStream


class Driven2(Driven):
    """A connection, an HTTP/2 client, and a kernel between them; the handlers are the test's.

    Attributes:
        engine: which HTTP/2 a connection gets whose test doesn't say.
        client: the client.
    """

    engine: ClassVar[str] = "fast"

    def __init__(self, window: int = 65535, *, reads: bool = True, **settings: Any) -> None:
        self.client = Http2Client(window, reads=reads)
        self.read = 0
        super().__init__(b"", **{"http2_engine": self.engine, **settings})
        self.turn()

    def turn(self) -> None:
        """Both sides get what the other has to say, without an end of room."""
        for _ in range(100):
            if (data := self.client.take()) or self.connection.wants_write:
                self.receive(data)
                self.push()
            else:
                return
        raise AssertionError("it did not come to rest")

    def push(self, room: float = float("inf"), limit: int | None = None) -> int:
        """The kernel takes `room` bytes, and the client has them at once."""
        taken = super().push(room, limit)
        data = bytes(self.wire[self.read :])
        self.read = len(self.wire)
        if data:
            self.client.receive(data)
        return taken

    def request(self, path: str = "/", method: str = "GET", **more: Any) -> tuple[int, ReceivedStream]:
        """Sends a request; tells its stream id and what will come on it."""
        stream_id = self.client.request(path, method, **more)
        self.turn()
        return stream_id, self.client.streams[stream_id]

    def begin(self, path: str = "/", method: str = "GET", **more: Any) -> tuple[Exchange, ReceivedStream]:
        """Sends a request that reaches its handler."""
        count = len(self.exchanges)
        _, stream = self.request(path, method, **more)
        assert len(self.exchanges) == count + 1
        return self.exchange, stream
