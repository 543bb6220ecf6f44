"""The followers of fanout.py: a process that drains its connections and counts.

Over TLS it shakes hands, asks, and counts records without opening them: that would be its own price.
"""

import multiprocessing
import os
import select
import socket
import ssl
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
WIRES = {"": REQUEST, "tls": REQUEST}
"""What asks for the ticks. Over HTTP/2 the client allows 2 GiB at once, and says nothing more."""
WIRES["http2"] = (
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    b"\0\0\x06\x04\0\0\0\0\0\0\x04\x7f\xff\xff\xff"
    b"\0\0\x04\x08\0\0\0\0\0\x7f\xff\0\0"
    b"\0\0\x06\x01\x05\0\0\0\x01\x82\x86\x84\x01\x01x"
)
_MARK = b"data: "
_SAMPLED = 1 << 12
_RECORDS = 12
"""So many are looked at: tickets and the head are others."""
_kept: list[ssl.SSLSocket] = []
"""What would close its connection if it went."""


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

    def sample_records(self, wire: bytes) -> None:
        """Measures a tick as a record of TLS: the length that most of them have."""
        at, lengths = 0, Counter[int]()
        while at + 5 <= len(wire):
            size = 5 + int.from_bytes(wire[at + 3 : at + 5], "big")
            lengths[size] += 1
            at += size
        if sum(lengths.values()) > _RECORDS:
            self._frame.value = lengths.most_common(1)[0][0]


@contextmanager
def reading(port: int, followers: int, pause: float, wire: str = "") -> Iterator[Counted]:
    """A reader process with so many connections; it sleeps for `pause` seconds after each look."""
    counted = Counted()
    process = multiprocessing.Process(
        target=_drain, args=(port, followers, pause, counted, wire), daemon=True
    )
    process.start()
    try:
        yield counted
    finally:
        process.kill()
        process.join()


def _drain(port: int, followers: int, pause: float, counted: Counted, wire: str) -> None:
    poll, sockets = select.epoll(), {}
    for _ in range(followers):
        sock = _connected(port)
        if wire == "tls":
            sock = _asked_sealed(sock)
        else:
            sock.sendall(WIRES[wire])
        sockets[sock.fileno()] = sock
        poll.register(sock.fileno(), select.EPOLLIN)
    buffer = bytearray(1 << 16)
    _sample(next(iter(sockets.values())), counted, tls=wire == "tls")
    while True:
        for fd, _ in poll.poll():
            counted.add(sockets[fd].recv_into(buffer))
        if pause:
            time.sleep(pause)


def _asked_sealed(sock: socket.socket) -> socket.socket:
    """Shakes hands and asks; returns the socket with all that comes sealed as it is."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    # Nobody is to be fooled here.
    context.verify_mode = ssl.CERT_NONE
    sealed = context.wrap_socket(sock)
    sealed.sendall(REQUEST)
    plain = socket.socket(fileno=os.dup(sealed.fileno()))
    _kept.append(sealed)
    return plain


def _sample(sock: socket.socket, counted: Counted, *, tls: bool) -> None:
    """One response is read by itself until the length of its frames is known."""
    wire = b""
    if tls:
        while not counted.frame and (data := sock.recv(_SAMPLED)):
            wire += data
            counted.sample_records(wire)
        counted.add(len(wire))
        return
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
