"""The followers of fanout.py: a process that drains its connections and counts."""

import multiprocessing
import select
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
_MARK = b"data: "
_SAMPLED = 1 << 12


class Counted:
    """What a reader has counted so far, in memory that it shares."""

    def __init__(self) -> None:
        self._bytes = multiprocessing.Value("Q", lock=False)
        self._frame = multiprocessing.Value("d", lock=False)

    @property
    def wire_bytes(self) -> int:
        """All that has come in."""
        return int(self._bytes.value)

    @property
    def frame(self) -> float:
        """Wire bytes of a tick as this server frames it, 0 while that isn't known."""
        return float(self._frame.value)

    def add(self, size: int) -> None:
        """So many bytes have come in."""
        self._bytes.value += size

    def sample(self, wire: bytes) -> None:
        """Measures a frame from the beginning of one response: from a tick's mark to the next."""
        marks = wire.count(_MARK)
        if marks > 1:
            self._frame.value = (wire.rindex(_MARK) - wire.index(_MARK)) / (marks - 1)


@contextmanager
def reading(port: int, followers: int, pause: float) -> Iterator[Counted]:
    """A reader process with so many connections; it sleeps for `pause` seconds after each look."""
    counted = Counted()
    process = multiprocessing.Process(target=_drain, args=(port, followers, pause, counted), daemon=True)
    process.start()
    try:
        yield counted
    finally:
        process.kill()
        process.join()


def _drain(port: int, followers: int, pause: float, counted: Counted) -> None:
    poll, sockets = select.epoll(), {}
    for _ in range(followers):
        sock = _connected(port)
        sock.sendall(REQUEST)
        sockets[sock.fileno()] = sock
        poll.register(sock.fileno(), select.EPOLLIN)
    buffer = bytearray(1 << 16)
    _sample(next(iter(sockets.values())), counted)
    while True:
        for fd, _ in poll.poll():
            counted.add(sockets[fd].recv_into(buffer))
        if pause:
            time.sleep(pause)


def _sample(sock: socket.socket, counted: Counted) -> None:
    """One response is read by itself until the length of its frames is known."""
    wire = b""
    while len(wire) < _SAMPLED and (data := sock.recv(_SAMPLED)):
        wire += data
    counted.add(len(wire))
    counted.sample(wire)


def _connected(port: int) -> socket.socket:
    for _ in range(400):
        try:
            return socket.create_connection(("127.0.0.1", port))
        except ConnectionRefusedError:
            time.sleep(0.05)
    raise RuntimeError(f"nobody listens on port {port}")
