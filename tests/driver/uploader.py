"""Uploads by the clients of the tests: of a declared length, over HTTP/2 within the windows."""

from collections.abc import Iterable

from tests.driver.http1_client import Client, Headers
from tests.driver.http2_client import Client2

FRAME = 16384


class Uploader:
    """One upload of a client. What it does blocks while the server doesn't take it.

    Attributes:
        sent: how many body bytes the kernel, or the windows, have taken.
    """

    def __init__(self, client: Client, size: int, path: str = "/", headers: Headers = ()) -> None:
        """Send the head of an upload of `size` bytes."""
        self.client = client
        self.sent = 0
        self._size = size
        fields = (*headers, ("content-length", str(size)))
        if isinstance(client, Client2):
            self._stream = client.http2.request(path, "POST", fields, body=None, authority=client.authority)
            client.expect(self._stream)
            client.say()
        else:
            client.send(client.prepare(path, "POST", fields))

    def send(self, data: bytes) -> None:
        """Send a piece of the body."""
        if isinstance(self.client, Client2):
            self._send_frames(self.client, data)
        else:
            self.client.send(data)
            self.sent += len(data)

    def send_all(self, pieces: Iterable[bytes]) -> None:
        """Send pieces until there are no more."""
        for piece in pieces:
            self.send(piece)

    def _send_frames(self, client: Client2, data: bytes) -> None:
        h2 = client.http2.h2
        while data:
            room = min(h2.local_flow_control_window(self._stream), FRAME, len(data))
            if room <= 0:
                if not client.receive():
                    raise ConnectionResetError("the server has gone")
                continue
            self.sent += room
            h2.send_data(self._stream, data[:room], end_stream=self.sent == self._size)
            client.say()
            data = data[room:]
