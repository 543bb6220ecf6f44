"""What a driver gives a connection: how core says that there is something to do."""

from collections.abc import Callable
from typing import Any

from httpng_core.http.address import Address
from httpng_core.sending.admission import Admission
from httpng_core.sending.ends import Cause
from httpng_core.sending.holders import PathLook

DirectSend = Callable[[bytes], int]
"""Offers bytes to the kernel and returns how many it took; raises `OSError` if none."""
CallInLoop = Callable[[Callable[[], None]], None]
"""Calls a function in the thread of an event loop: at once if called from there, else soon."""


def _nothing() -> None:
    """Do nothing."""


def _ignore(ready: object) -> None:
    """Do nothing."""


class Host:
    """The driver's hooks, given to a connection as it is made. None may call into core: each notes something.

    Attributes:
        wake: called when there may be something new to send or to close.
        feed_ready: called with a `Broadcast` that has something to send: its `next_sends` is to be called
            soon. One function for all connections of a loop: those that share it share broadcasts. `None`:
            feeds serve each follower of this driver for itself, and `wake` is called.
        payload_ready: called in place of `wake` when a feed has something for this client alone, so that a
            driver can spread many of these over several turns. `None`: `wake` is.
        direct_send: offers bytes to the kernel and returns how many it took; raises `OSError` if none.
            `None`: feeds don't send to this client together with others.
        can_take: asks the kernel whether it takes bytes now, as where `Connection.prepare` says `ASK`;
            false as well while something else waits to be sent. `None`: feeds don't send to this client
            together with others where what is made can't be taken back, over TLS and over HTTP/2.
        call_in_loop: calls a function in the thread of this connection, from any. `None`: there is one
            thread.
        call_soon: does so in a turn of the loop to come, also when called from there: what feeds are to send
            is spread over several turns by it. `None`: they take all that was published at once.
        look: returns what the kernel says of the way to the client now. `None`: it can't be told.
        note_end: called with each exchange that is over, however it ended, and the time. `None`: none is.
        note_timeout: called when a write or a follow ends as its time is up. `None`: it isn't told.
        driver: whatever the driver wants to find when it has an exchange in its hands; core leaves it alone.
        admission: whether exchanges may begin. One for all connections of a loop; `None`: one of its own.
        greet: called with the address of the client, where a proxy tells that; returns why the connection is
            to be closed at once, or `None`. `None` itself: none is.
    """

    __slots__ = (
        "admission",
        "call_in_loop",
        "call_soon",
        "can_take",
        "direct_send",
        "driver",
        "feed_ready",
        "greet",
        "look",
        "note_end",
        "note_timeout",
        "payload_ready",
        "wake",
    )

    def __init__(
        self,
        wake: Callable[[], None] = _nothing,
        *,
        feed_ready: Callable[[Any], None] | None = None,
        payload_ready: Callable[[], None] | None = None,
        direct_send: DirectSend | None = None,
        can_take: Callable[[], bool] | None = None,
        call_in_loop: CallInLoop | None = None,
        call_soon: CallInLoop | None = None,
        look: Callable[[], PathLook | None] | None = None,
        note_end: Callable[[Any, float], None] | None = None,
        note_timeout: Callable[[], None] | None = None,
        driver: Any = None,
        admission: Admission | None = None,
        greet: Callable[[Address], Cause | None] | None = None,
    ) -> None:
        self.wake = wake
        self.feed_ready = feed_ready
        self.payload_ready = wake if payload_ready is None else payload_ready
        self.direct_send = direct_send
        self.can_take = can_take
        self.call_in_loop = call_in_loop
        self.call_soon = call_soon
        self.look = look
        self.note_end = note_end
        self.note_timeout = note_timeout
        self.driver = driver
        self.admission = Admission() if admission is None else admission
        self.greet = greet


NO_HOST = Host()
"""The hooks of a connection that nobody drives, or drives any more."""
