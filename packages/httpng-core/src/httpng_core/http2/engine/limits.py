"""What a client may do that costs us work and gets it nothing, measured against useful work.

Two buckets of tokens. Each fills by a rate in tokens a second, holds a few seconds' worth, and is filled
besides by what is useful: requests that are answered and body bytes that are sent. A client that empties one
is sent GOAWAY with ENHANCE_YOUR_CALM.

`max_reset_rate` guards against work that is begun for nothing:

* RST_STREAM of a request before its response began (rapid reset, CVE-2023-44487): 1 token; after that: 0.5.
* A stream that we must reset (made you reset, CVE-2025-8671): a malformed request, DATA or HEADERS on a
  stream that is half closed, a zero or too large window increment, a stream over the limit: 1 token.
* Each answered request gives 0.5: who cancels a third of what it asks for is never stopped. By itself the
  rate allows a proxy that cancels 50 requests a second, twice over.

`max_control_rate` guards against frames that say nothing, each 1 token: PING, SETTINGS (1 more for each 8
entries), PRIORITY, PRIORITY_UPDATE, WINDOW_UPDATE, empty DATA, CONTINUATION, frames of unknown types, ACKs
that nobody asked for, GOAWAY, and whatever comes on streams that are over. Each request that is answered
gives 4, each DATA frame that is sent 2 and each KiB in it 1, as these are what such frames are about.
"""

from math import inf
from typing import Final

from httpng_core.http2.engine.errors import ENHANCE_YOUR_CALM, FatalError

MAX_RESET_RATE: Final = 100.0
MAX_CONTROL_RATE: Final = 100.0

_RESET_SECONDS: Final = 2.0
_CONTROL_SECONDS: Final = 10.0
_RESET_COST: Final = 1.0
_SERVED_RESET_COST: Final = 0.5
_RESETS_EARNED: Final = 0.5
_CONTROL_EARNED: Final = 4.0
_DATA_EARNED: Final = 2.0
_DATA_UNIT: Final = 1024.0
FRAME_WORTH: Final = int(_DATA_EARNED * _DATA_UNIT)
"""A DATA frame is worth as much as so many body bytes more than are in it; see `earn_bytes`."""
_ENTRIES_PER_TOKEN: Final = 8


class Bucket:
    """Tokens: they come by a rate, and by what was earned, up to `most`, and are spent.

    Attributes:
        rate: how many come in a second; infinity: they don't run out.
    """

    __slots__ = ("_at", "_earned", "_left", "_most", "rate")

    def __init__(self, rate: float, most: float, now: float) -> None:
        self.rate = rate
        self._most = most
        self._left = most
        self._at = now
        self._earned = 0.0

    def spend(self, cost: float, now: float, earned: float) -> bool:
        """Take tokens; return whether there were enough. `earned` is what was earned in all, ever."""
        if self.rate == inf:
            return True
        left = self._left + earned - self._earned
        self._earned = earned
        if now > self._at:
            left += (now - self._at) * self.rate
            self._at = now
        self._left = min(left, self._most) - cost
        return self._left >= 0


class Limits:
    """The two buckets of one connection. Verbs that count raise FatalError if the client overdoes it.

    Attributes:
        requests, data_frames, data_bytes: the useful work that was done, which verbs that earn count.
    """

    __slots__ = ("_control", "_resets", "data_bytes", "data_frames", "requests")

    def __init__(self, max_reset_rate: float, max_control_rate: float, now: float) -> None:
        """Start with full buckets; rates are in tokens a second, infinity for no limit."""
        self._resets = Bucket(max_reset_rate, _RESET_SECONDS * max_reset_rate, now)
        self._control = Bucket(max_control_rate, _CONTROL_SECONDS * max_control_rate, now)
        # Useful work is only counted; what it is worth is reckoned when something is spent.
        self.requests = 0
        self.data_frames = 0
        self.data_bytes = 0

    def change(self, max_reset_rate: float, max_control_rate: float, now: float) -> None:
        """Have other rates from now on; a rate that changes begins with a full bucket."""
        if max_reset_rate != self._resets.rate:
            self._resets = Bucket(max_reset_rate, _RESET_SECONDS * max_reset_rate, now)
            self._resets.spend(0.0, now, _RESETS_EARNED * self.requests)
        if max_control_rate != self._control.rate:
            self._control = Bucket(max_control_rate, _CONTROL_SECONDS * max_control_rate, now)
            self._control.spend(0.0, now, self._control_earned())

    def earn_request(self) -> None:
        """Note that a request was answered to the end."""
        self.requests += 1

    def earn_data(self, size: int) -> None:
        """Note that a DATA frame was sent."""
        self.data_frames += 1
        self.data_bytes += size

    def earn_bytes(self, size: int) -> None:
        """Note body bytes that were sent; their frames count as `FRAME_WORTH` bytes each."""
        self.data_bytes += size

    def earn_responses(self, count: int, frames: int, size: int) -> None:
        """Note that `count` requests were answered, by as many DATA frames, of `size` bytes in all."""
        self.requests += count
        self.data_frames += frames
        self.data_bytes += size

    def count_reset(self, has_begun: bool, now: float) -> None:
        """Note that the client reset a stream; `has_begun` says whether its response had."""
        cost = _SERVED_RESET_COST if has_begun else _RESET_COST
        if not self._resets.spend(cost, now, _RESETS_EARNED * self.requests):
            raise FatalError(ENHANCE_YOUR_CALM, "too many streams were reset")

    def count_stream_error(self, now: float) -> None:
        """Note that the client made us reset a stream."""
        if not self._resets.spend(_RESET_COST, now, _RESETS_EARNED * self.requests):
            raise FatalError(ENHANCE_YOUR_CALM, "too many streams had to be reset")

    def count_control(self, now: float, frames: int = 1) -> None:
        """Note frames that say nothing by themselves."""
        if not self._control.spend(frames, now, self._control_earned()):
            raise FatalError(ENHANCE_YOUR_CALM, "too many frames that mean nothing")

    def count_settings(self, entries: int, now: float) -> None:
        """Note a SETTINGS frame."""
        self.count_control(now, 1 + entries // _ENTRIES_PER_TOKEN)

    def _control_earned(self) -> float:
        earned = _CONTROL_EARNED * self.requests + _DATA_EARNED * self.data_frames
        return earned + self.data_bytes / _DATA_UNIT
