"""The ticks by hand, on one socket and nothing else: the floor that servers are measured against.

    python -m bench.ticks_floor {outq,lowat} ADDR:PORT SECONDS

outq sends the newest tick when nothing is unacknowledged (SIOCOUTQ); lowat when nothing is unsent, which is
what TCP_NOTSENT_LOWAT makes of "writable".
"""

import fcntl
import select
import socket
import struct
import sys
import time

from bench import ticks

SIOCOUTQ = 0x5411
LOOK_EVERY = 0.001


def main() -> None:
    """Serves one client for so many seconds."""
    how, listen, seconds = sys.argv[1:]
    host, _, port = listen.rpartition(":")
    with socket.create_server((host, int(port))) as listener:
        listener.settimeout(float(seconds))
        sock, _ = listener.accept()
    with sock:
        sock.recv(65536)
        named = "".join(f"{name}: {value}\r\n" for name, value in ticks.HEADERS.items())
        sock.sendall(f"HTTP/1.1 200 OK\r\n{named}transfer-encoding: chunked\r\n\r\n".encode())
        serve(sock, how, time.monotonic() + float(seconds))


def serve(sock: socket.socket, how: str, end: float) -> None:
    """Sends the newest tick whenever there is room, until `end`."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if how == "lowat":
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, 1)
    wait = {"outq": wait_until_acknowledged, "lowat": wait_until_writable}[how]
    number = 0
    while time.monotonic() < end:
        wait(sock, end)
        time.sleep(ticks.until_after(number))
        number = ticks.newest()
        sock.sendall(b"%x\r\n%b\r\n" % (ticks.SIZE, ticks.body(number)))


def wait_until_acknowledged(sock: socket.socket, end: float) -> None:
    """Returns when the client's TCP has all, or at `end`."""
    while time.monotonic() < end and struct.unpack("i", fcntl.ioctl(sock, SIOCOUTQ, bytes(4)))[0] > 0:
        time.sleep(LOOK_EVERY)


def wait_until_writable(sock: socket.socket, end: float) -> None:
    """Returns when the kernel wants more, or at `end`."""
    select.select([], [sock], [], max(end - time.monotonic(), 0))


if __name__ == "__main__":
    main()
