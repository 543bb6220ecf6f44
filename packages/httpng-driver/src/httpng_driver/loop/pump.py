"""The pump: one socket and its connection. It moves bytes and reports what the kernel said of them.

No decision about bytes or time is made here: those are the core's. What a client asks for is served in the
look at the sockets that finds it: the handler runs, and its answer is sent, once others have read as well.
"""

import logging
from functools import partial
from math import inf

from httpng_core import DEFECT, Address, Answers, Cause, Closing, Host, Settings, Timer
from httpng_driver.loop.accepted import NUMBERS, Accepted
from httpng_driver.loop.ack_watch import AckWatch
from httpng_driver.loop.poller import ERROR, HANG_UP, MAYBE_SHUT, PEER_SHUT, READABLE, WRITABLE
from httpng_driver.loop.sender import Sender
from httpng_driver.loop.socket_calls import RECEIVE_SIZE, note_failure, received, shut_down
from httpng_driver.loop.tcp_options import CAN_TELL, give_up_after, reset
from httpng_driver.loop.turns import Turns

_log = logging.getLogger("httpng")
_ROUNDS_PER_TURN = 4


class Pump(Sender):
    """Drives one accepted, non-blocking socket that it owns.

    Attributes:
        connection: the connection.
        number: its number; no other connection of this process has it.
        flagged: whether it is served now, or the hub has it on its list for this turn.
        alarm: when the hub will look at its deadline next, or `None`.
        client: whose connection it counts as; empty: nobody's.
    """

    __slots__ = (
        "_acks",
        "_events",
        "_hub",
        "_interest",
        "_receive",
        "_rests",
        "_shut",
        "_stall_limit",
        "_watched",
        "alarm",
        "client",
        "number",
    )

    def __init__(self, hub: "Turns[Pump]", accepted: Accepted, client: str = "") -> None:
        """Watch a socket from now on, for `hub`; it was counted as one of `client`."""
        sock = accepted.socket
        self.flagged = False
        self.kept = None
        self.number = next(NUMBERS)
        self.alarm: Timer | None = None
        self.client = client
        self._hub = hub
        self._receive = sock.recv
        self._watched = PEER_SHUT
        self._interest = READABLE | PEER_SHUT
        self._rests = True
        self._shut = False
        self.woken = False
        self._stall_limit = inf
        self._acks: AckWatch | None = None
        connection = hub.application.connection(
            hub.clock(),
            host=Host(
                self.wake,
                feed_ready=hub.feed_turns.has_broadcast,
                payload_ready=partial(hub.feed_turns.has_payload, self),
                direct_send=sock.send,
                can_take=self.can_take,
                call_in_loop=hub.wakeup.call_in_loop,
                look=self.look,
                note_end=None if hub.meter is None else hub.meter.ended,
                note_timeout=None if hub.meter is None else hub.meter.timed_out,
                call_soon=hub.wakeup.call,
                driver=self,
                admission=hub.share.admission,
                greet=self._greet if accepted.is_proxied else None,
            ),
            peer=accepted.peer,
            ouraddr=accepted.ouraddr,
            date=hub.date,
            # Of a Unix socket the kernel counts something else.
            tells_acknowledged=CAN_TELL and accepted.ouraddr.family != "AF_UNIX",
            certificates=accepted.certificates,
            proxy_protocol=accepted.is_proxied,
            tells_complete=False,
        )
        # The same object, as asking the connection for it costs more.
        self._events = connection.events
        super().__init__(sock, connection, hub.clock)
        hub.poller.register(self._fd, self._interest, self.on_ready)

    @property
    def hub(self) -> "Turns[Pump]":
        """The hub that serves it."""
        return self._hub

    def on_ready(self, mask: int) -> None:
        """Read, if the poller found the socket readable, and serve what came of it."""
        if mask == READABLE and self._rests:
            self._read_at_rest()
            return
        if mask & WRITABLE:
            self._blocked = False
        if mask & ERROR and self._acks is not None and self._acks.drain():
            # It was only news of acknowledgements; an error would be reported again.
            mask &= ~ERROR
        # What wakes it meanwhile is served below.
        self.flagged = True
        if mask & (READABLE | PEER_SHUT | ERROR | HANG_UP):
            try:
                self._read(mask)
            except Exception:
                # A defect: else the poller would find the socket ready again, for ever.
                self._fail()
        self.serve()

    def wake(self) -> None:
        """Note that the connection has something to send, or to close."""
        self.woken = True
        if not self.flagged:
            self._hub.flag(self)

    def serve(self) -> None:
        """Start handlers, send, close: whatever the connection wants now."""
        hub, connection = self._hub, self.connection
        self.flagged = True
        more, events = False, self._events
        try:
            if events:
                rests = self._serve_events()
            else:
                self.push()
                rests = not events or self._serve_events()
            if rests and self._rests and self._fd >= 0 and connection.is_at_rest:
                # The deadline of an idle connection may be earlier than that of the request before it.
                self._set_alarm()
            elif self._fd >= 0:
                more = self._follow()
        except Exception:
            # A defect must not take the other connections with it.
            self._fail()
        self.flagged = False
        if more:
            hub.flag(self)
        if hub.share.is_on:
            self._settle()

    def serve_locked(self) -> None:
        """Serve, outside of a turn."""
        with self._hub.lock:
            self.serve()

    def reconfigure(self, settings: Settings, now: float) -> None:
        """Give the connection other settings."""
        self.connection.reconfigure(settings, now)
        self._set_alarm()
        if self._hub.share.is_on:
            self._settle()

    def push_now(self) -> None:
        """Ask the kernel in this very turn, as a call of a handler waits."""
        if self._fd < 0:
            return
        with self._hub.lock:
            if not self.flagged:
                if self._blocked and not self._events:
                    # Its answer is known; what else there is to do is done in a turn, for all who ask.
                    self.wake()
                    return
                self.serve()
                return
            self.push()
            if self._hub.share.is_on:
                self._settle()

    def expire(self, now: float) -> None:
        """Look at a deadline, which may have come."""
        self.alarm = None
        if self.connection.wants_acknowledged:
            self._watch_acks().tell()
        self.connection.handle_timeout(now)
        if not self.flagged:
            self._hub.flag(self)

    def give_way(self) -> bool:
        """Close an idle connection, to make room for another one; return whether it did.

        What came in time is read first: its request is answered, and the connection stays.
        """
        hub, connection = self._hub, self.connection
        with hub.lock, hub.arrivals.served():
            since = connection.statistics().idle_since
            if self._fd < 0 or since is None:
                return False
            self.on_ready(READABLE)
            if connection.statistics().idle_since != since:
                return self._fd < 0
            connection.drain(hub.clock(), patient=False)
            # HTTP/2 and TLS say goodbye.
            self.serve()
            self.close()
        return True

    def close(self) -> None:
        """Close the socket, with a reset if the connection says so. Calling it again does nothing."""
        if self._fd < 0:
            return
        self._hub.poller.unregister(self._fd)
        self._fd = -1
        if self._acks is not None:
            self._acks.close()
            self._acks = None
        if self.connection.close_expected() is Closing.RESET:
            reset(self._socket)
        else:
            self._socket.close()
        self.connection.connection_lost(self._hub.clock())
        self._hub.share.forget(self.connection)
        self._hub.share.limits.leave(self.client)
        self._hub.timers.cancel(self.alarm)
        self._hub.forget(self)

    # Inside -------------------------------------------------------------------------------------------

    def _serve_events(self) -> bool:
        """Start handlers, and send what they give at once; return whether that may be all there is to do."""
        connection, runner = self.connection, self._hub.runner
        runner.serve(connection)
        for _ in range(_ROUNDS_PER_TURN):
            # Another push is worth it only if a handler was started by what the last one has ended.
            if not self.push() or not self._events or not runner.serve(connection):
                break
        else:
            # What was begun last may have something to send.
            return False
        if self._events:
            runner.serve(connection)
            return False
        return True

    def _read_at_rest(self) -> None:
        """Read; serve what came, unless that is done when others have read as well."""
        hub, connection = self._hub, self.connection
        # What wakes it meanwhile is served below.
        self.flagged, self.woken = True, False
        try:
            data = self._receive(RECEIVE_SIZE)
        except OSError as error:
            note_failure(error, connection, hub.clock)
            self.serve()
            return
        if not data:
            self.parse(data, hub.clock())
            self.serve()
            return
        arrivals = hub.arrivals
        if arrivals.are_gathered and hub.poller.several:
            if arrivals.join(self, data):
                arrivals.serve()
            return
        self.parse(data, hub.clock())
        self.start(None)
        self.look_after()

    def parse(self, data: bytes, now: float) -> None:
        """Give the connection what was read at rest; nothing: the end."""
        hub = self._hub
        try:
            if not data:
                self.connection.receive_eof(now)
                return
            if hub.application.configuration is not hub.configuration:
                hub.renew()
            self.connection.receive_data(data, now)
        except Exception:
            # A defect: else the poller would find the socket ready again, for ever.
            self._fail()

    def start(self, answers: Answers | None) -> None:
        """Start the handlers of what was parsed; see `Runner.serve`."""
        try:
            if self._events:
                self._hub.runner.serve(self.connection, answers)
        except Exception:
            # A defect must not take the other connections with it.
            self._fail()

    def look_after(self) -> None:
        """Do what is left to do when handlers have begun, or answered in place. The lock is held.

        Mostly the kernel has all there is, and nothing is left but to read. `woken` was false before.
        """
        connection = self.connection
        if self.woken or self._events or not self._rests or not connection.is_at_rest:
            self.serve()
            return
        try:
            deadline, alarm = connection.next_deadline(), self.alarm
            if deadline is not None and (alarm is None or deadline < alarm.deadline):
                self._set_alarm()
        except Exception:
            self._fail()
        self.flagged = False
        if self._hub.share.is_on:
            self._settle()

    def _read(self, mask: int) -> None:
        connection, clock = self.connection, self._hub.clock
        # A FIN that came with the request must be known before the handler starts; so twice, if there is one.
        for _ in range(2 if mask & (PEER_SHUT | MAYBE_SHUT) else 1):
            if not connection.wants_read:
                break
            data = received(self._receive, connection, clock)
            if data is None:
                return
            if not data:
                connection.receive_eof(clock())
                return
            if self._hub.application.configuration is not self._hub.configuration:
                self._hub.renew()
            connection.receive_data(data, clock())
        if mask & PEER_SHUT and self._watched:
            # Behind bytes that have no place to go yet; it is told once.
            self._watched, self._rests = 0, False
            connection.receive_eof(clock(), unread=True)
        if mask & (ERROR | HANG_UP) and not connection.wants_read:
            connection.connection_lost(clock())

    def _follow(self) -> bool:
        """Do to the socket what the connection expects; return whether there is more to send now."""
        connection = self.connection
        if connection.stall_limit != self._stall_limit:
            self._stall_limit = connection.stall_limit
            give_up_after(self._socket, self._stall_limit)
        if connection.close_expected():
            self.close()
            return False
        if connection.half_close_expected() and not self._shut:
            self._shut = True
            if not shut_down(self._socket, connection, self._hub.clock):
                self._hub.flag(self)
        interest = READABLE | self._watched if connection.wants_read else self._watched
        if self._blocked and connection.wants_write:
            interest |= WRITABLE
        if interest != self._interest:
            self._interest = interest
            self._hub.poller.modify(self._fd, interest)
        # Then a connection that is at rest needs no more than a look at its deadline.
        self._rests = interest == READABLE | PEER_SHUT and self._stall_limit == inf
        if connection.wants_acknowledged:
            self._watch_acks().follow()
        self._set_alarm()
        return not self._blocked and connection.wants_write

    def _set_alarm(self) -> None:
        """Have the deadline of the connection looked at in time.

        Deadlines mostly move away: an alarm that turns out too early is cheaper than moving it each time.
        """
        deadline, alarm = self.connection.next_deadline(), self.alarm
        if deadline is None or (alarm is not None and alarm.deadline <= deadline):
            return
        self.alarm = self._hub.alarm_at(deadline, alarm, self.expire)

    def _fail(self) -> None:
        """Give the connection up, as it has met a defect of the server; the others go on."""
        _log.exception("a connection failed and is aborted")
        self.connection.abort(self._hub.clock(), DEFECT)
        self.close()

    def _settle(self) -> None:
        try:
            self._hub.share.settle(self.connection)
        except Exception:
            self._fail()

    def _greet(self, peer: Address) -> Cause | None:
        """Count the connection as one of the client that a proxy has named, if that may have one more."""
        client = self._hub.share.limits.join(peer)
        if isinstance(client, Cause):
            return client
        self.client = client
        return None

    def _watch_acks(self) -> AckWatch:
        if self._acks is None:
            self._acks = AckWatch(self._socket, self.connection, self._hub.timers, self._hub.clock, self.wake)
        return self._acks
