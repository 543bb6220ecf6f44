"""Calls that have not ended yet: each settles exactly once, with its one result."""

from collections.abc import Callable
from math import inf
from typing import Any, Protocol

from httpng_core.config.types import Until
from httpng_core.sending.auto_window import PathEstimate
from httpng_core.sending.ends import Cause
from httpng_core.sending.host import DirectSend, Host
from httpng_core.sending.messages import MessagePositions
from httpng_core.sending.results import SendResult
from httpng_core.timers import Timer, Timers


class Pending:
    """A send call of a handler. Settled, it holds a result (`None`: done) or an error to raise.

    Attributes:
        settled: whether the call has ended.
        deadline: the absolute time at which it ends by itself; infinity: never.
        on_settle: called once, without arguments, when the call settles. It must only schedule:
            calling back into the exchange or the connection from it is not allowed.
    """

    __slots__ = ("_error", "_result", "deadline", "on_settle", "settled", "timer")

    def __init__(self, deadline: float = inf) -> None:
        self.settled = False
        self.deadline = deadline
        self.on_settle: Callable[[], None] | None = None
        self.timer: Timer | None = None
        self._result: SendResult | None = None
        self._error: Exception | None = None

    def settle(self, result: SendResult | None, error: Exception | None = None) -> None:
        """End the call. A second time is a defect of the core and raises."""
        if self.settled:
            raise AssertionError(f"{self!r} settled twice")
        self.settled, self._result, self._error = True, result, error
        callback, self.on_settle = self.on_settle, None
        if callback is not None:
            callback()

    @property
    def failed(self) -> bool:
        """Whether `result` would raise."""
        return self._error is not None

    @property
    def result(self) -> SendResult | None:
        """The result of the settled call; raises the error that it ended with, if any."""
        if not self.settled:
            raise AssertionError(f"{self!r} has not settled")
        if self._error is not None:
            raise self._error
        return self._result


class Write(Pending):
    """A `write`: `accepted` of the bytes of `body` were accepted so far; it waits since `began`."""

    __slots__ = ("_limit", "_path", "accepted", "began", "body", "order", "until")

    def __init__(
        self,
        body: bytes,
        limit: float,
        deadline: float,
        until: Until = "sent",
        path: PathEstimate | None = None,
    ) -> None:
        super().__init__(deadline)
        self.until = until
        self.body = body
        self.accepted = 0
        self.began = 0.0
        self.order = 0
        self._limit = limit
        self._path = path

    @property
    def limit(self) -> float:
        """The send window, in bytes; one that follows the path may change while the write waits."""
        return self._limit if self._path is None else self._path.limit(len(self.body))

    def set_limit(self, limit: int) -> None:
        """Have this send window from now on, in bytes, whatever it was."""
        self._limit, self._path = float(limit), None

    @property
    def rest(self) -> int:
        """How many bytes are not accepted yet."""
        return len(self.body) - self.accepted

    @property
    def is_long(self) -> bool:
        """Whether the body is longer than its send window, so goes frame by frame."""
        return len(self.body) > self.limit

    @property
    def reported(self) -> int:
        """How many bytes a result says were accepted."""
        return self.accepted


class Message(Write):
    """A message, `body` with its framing: accepted as a whole, or not at all, and so never torn.

    One that is longer than its send window is accepted once the TCP/IP stack has taken a part of it, which is
    when nothing else is in flight; then the call waits until what is left fits.

    Attributes:
        size: its length in bytes, as the handler passed it.
        head: the length of what comes before its payload.
        positions: those of the messages of its exchange, which its window counts by.
    """

    __slots__ = ("head", "positions", "size")

    def __init__(
        self,
        body: bytes,
        head: int,
        size: int,
        positions: MessagePositions,
        limit: float,
        deadline: float,
        until: Until = "sent",
        path: PathEstimate | None = None,
    ) -> None:
        super().__init__(body, limit, deadline, until, path)
        self.head = head
        self.size = size
        self.positions = positions

    @property
    def limit(self) -> float:
        """The send window, in bytes of messages; of frames, where it follows the path that carries those."""
        return self._limit if self._path is None else self._path.limit(len(self.body))

    @property
    def is_long(self) -> bool:
        """False: no message goes in parts."""
        return False

    @property
    def is_due(self) -> bool:
        """Whether nothing more is to be waited for: it fits, or what is left of it does."""
        return self._in_flight + (0 if self.accepted else self._length) <= self.limit

    @property
    def goes_alone(self) -> bool:
        """Whether it will never fit, and nothing is in flight: the TCP/IP stack may have it."""
        return not self.accepted and self._length > self.limit and self._in_flight == 0

    @property
    def _length(self) -> int:
        """Its length by what the window counts."""
        return self.size if self._path is None else len(self.body)

    @property
    def _in_flight(self) -> int:
        positions = self.positions
        return (positions if self._path is None else positions.body).in_flight(self.until)

    @property
    def reported(self) -> int:
        """How many bytes a result says were accepted: all, or none."""
        return self.size if self.accepted else 0

    def accept(self, begin: int) -> None:
        """Note that it was accepted, and begins at `begin` of the exchange's body."""
        self.accepted = len(self.body)
        self.positions.add(begin, self.head, self.accepted, self.size)


