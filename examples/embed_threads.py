"""httpng-core in a server of your own: one thread for each connection, and nothing but the standard library.

    python examples/embed_threads.py [PORT]

A connection and its handlers have a thread to themselves, so a handler may block: it holds up nobody else.
What threads do to each other goes through `Peer.call`, which is how a feed reaches its followers.
"""

import contextlib
import os
import queue
import select
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from httpng_core import Address, Application, Closing, Host, HttpDate, Readiness, Request

RESET = struct.pack("ii", 1, 0)
LOWAT = getattr(socket, "TCP_NOTSENT_LOWAT", None)
PEER_SHUT = getattr(select, "POLLRDHUP", 0)


def hello(request: Request) -> str:
    """Answer, as a plain handler."""
    return f"You asked for {request.path}\n"


class Peer:
    """One socket, its connection and its thread."""

    def __init__(self, application: Application, sock: socket.socket, address: Any, date: HttpDate) -> None:
        self.sock, self.shut, self.gone = sock, False, False
        self.calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self.bell, self.rope = os.pipe()
        os.set_blocking(self.rope, False)
        self.runner = application.runner(time.monotonic, call_in_loop=self.call)
        host, peer = Host(call_in_loop=self.call), Address(*address[:2])
        self.connection = application.connection(time.monotonic(), host=host, peer=peer, date=date)
        self.watched = PEER_SHUT
        self.lock = threading.Lock()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def call(self, function: Callable[[], None]) -> None:
        """Have `function` called in the thread of this connection: at once if this is it, else soon."""
        if threading.get_ident() == self.thread.ident:
            function()
            return
        with self.lock:
            if not self.gone:
                self.calls.put(function)
                with contextlib.suppress(BlockingIOError):  # It has enough rings to wake up by.
                    os.write(self.rope, b"!")

    def run(self) -> None:
        """Go round until the connection is closed and its handlers have ended."""
        try:
            while self.turn(time.monotonic()):
                self.sleep()
        finally:
            self.sock.close()
            with self.lock:
                self.gone = True
                os.close(self.bell)
                os.close(self.rope)
            # They know this by `call`: so all of it goes at once, and not when the garbage is collected.
            del self.connection, self.runner

    def abort(self) -> None:
        """Give the client and its handlers up."""
        self.connection.abort(time.monotonic())
        self.runner.close()

    def turn(self, now: float) -> bool:
        """Do all that can be done now; tell whether there will be more."""
        while not self.calls.empty():
            self.calls.get()()
        self.connection.handle_timeout(now)
        self.runner.handle_timeout(now)
        self.runner.serve(self.connection)
        self.runner.run()
        while self.send():
            self.runner.serve(self.connection)
        self.runner.serve(self.connection)
        self.follow()
        # Handlers whose client is gone are told so by what they call next.
        return self.sock.fileno() >= 0 or self.runner.is_busy

    def follow(self) -> None:
        """Do to the socket what the connection expects."""
        if closing := self.connection.close_expected():
            if closing is Closing.RESET:
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            self.sock.close()
            self.connection.connection_lost(time.monotonic())
        elif self.connection.half_close_expected() and not self.shut:
            self.shut = True
            with contextlib.suppress(OSError):  # It is gone already: reading will tell.
                self.sock.shutdown(socket.SHUT_WR)

    def send(self) -> bool:
        """Offer what there is to the kernel once, tell the core what it took; return whether that was any."""
        readiness = self.connection.prepare()
        if readiness is Readiness.NOTHING or (readiness is Readiness.ASK and not self.has_room()):
            return False
        buffers = self.connection.data_to_send(time.monotonic())
        try:
            taken = self.sock.sendmsg(buffers) if buffers else 0
        except BlockingIOError:
            taken = 0
        except OSError:
            self.connection.connection_lost(time.monotonic())
            return False
        self.connection.bytes_accepted(taken, time.monotonic())
        return taken > 0

    def has_room(self) -> bool:
        """Tell whether the kernel would take something now."""
        poll = select.poll()
        poll.register(self.sock, select.POLLOUT)
        return bool(poll.poll(0))

    def sleep(self) -> None:
        """Sleep until the socket is ready, a deadline has come, or another thread calls; then read."""
        poll = select.poll()
        poll.register(self.bell, select.POLLIN)
        if self.sock.fileno() >= 0:
            reading = select.POLLIN if self.connection.wants_read else 0
            writing = select.POLLOUT if self.connection.wants_write else 0
            poll.register(self.sock, self.watched | reading | writing)
        for fd, happened in poll.poll(self.milliseconds()):
            if fd == self.bell:
                os.read(self.bell, 4096)
            elif happened & ~select.POLLOUT:
                self.receive(happened)

    def milliseconds(self) -> float | None:
        """Return how long to sleep at most; `None`: until something comes."""
        if self.runner.is_ready:
            return 0
        deadlines = [self.connection.next_deadline(), self.runner.next_deadline()]
        first = min((each for each in deadlines if each is not None), default=None)
        # Rounded up: a sleep that ends early is one that begins again.
        return None if first is None else max(first - time.monotonic(), 0) * 1000 + 1

    def receive(self, happened: int) -> None:
        """Hand over what the client sent: 64 KiB, its end, or that the connection is lost."""
        connection, now = self.connection, time.monotonic()
        try:
            data = self.sock.recv(65536) if connection.wants_read else None
        except BlockingIOError:
            data = None
        except OSError:
            connection.connection_lost(now)
            return
        if data:
            connection.receive_data(data, now)
        elif data is not None:
            connection.receive_eof(now)
        if happened & self.watched:
            # A FIN, maybe behind bytes that have no place to go yet: it is told once.
            self.watched = 0
            connection.receive_eof(now, unread=True)
        elif data is None and happened & (select.POLLERR | select.POLLHUP):
            connection.connection_lost(now)


def serve(application: Application, listener: socket.socket, stop: Callable[[], bool]) -> None:
    """Serve until `stop()`; looks at it ten times a second. Then it resets the connections that are left."""
    date, peers = HttpDate(time.time), list[Peer]()
    listener.settimeout(0.1)
    while not stop():
        peers = [peer for peer in peers if peer.thread.is_alive()]
        try:
            sock, address = listener.accept()
        except OSError:
            continue  # Nobody came, or went away before we came to it.
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if LOWAT is not None and application.settings.notsent_lowat:
            sock.setsockopt(socket.IPPROTO_TCP, LOWAT, application.settings.notsent_lowat)
        peers.append(Peer(application, sock, address, date))
        peers[-1].thread.start()
    for peer in peers:
        peer.call(peer.abort)
    for peer in peers:
        peer.thread.join()


if __name__ == "__main__":
    with socket.create_server(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 3300)) as server:
        serve(Application(hello), server, stop=lambda: False)
