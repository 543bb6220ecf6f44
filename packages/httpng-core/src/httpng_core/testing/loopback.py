"""A scripted kernel, a clock turned by hand, a client: an application and its client in one thread."""

import logging
from collections.abc import Callable
from math import inf
from typing import Any

from httpng_core.app.application import as_application
from httpng_core.app.files import Files
from httpng_core.connection import Connection
from httpng_core.http.address import Address
from httpng_core.sending.exchange import Exchange
from httpng_core.testing.clients import Client, Http2Peer
from httpng_core.testing.clock import Clock
from httpng_core.testing.http2_client import Http2Client
from httpng_core.testing.path import ScriptedPath
from httpng_core.testing.server import ScriptedServer
from httpng_core.testing.stepped_io import step_async
from httpng_core.tls.certificates import Certificates
from httpng_core.tls.end import TlsEnd
from httpng_core.wire.events import RequestReceived

_log = logging.getLogger("httpng")


class _Errors(logging.Handler):
    """Keeps what handlers have raised, by what is logged of it."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.kept: list[BaseException] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the error of a record."""
        told = [error for error in (record.exc_info or ())[1:2] if isinstance(error, BaseException)]
        args = record.args if isinstance(record.args, tuple) else ()
        told += [error for error in args if isinstance(error, BaseException)]
        # Of an error in Lua there is the message alone.
        self.kept.append(told[0] if told else RuntimeError(record.getMessage()))


class Loopback:
    """Serves an application to scripted clients, by a clock turned by hand.

    Async handlers are stepped without an event loop: they can await the calls of their `io`, nothing else.

    Attributes:
        clock: the clock.
        runner: what runs the handlers.
        server: what the application controls: shutdowns, reconfigurations, threads that go.
        exchanges: every exchange begun, in order.
        max_turns: how many turns a handler may take without rest until that is an error.
    """

    max_turns = 10_000

    def __init__(
        self,
        app: object,
        *,
        clock: Clock | None = None,
        certificates: Certificates | None = None,
        files: Files | None = None,
        raises: bool = False,
        **cfg: Any,
    ) -> None:
        """Take a handler with settings, or an `Application`; `clock` if that was made with one.

        `certificates` are for clients that speak TLS, `files` for directories as handlers. With `raises`, the
        call that let a handler run raises the handler's error, once the client has been answered with 500.
        """
        self.certificates = certificates
        self.application = as_application(app, None, cfg)
        self.clock = clock or Clock()
        self.exchanges: list[Exchange] = []
        self._errors = _Errors() if raises else None
        self.runner = self.application.runner(self.clock, start_async=self._start_async, files=files)
        self._clients: list[Client] = []
        self.server = ScriptedServer(self.application, self.clock, self._connections, self.runner)

    def connect(
        self, room: float = inf, path: ScriptedPath | None = None, tls: TlsEnd | None = None
    ) -> Client:
        """Return a new client whose kernel takes `room` bytes before it refuses, or one on a path.

        One with an end of TLS begins its handshake at once.

        Raises:
            ConnectionRefusedError: the server has been shut down.
        """
        self._check_listening()
        connection = self._connection(tls is not None)
        client = Client(self.clock, self.settle, connection, room if path is None else path.room, path, tls)
        self._clients.append(client)
        if tls is not None:
            client.send(b"")
        return client

    def connect_http2(self, room: float = inf, window: int = 65535, *, reads: bool = True) -> Http2Peer:
        """Return a new client that speaks HTTP/2, with so much room for each stream; `reads`: it is kept up.

        Raises:
            ConnectionRefusedError: the server has been shut down.
        """
        self._check_listening()
        connection = self._connection(False)
        client = Http2Peer(self.clock, self.settle, connection, room, Http2Client(window, reads=reads))
        self._clients.append(client)
        self.settle()
        return client

    def forget(self) -> None:
        """Forget all clients and exchanges, so that tests can see what others hold of them."""
        self._clients.clear()
        self.exchanges.clear()

    def _check_listening(self) -> None:
        if not self.server.listens:
            raise ConnectionRefusedError("nobody listens")

    def _connections(self) -> list[Connection]:
        return [client.connection for client in self._clients]

    def _connection(self, over_tls: bool) -> Connection:
        peer, ours = Address("192.0.2.1", 50000 + len(self._clients)), Address("192.0.2.2", 80)
        if over_tls:
            assert self.certificates is not None, "this Loopback has no certificates"
        return self.application.connection(
            self.clock.now,
            peer=peer,
            ouraddr=ours,
            tells_acknowledged=True,
            certificates=self.certificates if over_tls else None,
        )

    def advance(self, seconds: float) -> None:
        """Time passes, each deadline at its moment."""
        end = self.clock.now + seconds
        while (deadline := self._next_deadline()) is not None and deadline <= end:
            self.clock.now = max(self.clock.now, deadline)
            self._fire()
            self.settle()
        self.clock.now = end
        self.settle()

    def settle(self) -> None:
        """Run handlers and kernels until nothing moves without time or the clients."""
        if self._errors is None:
            self._settle()
            return
        _log.addHandler(self._errors)
        try:
            self._settle()
        finally:
            _log.removeHandler(self._errors)
        if self._errors.kept:
            first, self._errors.kept[:] = self._errors.kept[0], []
            raise first

    def _settle(self) -> None:
        for _ in range(self.max_turns):
            self._serve()
            self.runner.run()
            moved = [client.pump() for client in self._clients]
            self._serve()
            for client in self._clients:
                client.note_close()
            self.server.settle()
            goes_on = self._goes_on()
            self._fire()
            if not any(moved) and not self.runner.is_ready and not goes_on:
                return
        raise AssertionError(f"a handler did not come to rest in {self.max_turns} turns")

    def _serve(self) -> None:
        for client in self._clients:
            while (event := client.connection.next_event()) is not None:
                if isinstance(event, RequestReceived):
                    self.exchanges.append(event.exchange)
                self.runner.handle(event)

    def _next_deadline(self) -> float | None:
        deadlines = [self.runner.next_deadline(), self.server.next_deadline()]
        deadlines += [client.next_deadline() for client in self._clients]
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    def _goes_on(self) -> bool:
        """Return whether a connection has more to do at once, when others have had their turn."""
        deadlines = [client.next_deadline() for client in self._clients]
        return any(deadline is not None and deadline <= self.clock.now for deadline in deadlines)

    def _fire(self) -> None:
        now = self.clock.now
        self.runner.handle_timeout(now)
        self.server.handle_timeout(now)
        for client in self._clients:
            client.handle_timeout(now)

    def _start_async(self, exchange: Exchange, function: Callable[..., Any]) -> None:
        step_async(self.runner, exchange, function)