class FollowOwner(Protocol):
    """What a source needs of the exchange that it is for.

    Attributes:
        timers: those of its connection.
    """

    timers: Timers

    def reset(self, now: float, cause: Cause) -> None:
        """Give the client up: it can't be served any more."""

    def feed_closed(self, now: float) -> None:
        """Note that nothing more will become pending."""

    def follow_failed(self, error: BaseException, now: float) -> None:
        """End the follow: what a function of the user's raised, that says what is wanted, is raised by it."""

    def cut_off(self, last: bytes, now: float, cause: Cause) -> None:
        """End it cut short, where it can be with `last` as the last of its body."""

    def settle_counts(self, source: "Source") -> None:
        """Count what a broadcast has sent of `source`."""

    def broadcast_fell_short(self, taken: int, now: float) -> None:
        """Note that the kernel took only `taken` wire bytes of a payload that a broadcast has sent."""

    def broadcast_lost(self, now: float, cause: Cause, *, is_cut: bool) -> None:
        """Give the client up, as what a broadcast has sent isn't known: a part of a frame if `is_cut`."""


BroadcastSent = tuple[int, int, float]
"""Body bytes and wire bytes that a broadcast has sent, and when it sent the last."""


class Source(Protocol):
    """What a `Follow` draws from: a follower of a feed."""

    @property
    def ended(self) -> bool:
        """Whether nothing is pending and nothing will be."""

    @property
    def size(self) -> int:
        """The length of the payload that is pending first; 0: none is."""

    def begin(self, owner: FollowOwner, host: Host) -> None:
        """Join the feed; the hooks of `host` are called when something becomes pending."""

    def end(self) -> None:
        """Leave the feed."""

    def offer(self) -> bytes:
        """Return what to send next, chosen anew each time; nothing if all that was pending has expired."""

    def taken(self) -> None:
        """Note that the kernel took a part of what was offered last."""

    def step_in(self, host: Host, send: DirectSend, *, chunks: bool) -> None:
        """Let a broadcast send what comes next by `send`, in chunks or not: all that was offered is sent."""

    def step_out(self) -> None:
        """Let nothing be sent but what is offered."""

    def take_counts(self) -> BroadcastSent:
        """Return what a broadcast has sent since this was asked last."""

    def finish(self) -> None:
        """Take in nothing more: it has ended once what is pending is sent."""


class Follow(Write):
    """A `follow`: it stands in the line of writers and draws payloads from `source`, each as a whole.

    Attributes:
        source: the follower of the feed.
        refused: how long what was drawn last was, if the window had no room for it; else 0.
        positions: those of messages, if its payloads are some: its window counts by them.
        until_draining: whether it ends, with what is pending, once the server drains.
    """

    __slots__ = ("positions", "refused", "source", "until_draining")

    def __init__(
        self,
        source: Source,
        limit: float,
        deadline: float,
        until: Until = "sent",
        path: PathEstimate | None = None,
        positions: MessagePositions | None = None,
    ) -> None:
        super().__init__(b"", limit, deadline, until, path)
        self.source = source
        # A path carries frames.
        self.positions = positions if path is None else None
        self.refused = 0
        self.until_draining = False

    def limit_for(self, size: int) -> float:
        """Return the send window for a payload of `size` bytes."""
        return self._limit if self._path is None else self._path.limit(size)


class HeaderWrite(Pending):
    """A `write_header` that waits until the TCP/IP stack has the header block."""

    __slots__ = ()


class Wait(Pending):
    """A `wait` for a position; `positions` has those of messages, if that is what it counts by."""

    __slots__ = ("position", "positions", "until")

    def __init__(
        self,
        position: int,
        deadline: float,
        until: Until = "sent",
        positions: MessagePositions | None = None,
    ) -> None:
        super().__init__(deadline)
        self.until = until
        self.position = position
        self.positions = positions


class DrainWait(Pending):
    """A `wait_draining`: settled, its result is whether the handler is to come to its end."""

    __slots__ = ("is_due",)

    def __init__(self, deadline: float = inf) -> None:
        super().__init__(deadline)
        self.is_due = False

    def tell(self, *, is_due: bool) -> None:
        """Settle: the handler is to end, or the time is up."""
        self.is_due = is_due
        self.settle(None)

    @property
    def result(self) -> Any:
        """Whether the server drains, or the exchange is over; false: the time was up."""
        assert self.settled
        return self.is_due


class Turn(Pending):
    """A call that had room but must let others run first: it settles in the next turn."""

    __slots__ = ()


class TakenLater(Pending):
    """A call whose result is made when its caller goes on, not when it settles."""

    __slots__ = ("_take",)

    def __init__(self, take: Callable[[], Any]) -> None:
        super().__init__()
        self._take = take

    @property
    def result(self) -> Any:
        """What `take` returns or raises."""
        return self._take()


class Later(Pending):
    """A call into the host that could not be answered at once: settled, it holds any value, or an error."""

    __slots__ = ("_value",)

    def answer(self, value: Any, error: Exception | None = None) -> None:
        """Settle with `value`, or with an error that reading the value raises."""
        self._value = value
        self.settle(None, error)

    @property
    def value(self) -> Any:
        """What it was answered with; raises the error that it was answered with, if any."""
        assert self.result is None
        return self._value


class Read(Later):
    """A read of a request's body: its value is a piece of at most `limit` bytes, empty at the end."""

    __slots__ = ("limit",)

    def __init__(self, limit: int, deadline: float) -> None:
        super().__init__(deadline)
        self.limit = limit

    @property
    def value(self) -> Any:
        """The piece; raises the error that it ended with, if any."""
        error = self._error
        if error is not None:
            # Anew: a traceback leads to this call, so an error that this holds would keep itself alive.
            raise type(error)(*error.args)
        return self._value


def _done() -> Pending:
    pending = Pending()
    pending.settle(None)
    return pending


DONE = _done()
"""The call that ended at once with nothing to report; shared, as it can't change."""
