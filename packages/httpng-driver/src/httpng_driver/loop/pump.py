"""The pump: one socket and its connection. It moves bytes and reports what the kernel said of them.

No decision about bytes or time is made here: those are the core's.
"""

import select
import socket
import struct
from math import inf
from typing import TYPE_CHECKING

from httpng_core import AnyConnection, Timer
from httpng_driver.loop.ack_watch import AckWatch
from httpng_driver.loop.poller import ERROR, HANG_UP, PEER_SHUT, READABLE, WRITABLE
from httpng_driver.loop.tcp_options import give_up_after

if TYPE_CHECKING:
    from httpng_driver.loop.hub import Hub

_RECEIVE_SIZE = 64 * 1024
_READS_PER_EVENT = 16
_FRAMES_PER_TURN = 16
_ROUNDS_PER_TURN = 4
_RESET = struct.pack("ii", 1, 0)


class Pump:
    """Drives one accepted, non-blocking socket that it owns.

    Attributes:
        connection: the connection.
        flagged: whether the hub has it on its list for this turn.
        alarm: when the hub will look at its deadline next, or `None`.
    """

    __slots__ = (
        "_acks",
        "_blocked",
        "_fd",
        "_hub",
        "_interest",
        "_poll",
        "_shut",
        "_socket",
        "_stall_limit",
        "alarm",
        "connection",
        "flagged",
    )

    def __init__(self, hub: "Hub", sock: socket.socket, connection: AnyConnection) -> None:
        self.connection = connection
        self.flagged = False
        self.alarm: Timer | None = None
        self._hub = hub
        self._socket = sock
        self._fd = sock.fileno()
        self._interest = READABLE | PEER_SHUT
        self._blocked = False
        self._shut = False
        self._stall_limit = inf
        self._poll: select.poll | None = None
        self._acks: AckWatch | None = None
        hub.poller.register(self._fd, self._interest, self.on_ready)

    @property
    def taken(self) -> int:
        """How many wire bytes the kernel took."""
        return self.connection.accepted

    @property
    def socket(self) -> socket.socket:
        """The socket; for looking at, not for sending on."""
        return self._socket

    def on_ready(self, mask: int) -> None:
        """The poller found the socket ready."""
        if mask & WRITABLE:
            self._blocked = False
        if mask & ERROR and self._acks is not None and self._acks.drain():
            # It was only news of acknowledgements; an error would be reported again.
            mask &= ~ERROR
        if mask & (READABLE | PEER_SHUT | ERROR | HANG_UP):
            self._read(mask)
        self._hub.flag(self)

    def on_wake(self) -> None:
        """The connection has something to send, or to close."""
        self._hub.flag(self)

    def service(self) -> bool:
        """Starts handlers, sends, closes: whatever the connection wants now. Tells if there is more."""
        hub, connection = self._hub, self.connection
        for _ in range(_ROUNDS_PER_TURN):
            hub.runner.serve(connection)
            if not self.push():
                break
        hub.runner.serve(connection)
        if self._fd < 0:
            return False  # A handler has had the server reset all connections, this one among them.
        self._follow()
        return connection.wants_write and not self._blocked

    def push(self) -> bool:
        """Offers frames to the kernel until it refuses or there are no more; tells whether any moved."""
        connection, moved = self.connection, False
        for _ in range(_FRAMES_PER_TURN):
            if self._blocked or not connection.wants_write:
                break
            if connection.asks_first and not self._can_take():
                self._blocked = True
                break
            moved = self._offer() or moved
        return moved

    def expire(self, now: float) -> None:
        """A deadline may have come."""
        self.alarm = None
        if self.connection.wants_acknowledged:
            self._watch_acks().tell()
        self.connection.handle_timeout(now)
        self._hub.flag(self)

    def _offer(self) -> bool:
        connection, clock = self.connection, self._hub.clock
        buffers = connection.data_to_send(clock())
        if not buffers:
            return True
        try:
            taken = self._send(buffers)
        except OSError:
            connection.connection_lost(clock())
            return False
        self._blocked = taken < sum(map(len, buffers))
        connection.bytes_accepted(taken, clock())
        return taken > 0

    def _send(self, buffers: list[bytes | memoryview]) -> int:
        """The kernel's own word for how many bytes it took."""
        try:
            return self._socket.send(buffers[0]) if len(buffers) == 1 else self._socket.sendmsg(buffers)
        except (BlockingIOError, InterruptedError):
            return 0

    def _can_take(self) -> bool:
        if self._poll is None:
            self._poll = select.poll()
            self._poll.register(self._fd, select.POLLOUT)
        # An error alone is not "writable": sending would tell it, but so does reading.
        return any(mask & select.POLLOUT for _, mask in self._poll.poll(0))

    def _read(self, mask: int) -> None:
        connection, clock = self.connection, self._hub.clock
        for _ in range(_READS_PER_EVENT):
            if not connection.wants_read:
                break
            try:
                data = self._socket.recv(_RECEIVE_SIZE)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                connection.connection_lost(clock())
                return
            if not data:
                connection.receive_eof(clock())
                return
            self._hub.renew()
            connection.receive_data(data, clock())
            # A FIN that came with the request must be known before the handler starts.
            if len(data) < _RECEIVE_SIZE and not mask & PEER_SHUT:
                return
        if mask & (ERROR | HANG_UP) and not connection.wants_read:
            connection.connection_lost(clock())

    def _follow(self) -> None:
        """Does to the socket what the connection expects."""
        connection = self.connection
        if connection.stall_limit != self._stall_limit:
            self._stall_limit = connection.stall_limit
            give_up_after(self._socket, self._stall_limit)
        if connection.close_expected():
            self.close()
            return
        if connection.half_close_expected() and not self._shut:
            self._shut = True
            self._shut_down()
        interest = READABLE | PEER_SHUT if connection.wants_read else 0
        if self._blocked and connection.wants_write:
            interest |= WRITABLE
        if interest != self._interest:
            self._interest = interest
            self._hub.poller.modify(self._fd, interest)
        if connection.wants_acknowledged:
            self._watch_acks().follow()
        self._hub.set_alarm(self)

    def _watch_acks(self) -> AckWatch:
        if self._acks is None:
            self._acks = AckWatch(self, self._hub)
        return self._acks

    def _shut_down(self) -> None:
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            self.connection.connection_lost(self._hub.clock())
            self._hub.flag(self)

    def close(self) -> None:
        """Closes the socket, with a reset if the connection says so. Again: nothing."""
        if self._fd < 0:
            return
        self._hub.poller.unregister(self._fd)
        self._fd = -1
        if self._acks is not None:
            self._acks.close()
        if self.connection.reset_expected:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._socket.close()
        self._hub.forget(self)
