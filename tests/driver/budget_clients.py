"""Clients that stand still, in a process of their own: `budget_clients.py PORT COUNT`.

Half of them ask for much and read nothing, half send a part of a body. Those that were ended come again,
until stdin is closed; the first line that is told says that all have come once. Who waits costs nothing here:
what is measured beside them is the server's doing.
"""

import resource
import select
import socket
import sys

REQUESTS = [
    b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /up HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n" + bytes(150_000),
]
AT_ONCE, AGAIN_AT_ONCE = 10, 2
PACE = 0.05
# Edges: a socket that has room is told once.
CHANGES = select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR | select.EPOLLET
GONE = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR


class Stalled:
    """One of them."""

    def __init__(self, port: int, request: bytes) -> None:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setblocking(False)
        self.rest = memoryview(request)
        self.send()

    def send(self) -> None:
        """Send what the server takes."""
        try:
            while self.rest:
                self.rest = self.rest[self.socket.send(self.rest) :]
        except BlockingIOError:
            pass
        except OSError:
            self.rest = memoryview(b"")


def main(port: int, count: int) -> None:
    """Come, and come again."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    poll, clients = select.epoll(), dict[int, Stalled]()
    came = 0
    while not select.select([sys.stdin], [], [], PACE)[0]:
        most = AT_ONCE if came < count else AGAIN_AT_ONCE
        for _ in range(min(most, count - len(clients))):
            one = Stalled(port, REQUESTS[came % 2])
            poll.register(one.socket, CHANGES)
            clients[one.socket.fileno()] = one
            came += 1
            if came == count:
                print("all have come", flush=True)
        for fd, what in poll.poll(0):
            if what & GONE:
                clients.pop(fd).socket.close()
            else:
                clients[fd].send()
    print(came, flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
