"""The machine of broadcasts with clients over TLS and HTTP/2 among its own: what is made can't be taken back.

Kernels cut records and frames anywhere, say that they take bytes and then don't, and windows are shut and
opened. What is told must be with the client, to the byte, as in `test_broadcast_machine`.
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
from tests.properties.test_broadcast_machine import PLENTY, BroadcastMachine, Following, picks

from httpng_core import Certificates, Pending, SendStats, Settings, TlsFiles


@cache
def shown() -> tuple[Certificates, ssl.SSLContext]:
    """What the server shows, and what clients trust."""
    with tempfile.TemporaryDirectory() as folder:
        files = make_pair(Path(folder))
        return Certificates(TlsFiles((files,)), Settings()), trusting(files)


class WiredClient:
    """A client of one of the wires, as the machine looks at it: one stream of what may have several."""

    def __init__(self, wired: Wired, stall: float | None) -> None:
        """The exchange that began last."""
        self.wired, self.which = wired, len(wired.exchanges) - 1
        self.connection, self.exchange = wired.connection, wired.exchanges[-1]
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
        return self.wired.stats(self.which)

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
        client.give(size, 2 * self.which + 1)
        client.give(size)
        self.wired.receive(client.take())

    def serve(self) -> None:
        self.wired.serve()

    def body(self) -> bytes:
        return self.wired.body(self.which)

    @property
    def committed(self) -> bytes:
        if len(self.wired.plain) == self.connection.statistics().ledger:
            return self.body()
        waiting = b"".join(self.connection.data_to_send(self.wired.clock.now))
        return self.wired.body(self.which, waiting=waiting)


class WiredBroadcastMachine(BroadcastMachine):
    """Two feeds, up to five clients of all kinds."""

    def make(self, received: bytes, stall: float | None, in_step: bool, kind: int) -> Any:
        wire = WIRES[(kind + 1) % len(WIRES)]
        if wire == "http/1.1" or received != GET:
            return super().make(received, stall, in_step, kind)
        is_other = kind >= len(WIRES)
        if is_other and not stall and (shared := self.ask_again(wire)) is not None:
            return WiredClient(shared, None)
        ready = self.broadcasts.append if in_step else None
        return WiredClient(Wired(wire, self.clock, ready, *shown(), window=60 if is_other else 200), stall)

    def ask_again(self, wire: str) -> Wired | None:
        """One more stream of a connection of HTTP/2, if there is one where no stream may stall."""
        for client in self.clients:
            if not isinstance(client, WiredClient) or client.wired.wire != wire:
                continue
            wired, http2 = client.wired, client.wired.http2
            if http2 is None or http2.goaway is not None or client.exchange.is_over or client.stall:
                continue
            began = len(wired.exchanges)
            http2.request("/", authority="localhost")
            wired.receive(http2.take())
            if len(wired.exchanges) > began:
                return wired
        return None

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


TestWiredBroadcastMachine = WiredBroadcastMachine.TestCase
TestWiredBroadcastMachine.settings = hypothesis_settings(
    max_examples=80, stateful_step_count=50, deadline=None, derandomize=True
)
