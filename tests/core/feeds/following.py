"""A client whose exchange follows feeds, for itself or in step with others."""

from tests.core.driving import Driven

from httpng_core import GeneratorIO, Host, Sweep
from httpng_core.testing import Clock


class Following(Driven):
    """One whose feeds have the same clock; with `sweeps` it shares passes with others."""

    def __init__(self, clock: Clock | None = None, sweeps: list[Sweep] | None = None) -> None:
        self.sweeps = sweeps
        super().__init__()
        self.clock = clock or self.clock
        self.io = GeneratorIO(self.exchange, self.clock)

    def _host(self) -> Host:
        if self.sweeps is None:
            return Host(self._wake)
        return Host(self._wake, feed_ready=self.sweeps.append, direct_send=self.send)

    def send(self, wire: bytes) -> int:
        self.wire += wire
        return len(wire)
