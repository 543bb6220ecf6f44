"""What tells the client of one follower that payloads were lost to it."""

from collections.abc import Callable
from typing import Final

from httpng_core.feeds.backlog import Payload
from httpng_core.http.response import body_bytes
from httpng_core.sending import calls

OnGap = Callable[[int], "bytes | str | calls.Later | None"]
"""Gets how many updates were lost; may return bytes that tell the client, also `Later`."""
_ASKS: Final = 8
"""How often a notice that comes later is asked for, if each time more was lost meanwhile."""


class Gaps:
    """The notices of one follower.

    Attributes:
        noted: how many were lost by the time that the payload was chosen which is offered.
        told: how many the client may know of.
    """

    __slots__ = ("_asked", "_asks", "_on_gap", "noted", "told")

    def __init__(self, on_gap: OnGap) -> None:
        self.noted = self.told = 0
        self._on_gap = on_gap
        # A notice that was asked for and isn't there yet: of how many lost, ahead of which payload.
        self._asked: tuple[int, Payload, calls.Later] | None = None
        self._asks = 0

    @property
    def is_awaited(self) -> bool:
        """Whether a notice was asked for that isn't there yet."""
        return self._asked is not None and not self._asked[2].settled

    def forget(self, payload_of: object) -> None:
        """Have no payload of this key go out with the notice that was asked for."""
        if self._asked is not None and self._asked[1].key == payload_of:
            self._asks = 0

    def notice(
        self, first: Payload, lost: int, is_old: Callable[[Payload], bool], wake: Callable[[], None]
    ) -> tuple[bytes | None, Payload]:
        """Return what tells of all that is lost by now, and the payload that goes out behind it.

        Nothing if there is none to tell; `None`: not yet, `wake` is called then. Raises what `on_gap` does.
        """
        self.noted = lost
        if lost <= self.told:
            return b"", first
        notice, payload = self._asked_notice(first, is_old)
        if isinstance(notice, calls.Later):
            if not notice.settled:
                notice.on_settle = wake
                return None, payload
            notice = notice.value
        self._asks = 0
        return b"" if notice is None else body_bytes(notice), payload

    def _asked_notice(
        self, first: Payload, is_old: Callable[[Payload], bool]
    ) -> "tuple[bytes | str | calls.Later | None, Payload]":
        """Return a notice of what is lost now, or the one that was asked for before."""
        if self._asked is not None:
            noted, payload, later = self._asked
            if not later.settled:
                return later, first
            self._asked = None
            if noted == self.noted:
                return later, first
            if self._asks >= _ASKS and not is_old(payload):
                # The payload of then goes out with it. What is lost by now was lost for newer ones, which are
                # pending: the next of these tells the rest.
                self.noted = noted
                return later, payload
        notice = self._on_gap(self.noted - self.told)
        if isinstance(notice, calls.Later):
            self._asked, self._asks = (self.noted, first, notice), self._asks + 1
        return notice, first
