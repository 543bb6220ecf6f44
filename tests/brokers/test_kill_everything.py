"""Broker, worker, proxy and client are killed while values are published: each client ends with the newest.

Between two marks, at which all is quiet, each client whose connection has lasted must have got as many values
and removals, or been told that they were skipped, as were published.
The long one takes SOAK_SECONDS, 300 by default, with each broker.
"""

import http.client
import os
import random
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import pytest
from tests.backends.test_workers import Program
from tests.backends.test_workers import program as httpng_program
from tests.brokers.servers import BOUND, Broker, Redis, free_port, listens

from httpng.feeds import BrokerFeed

SECONDS: Final = float(os.environ.get("SOAK_SECONDS", "300"))
KEYS: Final = [f"key-{number}" for number in range(20)]
KINDS: Final = ("broker", "worker", "proxy", "client")
APP = """
import os
from httpng import Application, Resume, sse_event, sse_headers
from httpng.feeds.{module} import {kind}

feed = {kind}("{url}", "ticks", resume=True, on_remove=lambda key: sse_event(key, event="gone"))

async def handler(req, io):
    if req.path == "/pid":
        return str(os.getpid())
    io.headers = sse_headers()
    told = lambda count: sse_event(str(count), event="skipped")
    await io.follow(feed, since=req.headers.get("last-event-id"), on_gap=told, until_draining=True)

app = Application(handler, lifespan=feed.running)
"""


@dataclass(frozen=True)
class Count:
    """Where a client stands: in which of its connections, and how much it has been sent or told of there."""

    connection: int
    delivered: int
    told: int


class Follower(threading.Thread):
    """A client that comes back with the last id it has seen, as browsers do, and keeps what they would."""

    def __init__(self, port: int, pause: float) -> None:
        super().__init__(daemon=True)
        self.values: dict[str, int] = {}
        self.at_mark: dict[int, Count] = {}
        self.errors: list[str] = []
        self.last_id = ""
        self.gaps = 0
        self.is_over = False
        self._port = port
        self._pause = pause
        self._connections = self._delivered = self._told = 0
        self._socket: socket.socket | None = None

    def run(self) -> None:
        while not self.is_over:
            with suppress(OSError, http.client.HTTPException, AttributeError, ValueError):
                self._follow()
            time.sleep(random.uniform(0.02, 0.1))

    def kill(self) -> None:
        sock = self._socket
        if sock is not None:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def end(self) -> None:
        self.is_over = True
        self.kill()
        self.join(BOUND)

    def _follow(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=BOUND)
        try:
            headers = {"last-event-id": self.last_id} if self.last_id else {}
            connection.request("GET", "/", headers=headers)
            self._socket = connection.sock
            response = connection.getresponse()
            if response.status != 200:
                return
            self._connections += 1
            self._delivered = self._told = 0
            event: dict[str, str] = {}
            while line := response.readline():
                if line != b"\n":
                    name, _, value = line.decode().rstrip("\n").partition(": ")
                    event[name] = value
                    continue
                self._take(event.get("event", ""), event.get("data"), event.get("id"))
                event = {}
                time.sleep(self._pause)
        finally:
            self._socket = None
            connection.close()

    def _take(self, event: str, data: str | None, id_: str | None) -> None:
        if event == "skipped":
            self._told += int(data or 0)
        elif event == "gap":
            self.gaps += 1
            self.values.clear()
        elif data is not None:
            self._delivered += 1
            key, _, number = data.partition(" ")
            if event == "gone":
                self.values.pop(key, None)
            elif int(number) < self.values.get(key, 0):
                self.errors.append(f"{key} was {self.values[key]} and is {number} again")
            else:
                self.values[key] = int(number)
            if key == "mark" and event != "gone":
                # It may come again to one that comes back.
                self.at_mark.setdefault(int(number), Count(self._connections, self._delivered, self._told))
        if id_ is not None:
            self.last_id = id_


