"""Event streams over reloads: no client loses the newest value of a key, and none is refused."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest
from tests.backends.test_workers import Program, command, program
from tests.driver.harness import BOUND, Client

CLIENTS = int(os.environ.get("STREAM_CLIENTS", "20"))
RELOADS = int(os.environ.get("STREAM_RELOADS", "2"))
PAUSE = float(os.environ.get("STREAM_PAUSE", "2"))
APP = """
import threading, time
from httpng_driver import Feed

feed = Feed()

def publish():
    while True:
        # Every process publishes the same, as from a data base.
        feed.publish_threadsafe(f"data: {time.time_ns() // 20_000_000}\\n\\n", "a")
        time.sleep(0.02)

threading.Thread(target=publish, daemon=True).start()

async def app(req, io):
    io.headers = {"content-type": "text/event-stream"}
    await io.follow(feed, until_draining=True)
    await io.write("event: bye\\n\\n")
"""


class Reader(threading.Thread):
    """A client that comes back when its stream has ended.

    Attributes:
        newest: the newest value that it has.
        ends: how many streams have ended with a goodbye.
        failures: what went wrong.
    """

    def __init__(self, server: Program) -> None:
        super().__init__(daemon=True)
        self.newest, self.ends, self.failures = 0, 0, list[str]()
        self.over = threading.Event()
        self._server = server

    def run(self) -> None:
        while not self.over.is_set():
            try:
                self._read_one()
            except Exception as error:
                self.failures.append(repr(error))
                return

    def _read_one(self) -> None:
        text = b""
        with Client(self._server.address) as client:
            client.send(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            while data := client.receive():
                text = text[-200:] + data
                values = text.split(b"data: ")[1:-1]
                if values:
                    self.newest = int(values[-1].split(b"\n")[0])
                if self.over.is_set():
                    return
        if b"event: bye" not in text:
            raise AssertionError(f"a stream ended without goodbye: {text[-80:]!r}")
        self.ends += 1


def until_replaced(server: Program, count: int) -> None:
    server.until(lambda: server.log.count(" serves\n") >= count, "all are replaced")


@pytest.mark.soak
def test_no_stream_is_cut_and_none_is_left_behind(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    with program(tmp_path, *command("httpng_asyncio", "app.py:app", "--workers", "2")) as server:
        readers = [Reader(server) for _ in range(CLIENTS)]
        for reader in readers:
            reader.start()
        server.until(lambda: all(reader.newest for reader in readers), "all have a value")
        for _ in range(RELOADS):
            ready = server.log.count(" serves\n")
            time.sleep(PAUSE)
            server.process.send_signal(signal.SIGHUP)
            until_replaced(server, ready + 2)
        now = time.time_ns() // 20_000_000
        server.until(lambda: all(reader.newest >= now for reader in readers), "all have the newest")
        assert [reader.failures for reader in readers if reader.failures] == []
        assert sum(reader.ends for reader in readers) >= CLIENTS * RELOADS
        for reader in readers:
            reader.over.set()
        for reader in readers:
            reader.join(BOUND)
        began = time.monotonic()
        assert server.end() == 0
        # Handlers heed the drain; this bound is generous for a busy machine.
        assert time.monotonic() - began < BOUND
