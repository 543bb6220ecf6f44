"""Brokers for tests: programs on loopback ports, each with a folder of its own; killed and started again."""

import asyncio
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import nats
import redis

from httpng.feeds import BrokerFeed
from httpng.feeds.nats import NatsFeed
from httpng.feeds.redis import RedisFeed

BOUND = 30.0
"""Seconds, for what takes a fraction of one."""


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def listens(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


class Broker:
    """A program; `name` is what it is called."""

    name = ""
    scheme = ""

    def __init__(self, program: str, folder: Path) -> None:
        self.program = program
        self.folder = folder
        self._saved = folder.with_name(f"{folder.name}-saved")
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Broker":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        self.folder.mkdir(exist_ok=True)
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(self.command(), stdout=log, stderr=log, cwd=self.folder)
        deadline = time.monotonic() + BOUND
        while not self.is_ready():
            assert self._process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def kill(self) -> None:
        """Ends it without any notice."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def forget(self) -> None:
        """Throws away all that it has kept; it doesn't run meanwhile."""
        shutil.rmtree(self.folder)

    def save(self) -> None:
        """Copies what it has kept; it doesn't run meanwhile."""
        shutil.copytree(self.folder, self._saved)

    def go_back(self) -> None:
        """Has what was saved in place of what it has kept; it doesn't run meanwhile."""
        self.forget()
        shutil.copytree(self._saved, self.folder)

    def url(self, port: int | None = None) -> str:
        return f"{self.scheme}://127.0.0.1:{port or self.port}"

    def command(self) -> list[str]:
        raise NotImplementedError

    def is_ready(self) -> bool:
        raise NotImplementedError

    def new_feed(self, port: int | None = None, **options: Any) -> BrokerFeed:
        """A feed as one process has it, not started yet."""
        raise NotImplementedError

    def subscriptions(self) -> int:
        """How many wait for what is published on the feed `ticks`."""
        raise NotImplementedError


class Redis(Broker):
    name = "redis-server"
    scheme = "redis"

    def command(self) -> list[str]:
        options = f"--port {self.port} --bind 127.0.0.1 --save --appendonly yes --appendfsync always"
        return [self.program, *options.split(), "--dir", str(self.folder)]

    def is_ready(self) -> bool:
        with redis.Redis(port=self.port) as client, suppress(redis.ConnectionError, redis.BusyLoadingError):
            return bool(client.ping())
        return False

    def new_feed(self, port: int | None = None, **options: Any) -> BrokerFeed:
        return RedisFeed(self.url(port), "ticks", **options)

    def subscriptions(self) -> int:
        with redis.Redis(port=self.port) as client:
            return sum(each["cmd"] == "xread" for each in client.client_list())


class Nats(Broker):
    name = "nats-server"
    scheme = "nats"

    def command(self) -> list[str]:
        options = f"-a 127.0.0.1 -p {self.port} -js -sd {self.folder}/store"
        return [self.program, *options.split()]

    def is_ready(self) -> bool:
        if not listens(self.port):
            return False
        with suppress(Exception):
            self.ask(_streams)
            return True
        return False

    def new_feed(self, port: int | None = None, **options: Any) -> BrokerFeed:
        return NatsFeed(self.url(port), "ticks", **options)

    def subscriptions(self) -> int:
        return sum(stream.state.consumer_count for stream in self.ask(_streams))

    def ask(self, question: Callable[[Any], Awaitable[Any]]) -> Any:
        """Returns what another program's JetStream answers."""

        async def asked() -> Any:
            client = await nats.connect(self.url(), allow_reconnect=False, connect_timeout=1)
            try:
                return await question(client.jetstream(timeout=1))
            finally:
                await client.close()

        return asyncio.run(asked())


async def _streams(stream: Any) -> Any:
    return await stream.streams_info()


class Relay:
    """What stands between a process and its broker: a network that fails when the test says so."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.is_cut = self.loses_answers = False
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> "Relay":
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()
        self._listener.close()

    def cut(self) -> None:
        """Breaks all connections, and each new one."""
        self.is_cut = True
        for sock in self._sockets:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self._sockets.clear()

    def mend(self) -> None:
        self.is_cut = self.loses_answers = False

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self.is_cut or not listens(self.target):
                    client.close()
                    continue
                server = socket.create_connection(("127.0.0.1", self.target))
                self._sockets += client, server
                for one, other in ((client, server), (server, client)):
                    threading.Thread(target=self._pass_on, args=(one, other, client), daemon=True).start()

    def _pass_on(self, one: socket.socket, other: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(65536):
                if not (self.loses_answers and other is client):
                    other.sendall(data)
        for sock in (one, other):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        # The other one is what another thread reads.
        one.close()


BROKERS: tuple[type[Broker], ...] = (Redis, Nats)
