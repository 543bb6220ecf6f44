"""What the model holds of an exchange and its calls: what went in, what was told, what may come of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import Any

from tests.properties.receiver import BODILESS

from httpng_core import Exchange, Pending, SendStats, body_bytes_sent


@dataclass(eq=False)
class Call:
    """A call of a handler: what it was given, and how it ended."""

    kind: str
    pending: Pending
    body: bytes = b""
    window: int = 0
    position: int = 0
    deadline: float = inf
    settled: int = 0
    outcome: Any = None

    @property
    def reported(self) -> int:
        if self.outcome is None:
            return len(self.body)
        return 0 if isinstance(self.outcome, Exception) else body_bytes_sent(self.outcome)


@dataclass(eq=False)
class Served:
    """An exchange by the model: its calls in order and what may become of it."""

    exchange: Exchange
    index: int
    method: str
    version: str
    calls: list[Call] = field(default_factory=list)
    status: int | None = None
    length: int | None = None
    returned: bytes = b""
    headed: bool = False
    ended: bool = False
    outcome: str | None = None
    is_cut_short: bool = False
    substituted: bool = False
    drops_before_500: bool = False
    may_cancel: bool = False
    may_reset: bool = False
    progress: float = 0.0
    widest: int = 0
    stats: SendStats | None = None
    final: SendStats | None = None
    stamps: list[tuple[int, float]] = field(default_factory=list)

    @property
    def drops(self) -> bool:
        if self.substituted:
            return self.drops_before_500
        return self.method == "HEAD" or self.status in BODILESS

    @property
    def writes(self) -> list[Call]:
        return [call for call in self.calls if call.kind == "write"]

    @property
    def fell_short(self) -> bool:
        """Whether the write that was called last was not accepted whole; an empty one doesn't count."""
        last = next((call for call in reversed(self.writes) if call.body), None)
        return last is not None and (not last.settled or last.reported < len(last.body))

    @property
    def waiting(self) -> list[Call]:
        return [call for call in self.calls if not call.settled]

    @property
    def line(self) -> list[Call]:
        return [call for call in self.writes if not call.settled]

    def is_cut(self, current: int) -> bool:
        """Whether a write that still waits has got a part of its body in."""
        part = current - sum(call.reported for call in self.writes if call.settled)
        return bool(self.line) and 0 < part < len(self.line[0].body)

    def accepted(self, current: int) -> bytes:
        """The body that went in: what each call reported, and what the first in line got so far."""
        pieces, left = [], current - sum(call.reported for call in self.writes if call.settled)
        for call in self.writes:
            if call.settled:
                pieces.append(call.body[: call.reported])
            else:
                pieces.append(call.body[:left])
                assert left == 0 or len(call.body) > call.window, "a body no longer than its window was torn"
                left -= len(pieces[-1])
        pieces.append(self.returned[:left])
        assert 0 <= left <= len(self.returned), "current isn't the sum of what the calls report"
        return b"".join(pieces)
