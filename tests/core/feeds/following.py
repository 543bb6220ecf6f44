"""A client whose exchange follows feeds, for itself or in step with others."""

from tests.core.driving import Driven

from httpng_core import Broadcast, GeneratorIO, Host
from httpng_core.testing import Clock


class Following(Driven):
    """One whose feeds have the same clock; with `broadcasts` it shares passes with others."""

    def __init__(self, clock: Clock | None = None, broadcasts: list[Broadcast] | None = None) -> None:
        self.broadcasts = broadcasts
        super().__init__()
        self.clock = clock or self.clock
        self.io = GeneratorIO(self.exchange, self.clock)

    def _host(self) -> Host:
        if self.broadcasts is None:
            return Host(self._wake)
        return Host(self._wake, feed_ready=self.broadcasts.append, direct_send=self.send)

    def send(self, wire: bytes) -> int:
        self.wire += wire
        return len(wire)
