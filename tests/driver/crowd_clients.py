"""The clients of test_crowds.py, in a process of their own.

    python crowd_clients.py PORT READING STALLED

Connects, and says so; reads until the server has ended every response that is read; prints JSON. Those that
are stalled read their first bytes and then nothing more, with small buffers.
"""

import json
import re
import resource
import select
import socket
import sys
import time

REQUEST = b"GET /follow HTTP/1.1\r\nHost: x\r\n\r\n"
_MARK = re.compile(rb"<(\d+\.\d+) ")
_END = b"\r\n0\r\n\r\n"


class Reader:
    """One that reads all it gets."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.ticks = 0
        self.ended = False
        self._rest = b""

    def read(self, ages: list[float]) -> bool:
        """Takes what there is; whether more may come."""
        data = self._rest + self.socket.recv(65536)
        now, end = time.monotonic(), 0
        for found in _MARK.finditer(data):
            end = found.end()
            self.ticks += 1
            ages.append(now - float(found[1]))
        if len(data) == len(self._rest):
            return False
        self.ended = data.endswith(_END)
        # A mark, or the end, may have been torn.
        self._rest = data[max(end, len(data) - 30) :]
        return not self.ended


def connected(port: int, receive_buffer: int = 0) -> socket.socket:
    sock = socket.socket()
    if receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.settimeout(30)
    sock.connect(("127.0.0.1", port))
    sock.sendall(REQUEST)
    return sock


def main() -> None:
    port, reading, stalled = map(int, sys.argv[1:])
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    began = time.monotonic()
    readers = {reader.socket.fileno(): reader for reader in (Reader(connected(port)) for _ in range(reading))}
    idle = [connected(port, 4096) for _ in range(stalled)]
    print(json.dumps({"connected_in": time.monotonic() - began}), flush=True)
    ages: list[float] = []
    with select.epoll() as poll:
        for fd in readers:
            poll.register(fd, select.EPOLLIN)
        for sock in idle:
            # Its first bytes come when the first tick is published.
            poll.register(sock.fileno(), select.EPOLLIN | select.EPOLLONESHOT)
        stalled_ones = {sock.fileno(): sock for sock in idle}
        left = len(readers)
        while left:
            for fd, _ in poll.poll(60):
                if fd in stalled_ones:
                    stalled_ones[fd].recv(100)
                elif not readers[fd].read(ages):
                    poll.unregister(fd)
                    left -= 1
    tell(list(readers.values()), sorted(ages))


def tell(readers: list[Reader], ages: list[float]) -> None:
    print(
        json.dumps(
            {
                "ticks": sum(reader.ticks for reader in readers),
                "ended": sum(reader.ended for reader in readers),
                "p50": ages[len(ages) // 2],
                "p99": ages[len(ages) * 99 // 100],
                "max": ages[-1],
            }
        )
    )


if __name__ == "__main__":
    main()
