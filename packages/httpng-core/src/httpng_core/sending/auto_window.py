"""How much a path holds: the send window `"auto"`, from when bytes were sent and when acknowledged.

Numbers only: offsets and times come in, a number of bytes comes out. The idea is that of BBR. The bytes are
those of one response body, so a response that shares its connection is measured by its share.

1. A *record* remembers of each send what was acknowledged when it was sent, and when that was. The
   records are bounded: when they are full, sends share the last record.
2. A record that is acknowledged gives two samples. The *round trip* is the time since it was sent. The
   *rate* is the bytes acknowledged since it was sent, over that time, or over the time in which they were
   sent if that was longer. Where the time is shorter than any round trip, it says nothing of the rate.
3. A record is *app-limited* unless the window was full with it, or with one that is acknowledged together
   with it, and had been for a round: the handler was refused room for what it offered next. Else less was
   under way than the window would have let, and the rate says what the handler wanted, not what the path can
   do.
4. The path's rate is the highest sample of the last 10 rounds; an app-limited sample counts only if it
   raises it. A round ends when something is acknowledged that was sent after the last one ended. One that
   took longer than a round trip counts for as many as it took, at most four: our own queue makes rounds
   long, and then the old rate must go soon.
5. The path's round trip is the shortest sample of the last 10 seconds, and of no more than 40 rounds: a path
   that has become longer would look slow, and the window would feed on itself.
6. Their product is what the path holds, and the *window* is that times a gain.
7. At the start the gain is 2, so the window doubles each round, until the rate has grown by less than a
   quarter in three rounds that are not app-limited. If the round trip becomes half as long again, that may be
   our own queue: one payload goes by itself and tells, and then it begins anew. The old rates were those of
   another path: too low for this one, or far too high, as of the first bytes that an idle link lets pass at
   once.
8. From then on phases of one round trip follow each other: one *probes* at 1.25, one *drains* at 0.9, or for
   as long as it takes, and twenty keep to 1.2. Without probing a rate that has grown would not be seen;
   without draining our own queue would pass for a longer path; at 1 a path nearly full would pass for full.
9. If the rate has grown by more than a seventh since the last probe began, another one begins at once.
10. A payload is accepted while no more than the window is unacknowledged, less a fifth of the payload: so
    one goes at a time where the path holds hardly more. One always may.
"""

from collections import deque
from collections.abc import Callable
from math import inf
from operator import ge, le
from typing import Final

ROUNDS = 10
"""For how many rounds a rate counts."""
TRIPS = 40
"""For how many rounds a round trip counts."""
TRIPS_A_SECOND = 4
"""For how many rounds a second stands: so a round trip counts for 10 seconds at most."""
MAX_RECORDS = 256

_START_GAIN = 2.0
_GROWTH_AT_START = 1.25
_ROUNDS_WITHOUT_GROWTH = 3
_GAINS: Final[tuple[float, ...]] = (1.25, 0.9, *(1.2,) * 20)
_PROBE, _DRAIN = 0, 1
_GROWTH_TO_PROBE_ON = 8 / 7
_SPARED = 0.22
_LONGER_PATH = 1.5
_LONGEST_ROUND = 4


class _Record:
    """Bytes that were sent up to `offset`; `acked` of all bytes had been acknowledged by then."""

    __slots__ = ("acked", "acked_at", "acked_sent_at", "alone", "app_limited", "offset", "sent_at")

    def __init__(
        self, offset: int, sent_at: float, acked: int, acked_at: float, acked_sent_at: float, alone: bool
    ) -> None:
        self.offset = offset
        self.sent_at = sent_at
        self.acked = acked
        self.acked_at = acked_at
        self.acked_sent_at = acked_sent_at
        self.alone = alone
        self.app_limited = True


