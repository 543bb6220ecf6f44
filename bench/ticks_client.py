"""Reads the ticks of several servers at once and tells when each had arrived whole.

    python -m bench.ticks_client SECONDS WARM_UP ADDR:PORT/PATH ...

Prints JSON: for each, its pairs of arrival (CLOCK_MONOTONIC) and number, from the warm-up on.
"""

import json
import selectors
import socket
import sys
import time

import h11
from bench import ticks


class Reader:
    """One connection: a plain reader that takes what there is, when it is there."""

    def __init__(self, host: str, port: int, path: str) -> None:
        self.arrived: list[tuple[float, int]] = []
        self._socket = socket.create_connection((host, port), timeout=30)
        self._h11 = h11.Connection(h11.CLIENT)
        self._body = bytearray()
        request = h11.Request(method="GET", target=path, headers=[("Host", "bench")])
        asked = self._h11.send(request)
        assert asked is not None
        self._socket.sendall(asked + (self._h11.send(h11.EndOfMessage()) or b""))
        self._socket.setblocking(False)

    def fileno(self) -> int:
        """For the selector."""
        return self._socket.fileno()

    def read(self) -> bool:
        """Takes what has come; whether there may be more to come."""
        try:
            data = self._socket.recv(65536)
        except BlockingIOError:
            return True
        except OSError:
            return False
        now = time.monotonic()
        self._h11.receive_data(data)
        while isinstance(event := self._h11.next_event(), h11.Response | h11.Data):
            if isinstance(event, h11.Data):
                self._body += event.data
        while len(self._body) >= ticks.SIZE:
            self.arrived.append((now, ticks.number_of(bytes(self._body[: ticks.SIZE]))))
            del self._body[: ticks.SIZE]
        return bool(data)


def main() -> None:
    """Connects to all, reads until the time is up, prints."""
    seconds, warm_up = float(sys.argv[1]), float(sys.argv[2])
    readers: list[Reader] = []
    with selectors.DefaultSelector() as selector:
        for each in sys.argv[3:]:
            address, _, path = each.partition("/")
            host, _, port = address.rpartition(":")
            readers.append(Reader(host, int(port), f"/{path}"))
            selector.register(readers[-1], selectors.EVENT_READ)
        began = time.monotonic()
        while time.monotonic() < began + seconds:
            for key, _ in selector.select(0.5):
                reader = key.fileobj
                assert isinstance(reader, Reader)
                if not reader.read():
                    selector.unregister(reader)
    measured = [[pair for pair in reader.arrived if pair[0] >= began + warm_up] for reader in readers]
    print(json.dumps(measured))


if __name__ == "__main__":
    main()
