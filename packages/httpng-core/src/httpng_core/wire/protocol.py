"""Between a connection and the protocol that it speaks: what each needs of the other.

The connection owns what TCP knows of: wire bytes in order, which of them pay for what, the kernel's
answers, the two ends. The protocol owns requests, exchanges and what is framed next.
"""

from collections.abc import Callable
from typing import Protocol

from httpng_core.config.settings import Settings
from httpng_core.feeds.broadcast import Lane
from httpng_core.sending.exchange import CallInLoop, Exchange
from httpng_core.timers import Timers
from httpng_core.wire.events import Event
from httpng_core.wire.frame import Frame
from httpng_core.wire.log import WireLog


class Link(Protocol):
    """What a protocol needs of its connection.

    Attributes:
        timers: deadlines of calls.
        wire: what wire bytes pay for.
        deadline: when `HttpProtocol.expired` is due, or `None`; the protocol sets it.
        eof: whether the client's FIN has come.
        draining: whether no more requests are to be taken.
        protocol: what is spoken; it may put another in its place.
    """

    timers: Timers
    wire: WireLog
    deadline: float | None
    eof: bool
    draining: bool
    protocol: "HttpProtocol"

    @property
    def all_out(self) -> bool:
        """Whether the kernel has all that was committed."""

    def tell(self, event: Event) -> None:
        """Something happened that the driver is to know."""

    def wake(self) -> None:
        """There is something to send."""

    def push(self) -> None:
        """A call waits: has the kernel asked at once, if the driver can. It may call back in."""

    def feed_hooks(self) -> tuple[Callable[[], None], CallInLoop | None]:
        """What a feed calls when a payload has become pending, and how it reaches our thread from others."""

    def lane(self) -> Lane | None:
        """How a sweep may send now, if nothing stands before it and the socket needn't be asked."""

    def swept(self, size: int) -> None:
        """A sweep has sent `size` wire bytes."""

    def fell_short(self, taken: int, now: float) -> None:
        """A sweep has sent the first `taken` wire bytes of the frame that is next."""

    def track_acknowledged(self, exchange: Exchange, sent: int) -> bool:
        """Acknowledgements are wanted from now on, after `sent` body bytes; whether they can be told."""

    def send_raw(self, data: bytes) -> None:
        """Wire bytes that belong to no exchange and can't be taken back."""

    def queue(self, buffers: list[bytes | memoryview]) -> None:
        """Wire bytes of a new frame that can't be taken back; the wire log knows of them."""

    def linger(self, now: float) -> None:
        """All is sent: shuts our side and waits a while for the client's FIN."""

    def close(self) -> None:
        """The socket is to be closed."""

    def reset(self) -> None:
        """The socket is to be closed with a reset: what the client has must not pass for complete."""


class HttpProtocol(Protocol):
    """What a connection needs of the protocol that it speaks, while it is open."""

    @property
    def wants_read(self) -> bool:
        """Whether received bytes have a place to go."""

    @property
    def has_frame(self) -> bool:
        """Whether `next_frame` would give something, or has something to finish."""

    @property
    def is_flushing(self) -> bool:
        """Whether no progress for a while is the end, so that acknowledgements matter."""

    @property
    def stall_limit(self) -> float:
        """Seconds without progress after which the client is given up, as things stand; infinity: never."""

    def asks_first(self, is_cautious: bool) -> bool:
        """Whether the socket must be asked before `next_frame`."""

    def receive(self, data: bytes, now: float) -> None:
        """The client sent `data`."""

    def receive_eof(self, now: float) -> None:
        """The client sends no more."""

    def next_frame(self, limit: int, now: float) -> Frame | None:
        """A new frame, with at most `limit` body bytes; one that can't be taken back is queued instead."""

    def moved(self, now: float) -> None:
        """The kernel took wire bytes, or the client acknowledged some."""

    def count_swept(self) -> None:
        """Has what sweeps have sent counted."""

    def forget_acked(self, now: float) -> None:
        """Acknowledgements can't be told any more."""

    def expired(self, now: float) -> None:
        """The deadline has come."""

    def drain(self, now: float) -> None:
        """Takes no more requests."""

    def reconfigure(self, settings: Settings, now: float) -> None:
        """Other settings from now on, but for exchanges that have begun."""

    def lost(self, now: float) -> None:
        """The connection is gone: everything is cancelled."""
