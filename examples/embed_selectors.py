"""httpng-core in a server of your own: the standard library's selectors, and nothing else.

    python examples/embed_selectors.py [PORT]

The core holds no socket and reads no clock. This driver hands it received bytes and times, offers its
frames to the kernel, and reports what the kernel said: that is why `sent` is true.
"""

import contextlib
import select
import selectors
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator

from httpng_core import Address, Application, Closing, Connection, HttpDate, Readiness, Request, Runner

RESET = struct.pack("ii", 1, 0)
LOWAT = getattr(socket, "TCP_NOTSENT_LOWAT", None)


def hello(request: Request) -> str:
    """Answer, as a plain handler."""
    return f"You asked for {request.path}\n"


class Peer:
    """One socket and its connection."""

    def __init__(self, sock: socket.socket, connection: Connection, runner: Runner) -> None:
        self.sock, self.connection, self.runner = sock, connection, runner
        self.writable, self.shut = True, False
        self.poll = select.poll()
        self.poll.register(sock, select.POLLOUT)

    def receive(self, now: float) -> None:
        """Hand over what the client sent."""
        try:
            data = self.sock.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            self.connection.connection_lost(now)
            return
        if data:
            self.connection.receive_data(data, now)
        else:
            self.connection.receive_eof(now)

    def send(self, now: float) -> None:
        """Offer bytes while the kernel takes them, and tell the core how many it took."""
        while self.writable and (readiness := self.connection.prepare()) is not Readiness.NOTHING:
            if readiness is Readiness.ASK and not self.poll.poll(0):
                self.writable = False
                return
            buffers = self.connection.data_to_send(now)
            try:
                taken = self.sock.sendmsg(buffers) if buffers else 0
            except BlockingIOError:
                taken = 0
            except OSError:
                self.connection.connection_lost(now)
                return
            self.writable = taken == sum(map(len, buffers))
            self.connection.bytes_accepted(taken, now)
            self.runner.serve(self.connection)

    @property
    def is_ready(self) -> bool:
        """Whether it has something to send, and can: a handler of another connection may have published."""
        return self.writable and self.connection.wants_write

    def interest(self) -> int:
        """Return what to wait for next."""
        read = selectors.EVENT_READ if self.connection.wants_read else 0
        return read | (0 if self.writable else selectors.EVENT_WRITE)

    def advance(self, now: float) -> bool:
        """Let time pass, run handlers, send what they wrote; return whether the socket is still open."""
        self.connection.handle_timeout(now)
        self.runner.serve(self.connection)
        self.runner.run()
        self.send(now)
        if closing := self.connection.close_expected():
            if closing is Closing.RESET:
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            self.sock.close()
            self.connection.connection_lost(now)
            return False
        if self.connection.half_close_expected() and not self.shut:
            self.shut = True
            with contextlib.suppress(OSError):  # It is gone already: reading will tell.
                self.sock.shutdown(socket.SHUT_WR)
        return True


def accept(
    listener: socket.socket, application: Application, runner: Runner, date: HttpDate
) -> Iterator[Peer]:
    """Accept the client that waits, if it still does."""
    try:
        sock, address = listener.accept()
    except OSError:
        return  # It went away before we came to it.
    sock.setblocking(False)
    # Of the listener's, one that was connected before it was set wouldn't have it.
    if LOWAT is not None and application.settings.notsent_lowat:
        sock.setsockopt(socket.IPPROTO_TCP, LOWAT, application.settings.notsent_lowat)
    now = time.monotonic()
    opened = application.connection(now, peer=Address(*address[:2]), date=date)
    yield Peer(sock, opened, runner)


def serve(application: Application, listener: socket.socket, stop: Callable[[], bool]) -> None:
    """Serve until `stop()`; looks at it at least ten times a second."""
    date = HttpDate(time.time)
    runner = application.runner(time.monotonic)
    peers: list[Peer] = []
    listener.setblocking(False)
    while not stop():
        now = time.monotonic()
        runner.handle_timeout(now)
        peers = [peer for peer in peers if peer.advance(now)]
        with selectors.DefaultSelector() as selector:
            selector.register(listener, selectors.EVENT_READ)
            for peer in peers:
                if interest := peer.interest():
                    selector.register(peer.sock, interest, peer)
            ready = runner.is_ready or any(peer.is_ready for peer in peers)
            due = [runner.next_deadline(), *(peer.connection.next_deadline() for peer in peers)]
            wait = 0 if ready else min([0.1, *(at - time.monotonic() for at in due if at is not None)])
            for key, events in selector.select(max(wait, 0)):
                if key.data is None:
                    peers += accept(listener, application, runner, date)
                    continue
                if events & selectors.EVENT_READ:
                    key.data.receive(time.monotonic())
                if events & selectors.EVENT_WRITE:
                    key.data.writable = True
    runner.close()
    for peer in peers:
        peer.sock.close()


if __name__ == "__main__":
    with socket.create_server(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 3300)) as server:
        serve(Application(hello), server, stop=lambda: False)