class Publisher:
    """Publishes what counts up, and knows how much that was."""

    def __init__(self, feed: BrokerFeed) -> None:
        self.values: dict[str, int] = {}
        self.count = 0
        self._feed = feed

    def publish(self, key: str) -> int:
        self.count += 1
        self.values[key] = self.count
        self._feed.publish(f"data: {key} {self.count}\n\n", key)
        return self.count

    def publish_for(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            key = random.choice(KEYS)
            if key in self.values and random.random() < 0.05:
                self.count += 1
                del self.values[key]
                self._feed.remove(key)
            else:
                self.publish(key)
            time.sleep(random.expovariate(300))


class Proxy:
    """nginx, on a port that stays the same."""

    def __init__(self, program: str, folder: Path, back: int) -> None:
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._command = (
            program,
            "-p",
            str(folder),
            "-c",
            f"{folder}/nginx.conf",
            "-e",
            f"{folder}/error.log",
        )
        (folder / "nginx.conf").write_text(f"""
            daemon off; master_process off; pid {folder}/nginx.pid;
            events {{ }}
            http {{
                access_log off;
                client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
                fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
                server {{
                    listen 127.0.0.1:{self.port};
                    location / {{ proxy_pass http://127.0.0.1:{back}; proxy_http_version 1.1; }}
                }}
            }}
        """)

    def start(self) -> None:
        self._process = subprocess.Popen(self._command)
        until(lambda: listens(self.port), "the proxy listens")

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 2 * BOUND
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


class Scene:
    """All of it, and what is done to it."""

    def __init__(self, broker: Broker, server: Program, proxy: Proxy, publisher: Publisher) -> None:
        self.broker = broker
        self.server = server
        self.proxy = proxy
        self.publisher = publisher
        # One of them reads slowly.
        self.clients = [Follower(proxy.port, 0.01 if number == 0 else 0.0) for number in range(6)]
        self.checked = 0

    def kill(self, kind: str) -> None:
        if kind == "broker":
            self.broker.kill()
            time.sleep(random.uniform(0.0, 0.5))
            self.broker.start()
        elif kind == "worker":
            os.kill(int(self.server.get("/pid")), signal.SIGKILL)
        elif kind == "proxy":
            self.proxy.kill()
            time.sleep(random.uniform(0.0, 0.5))
            self.proxy.start()
        else:
            random.choice(self.clients).kill()

    def mark(self) -> int:
        """Publish the last of all, and wait until each client has it; returns how much was published."""
        mark = self.publisher.publish("mark")
        for client in self.clients:
            until(partial(client.at_mark.__contains__, mark), self._told_of(client, mark))
            assert client.values == self.publisher.values
            assert client.errors == []
        return mark

    def _told_of(self, client: Follower, mark: int) -> str:
        return (
            f"mark {mark} comes to a client that is at {client.values.get('mark')}: {self.server.log[-2000:]}"
        )

    def round(self, before: int, kinds: list[str]) -> int:
        """Kill these while values are published; returns the next mark."""
        thread = threading.Thread(target=self.publisher.publish_for, args=(random.uniform(1, 2),))
        thread.start()
        for kind in kinds:
            time.sleep(random.uniform(0.1, 0.5))
            self.kill(kind)
        thread.join()
        after = self.mark()
        for client in self.clients:
            self.check(client.at_mark.get(before), client.at_mark[after], after - before, kinds)
        return after

    def check(self, one: Count | None, other: Count, published: int, kinds: list[str]) -> None:
        if one is None or one.connection != other.connection:
            return
        self.checked += 1
        found = other.delivered - one.delivered + other.told - one.told
        if isinstance(self.broker, Redis) or "broker" not in kinds:
            assert found == published, (one, other, kinds)
        else:
            # What a publisher replaced while it had no NATS is known only as far as it was seen.
            assert found <= published, (one, other, kinds)


@contextmanager
def scene(broker: Broker, nginx: str, folder: Path) -> Iterator[Scene]:
    module, kind = ("redis", "RedisFeed") if isinstance(broker, Redis) else ("nats", "NatsFeed")
    (folder / "app.py").write_text(APP.format(module=module, kind=kind, url=broker.url()))
    arguments = ("-m", "httpng", "app.py:app", "--listen", "127.0.0.1:0", "--workers", "2")
    with ExitStack() as exits:
        server = exits.enter_context(httpng_program(folder, *arguments))
        proxy = Proxy(nginx, folder, server.address.port)
        proxy.start()
        exits.callback(proxy.kill)
        feed = broker.new_feed(subscribes=False)
        exits.enter_context(feed)
        found = Scene(broker, server, proxy, Publisher(feed))
        for client in found.clients:
            client.start()
            exits.callback(client.end)
        yield found


@pytest.fixture
def nginx(program: Callable[[str], str]) -> str:
    return program("nginx")


def test_each_is_killed_once(broker: Broker, nginx: str, tmp_path: Path) -> None:
    with scene(broker, nginx, tmp_path) as found:
        mark = found.mark()
        for kind in KINDS:
            mark = found.round(mark, [kind])
        # By the broker's end no client is cut off.
        assert found.checked >= len(found.clients)


@pytest.mark.soak
def test_all_are_killed_at_random_for_minutes(broker: Broker, nginx: str, tmp_path: Path) -> None:
    end = time.monotonic() + SECONDS
    killed: dict[str, int] = dict.fromkeys(KINDS, 0)
    with scene(broker, nginx, tmp_path) as found:
        mark = found.mark()
        while time.monotonic() < end:
            kinds = random.sample(KINDS, random.choice((1, 1, 2, 3)))
            mark = found.round(mark, kinds)
            for kind in kinds:
                killed[kind] += 1
        gaps = sum(client.gaps for client in found.clients)
        print(f"killed {killed}; published {mark}; counts checked {found.checked}; unknown gaps {gaps}")
    assert all(killed.values())
    assert found.checked, "no connection has lasted from one mark to the next"
