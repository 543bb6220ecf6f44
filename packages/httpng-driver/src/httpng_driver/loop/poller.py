"""One poller for all sockets of a loop: only its own descriptor is registered with the loop.

It is what lets uvloop see error-queue events at all, and it makes a batch of ready sockets cost one
trip through the loop.
"""

import select
import selectors
from collections.abc import Callable

READABLE = 0x001
WRITABLE = 0x004
ERROR = 0x008
HANG_UP = 0x010
PEER_SHUT = 0x2000
"""Readiness bits; the values are epoll's, so that on Linux nothing has to be translated."""
MAYBE_SHUT = 1 << 32
"""Readable, and nobody knows whether a FIN is behind the bytes."""

Callback = Callable[[int], None]


class EpollPoller:
    """Readiness of many sockets behind one descriptor, on Linux. ERROR and HANG_UP are always reported.

    Attributes:
        several: whether more than one was ready at the last look.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._callbacks: dict[int, Callback] = {}
        self.several = False

    def fileno(self) -> int:
        """Return the descriptor to watch: readable when `poll` has something to tell."""
        return self._epoll.fileno()

    def register(self, fd: int, interest: int, callback: Callback) -> None:
        """Start reporting `fd`."""
        self._epoll.register(fd, interest)
        self._callbacks[fd] = callback

    def modify(self, fd: int, interest: int) -> None:
        """Change what is reported."""
        self._epoll.modify(fd, interest)

    def unregister(self, fd: int) -> None:
        """Stop reporting `fd`; call it before the socket is closed."""
        del self._callbacks[fd]
        self._epoll.unregister(fd)

    def poll(self) -> int:
        """Call the callbacks of all that is ready now; return how many. Doesn't wait."""
        ready = self._epoll.poll(0)
        self.several = len(ready) > 1
        for fd, mask in ready:
            # An earlier callback of this batch may have closed it.
            callback = self._callbacks.get(fd)
            if callback is not None:
                callback(mask)
        return len(ready)

    def close(self) -> None:
        """Give the descriptor back."""
        self._epoll.close()


class SelectorPoller:
    """The poller where there is no epoll but a selector with a descriptor: kqueue on macOS and BSD.

    Attributes:
        several: see `EpollPoller`.
    """

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self._selector = selector
        self._callbacks: dict[int, Callback] = {}
        self.several = False

    def fileno(self) -> int:
        """See `EpollPoller`."""
        return int(self._selector.fileno())  # type: ignore[attr-defined]

    def register(self, fd: int, interest: int, callback: Callback) -> None:
        """See `EpollPoller`."""
        self._callbacks[fd] = callback
        self.modify(fd, interest)

    def modify(self, fd: int, interest: int) -> None:
        """See `EpollPoller`."""
        self._forget(fd)
        # A selector can't watch a descriptor for nothing.
        if _events(interest):
            self._selector.register(fd, _events(interest))

    def unregister(self, fd: int) -> None:
        """See `EpollPoller`."""
        del self._callbacks[fd]
        self._forget(fd)

    def poll(self) -> int:
        """See `EpollPoller`."""
        ready = self._selector.select(0)
        self.several = len(ready) > 1
        for key, events in ready:
            callback = self._callbacks.get(key.fd)
            if callback is not None:
                callback(_mask(events))
        return len(ready)

    def close(self) -> None:
        """See `EpollPoller`."""
        self._selector.close()

    def _forget(self, fd: int) -> None:
        if fd in self._selector.get_map():
            self._selector.unregister(fd)


class CanTake:
    """Tells whether a socket can take data; made for one that may never be asked."""

    __slots__ = ("_fd", "_poll")

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._poll: select.poll | None = None

    def __call__(self) -> bool:
        """Ask the kernel."""
        if self._poll is None:
            self._poll = select.poll()
            self._poll.register(self._fd, select.POLLOUT)
        # An error alone is not "writable": sending would tell it, but so does reading.
        found = self._poll.poll(0)
        return bool(found) and found[0][1] & select.POLLOUT != 0


Poller = EpollPoller | SelectorPoller


def make_poller() -> Poller:
    """Return the poller of this platform.

    Raises:
        RuntimeError: it has neither epoll nor kqueue.
    """
    if hasattr(select, "epoll"):
        return EpollPoller()
    kqueue = getattr(selectors, "KqueueSelector", None)
    if kqueue is None:
        raise RuntimeError("httpng needs epoll (Linux) or kqueue (macOS, BSD)")
    return SelectorPoller(kqueue())


def _events(interest: int) -> int:
    read = selectors.EVENT_READ if interest & READABLE else 0
    return read | (selectors.EVENT_WRITE if interest & WRITABLE else 0)


def _mask(events: int) -> int:
    # Selectors don't tell a FIN from data, so the reader looks for one; to claim one would end uploads.
    read = READABLE | MAYBE_SHUT if events & selectors.EVENT_READ else 0
    return read | (WRITABLE if events & selectors.EVENT_WRITE else 0)