class PathEstimate:
    """What the path of one response holds."""

    __slots__ = (
        "_acked",
        "_acked_at",
        "_acked_sent_at",
        "_full_from",
        "_phase",
        "_phase_began",
        "_probed_rate",
        "_rates",
        "_records",
        "_room_since",
        "_round",
        "_round_ends",
        "_seeks_from",
        "_sent",
        "_trips",
        "_watched_round",
        "_without_growth",
    )

    def __init__(self, start: int = 0) -> None:
        """Measure what is sent after the first `start` bytes."""
        self._full_from = start
        self._room_since: float | None = -inf
        self._sent = start
        self._acked = start
        self._acked_at = 0.0
        self._acked_sent_at = 0.0
        self._records: deque[_Record] = deque()
        self._rates = _Best(ge, ROUNDS)
        self._trips = _Best(le, TRIPS)
        self._round = 0
        self._round_ends = start
        self._watched_round = 0
        self._without_growth = 0
        self._seeks_from: int | None = None
        self._phase: int | None = None
        self._phase_began = 0.0
        self._probed_rate = 0.0

    def __len__(self) -> int:
        """Return how many records there are."""
        return len(self._records)

    @property
    def rate(self) -> float:
        """The path's rate in bytes a second; 0: not known yet."""
        return self._rates.value

    @property
    def round_trip(self) -> float:
        """The path's round trip in seconds; 0: not known yet."""
        return self._trips.value

    @property
    def gain(self) -> float:
        """By how much the window differs from what the path holds."""
        return _START_GAIN if self._phase is None else _GAINS[self._phase]

    @property
    def window(self) -> float:
        """How many bytes may be unacknowledged when one more payload is accepted."""
        return 0.0 if self._seeks_from is not None else self.gain * self.rate * self.round_trip

    def limit(self, size: int) -> float:
        """Return the send window for a payload of `size` bytes."""
        return max(size, self.window + size * (1 - _SPARED))

    @property
    def changed_at(self) -> float:
        """When what is under way changed last: there was no more room at any time since."""
        return max(self._acked_at, self._records[-1].sent_at if self._records else 0.0)

    def refused(self, now: float) -> None:
        """Note that the handler offered a payload for which there was no room."""
        if self._room_since is not None and now - self._room_since > self.round_trip:
            self._full_from = self._sent
        self._room_since = None
        if self._records and self._records[-1].acked >= self._full_from:
            self._records[-1].app_limited = False

    def sent(self, offset: int, now: float, *, idle: bool = False) -> None:
        """Note that the first `offset` bytes have been sent; `idle`: none of those before were under way."""
        alone = idle or self._sent == self._acked
        if alone:
            # Nothing was under way: no time has passed in which bytes could have been acknowledged.
            self._acked_at = self._acked_sent_at = now
        self._sent = offset
        if len(self._records) >= MAX_RECORDS:
            self._records[-1].offset = offset
            return
        self._records.append(_Record(offset, now, self._acked, self._acked_at, self._acked_sent_at, alone))

    def acknowledged(self, offset: int, now: float) -> None:
        """Note that the first `offset` bytes have been acknowledged."""
        if offset <= self._acked:
            return
        self._acked, self._acked_at = offset, now
        if self._room_since is None:
            self._room_since = now
        records, record, app_limited, alone = self._records, None, True, False
        while records and records[0].offset <= offset:
            record = records.popleft()
            app_limited = app_limited and record.app_limited
            alone = alone or record.alone
        if record is not None and now > record.sent_at:
            record.app_limited, record.alone = app_limited, alone
            self._acked_sent_at = record.sent_at
            self._sample(record, now)

    def _sample(self, record: _Record, now: float) -> None:
        trip = now - record.sent_at
        if self._seeks_from is not None:
            if not record.alone or record.offset <= self._seeks_from:
                return
            self._begin_anew()
        before = self.round_trip
        self._trips.add(trip, self._round + int(now * TRIPS_A_SECOND))
        if 0 < before * _LONGER_PATH < self.round_trip:
            self._seeks_from = self._sent
            return
        if record.acked >= self._round_ends:
            self._round += min(round(trip / self.round_trip), _LONGEST_ROUND)
            self._round_ends = self._acked
        self._sample_rate(record)
        if self._phase is not None:
            self._follow_phases(now)
        elif not record.app_limited and self._watched_round < self._round:
            self._watch_growth(now)

    def _begin_anew(self) -> None:
        """Forget what was measured: it was on another path."""
        self._seeks_from = None
        self._rates, self._trips = _Best(ge, ROUNDS), _Best(le, TRIPS)
        self._phase, self._without_growth, self._probed_rate = None, 0, 0.0

    def _sample_rate(self, record: _Record) -> None:
        seconds = max(self._acked_at - record.acked_at, record.sent_at - record.acked_sent_at)
        if seconds < self.round_trip:
            return
        rate = (self._acked - record.acked) / seconds
        if not record.app_limited or rate >= self.rate:
            self._rates.add(rate, self._round)

    def _watch_growth(self, now: float) -> None:
        self._watched_round = self._round
        if self.rate >= self._probed_rate * _GROWTH_AT_START:
            self._probed_rate, self._without_growth = self.rate, 0
            return
        self._without_growth += 1
        if self._without_growth == _ROUNDS_WITHOUT_GROWTH:
            self._enter(_DRAIN, now)

    def _follow_phases(self, now: float) -> None:
        if self.rate > self._probed_rate * _GROWTH_TO_PROBE_ON:
            self._enter(_PROBE, now)
        elif self._phase is not None and self._is_over(now):
            # A phase ends with what is acknowledged, so late by up to the time of a payload. Those that keep
            # make up for it, else the cycle could last longer than its round trip counts.
            keeps = _DRAIN < self._phase < len(_GAINS) - 1
            began = self._phase_began + self.round_trip if keeps else now
            self._enter((self._phase + 1) % len(_GAINS), began)

    def _is_over(self, now: float) -> bool:
        drained = self._phase == _DRAIN and self._sent - self._acked <= self.window
        return drained or now - self._phase_began >= self.round_trip

    def _enter(self, phase: int, now: float) -> None:
        self._phase, self._phase_began = phase, now
        if phase == _PROBE:
            self._probed_rate = self.rate


class _Best:
    """The best of the values of the last `span` ticks; at most one of each tick is kept."""

    __slots__ = ("_better", "_kept", "_span")

    def __init__(self, better: Callable[[float, float], bool], span: int) -> None:
        self._better = better
        self._span = span
        self._kept: deque[tuple[int, float]] = deque()

    @property
    def value(self) -> float:
        """The best value, 0 without any."""
        return self._kept[0][1] if self._kept else 0.0

    def add(self, value: float, tick: int) -> None:
        """Return a value of `tick`, which never falls."""
        kept = self._kept
        # What is neither newer nor better than this will never be the best again.
        while kept and self._better(value, kept[-1][1]):
            kept.pop()
        if not kept or kept[-1][0] < tick:
            kept.append((tick, value))
        while kept[0][0] <= tick - self._span:
            kept.popleft()
