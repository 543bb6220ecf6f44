"""The machine of sweeps with clients over TLS and HTTP/2 among its own: what is made can't be taken back.

Kernels cut records and frames anywhere, say that they take bytes and then don't, and windows are shut and
opened. What is told must be with the client, to the byte, as in `test_sweep_machine`.
"""

from __future__ import annotations

import ssl
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import rule
from tests.certificates import make_pair, trusting
from tests.core.driving import GET
from tests.core.feeds.wires import WIRES, Wired
from tests.properties.test_sweep_machine import PLENTY, Following, SweepMachine, picks

from httpng_core import Certificates, Pending, SendStats, Settings, TlsFiles


@cache
def shown() -> tuple[Certificates, ssl.SSLContext]:
    """What the server shows, and what clients trust."""
    with tempfile.TemporaryDirectory() as folder:
        files = make_pair(Path(folder))
        return Certificates(TlsFiles((files,)), Settings()), trusting(files)


class WiredClient:
    """A client of one of the wires, as the machine looks at it."""

    def __init__(
        self, machine: SweepMachine, wire: str, window: int, stall: float | None, in_step: bool
    ) -> None:
        ready = machine.sweeps.append if in_step else None
        self.wired = Wired(wire, machine.clock, ready, *shown(), window=window)
        self.connection, self.exchange = self.wired.connection, self.wired.exchange
        self.exchange.stall_timeout = stall
        self.stall = stall
        self.flag()
        self.head = self.old = self.gave_up = False
        self.tears = self.wired.http2 is not None
        if self.wired.http2 is not None:
            self.wired.http2.reads = False
        self.followings: list[Following] = []
        self.writes: list[Pending] = []
        self.waits: list[tuple[int, Pending]] = []

    def flag(self) -> None:
        self.wired.flag()

    @property
    def flagged(self) -> bool:
        return self.wired.flagged

    @property
    def blocked(self) -> bool:
        return self.wired.blocked

    @property
    def moved_at(self) -> float:
        return self.wired.moved_at

    @property
    def stats(self) -> SendStats:
        return self.wired.stats()

    @property
    def wire(self) -> bytes:
        return bytes(self.wired.raw)

    def take_events(self) -> None:
        self.wired.take_events()

    def lost(self) -> None:
        self.connection.connection_lost(self.wired.clock.now)
        self.take_events()

    def eof(self) -> None:
        self.connection.receive_eof(self.wired.clock.now)
        self.take_events()
        self.flag()

    def shut(self) -> None:
        self.wired.room = 0

    def drain(self, room: float) -> None:
        self.wired.drain(room)
        if room == PLENTY:
            self.give(1 << 20)

    def give(self, size: int) -> None:
        """The client allows more body bytes, on its stream and in all."""
        client = self.wired.http2
        if client is None or self.exchange.is_over:
            return
        client.give(size, 1)
        client.give(size)
        self.wired.receive(client.take())

    def serve(self) -> None:
        self.wired.serve()

    def body(self) -> bytes:
        return self.wired.body()

    @property
    def committed(self) -> bytes:
        if len(self.wired.plain) == self.connection.statistics().ledger:
            return self.body()
        return self.wired.body(waiting=b"".join(self.connection.data_to_send(self.wired.clock.now)))


class WiredSweepMachine(SweepMachine):
    """Two feeds, up to five clients of all kinds."""

    def make(self, received: bytes, stall: float | None, in_step: bool, kind: int) -> Any:
        wire = WIRES[(kind + 1) % len(WIRES)]
        if wire == "http/1.1" or received != GET:
            return super().make(received, stall, in_step, kind)
        return WiredClient(self, wire, 60 if kind >= len(WIRES) else 200, stall, in_step)

    @rule(pick=picks, size=st.integers(1, 60))
    def give(self, pick: int, size: int) -> None:
        """A client opens its windows."""
        client = self.pick(pick)
        if isinstance(client, WiredClient):
            client.give(size)

    @rule(pick=picks)
    def refuse_after_asking(self, pick: int) -> None:
        """A kernel will say that it takes bytes, and then take none."""
        client = self.pick(pick)
        if isinstance(client, WiredClient):
            client.wired.refuses_after_asking = True


TestWiredSweepMachine = WiredSweepMachine.TestCase
TestWiredSweepMachine.settings = hypothesis_settings(
    max_examples=80, stateful_step_count=50, deadline=None, derandomize=True
)
