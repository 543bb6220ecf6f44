"""The floor of http2.py: h2 in the role of a server in a bare loop, and nothing else.

`python bench/http2_bare.py PORT` receives, answers every request in it, and sends all that in one go, on
connections that are quick. No limits, no timeouts, no handlers, no send window, no fairness.
"""

import selectors
import socket
import sys
from contextlib import suppress
from email.utils import formatdate

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived
from h2.exceptions import ProtocolError

BODY = b"hello"
HEADERS = [
    (b":status", b"200"),
    (b"content-type", b"text/plain; charset=utf-8"),
    (b"date", formatdate(usegmt=True).encode()),
    (b"content-length", b"%d" % len(BODY)),
]


class Answering:
    """One connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        # As the httpng servers have it.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._h2 = H2Connection(H2Configuration(client_side=False))
        self._h2.initiate_connection()

    def turn(self) -> bool:
        """Answers what has come; whether there may be more to come."""
        data = self.sock.recv(65536)
        if not data:
            return False
        for event in self._h2.receive_data(data):
            if type(event) is RequestReceived:
                self._h2.send_headers(event.stream_id, HEADERS)
                self._h2.send_data(event.stream_id, BODY, end_stream=True)
        self.sock.sendall(self._h2.data_to_send())
        return True


def main() -> None:
    """Serves until it is ended."""
    with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as listener:
        selector = selectors.DefaultSelector()
        selector.register(listener, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.data is None:
                    answering = Answering(listener.accept()[0])
                    selector.register(answering.sock, selectors.EVENT_READ, answering)
                elif not _turn(key.data):
                    selector.unregister(key.data.sock)
                    key.data.sock.close()


def _turn(answering: Answering) -> bool:
    # The client may say in one breath that it goes and what it wants.
    with suppress(ConnectionError, ProtocolError):
        return answering.turn()
    return False


if __name__ == "__main__":
    main()
