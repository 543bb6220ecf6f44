"""How a test has a driver serve a handler, and learns over the wire what the handler saw.

The driver may run in a process of its own, that was forked: so a test shares no variables with its handlers.
Handlers `note` what they see and wait until they are `told`; both go through requests of the suite's own.
"""

import json
import time
from collections.abc import Callable
from typing import Any, Final, Literal, TypeVar
from urllib.parse import quote, unquote

from httpng_core.testing.conformance.client import BOUND, WIDE, Client, Client2, Protocol
from httpng_core.testing.conformance.coroutines import Steps, StepsHandler, as_coroutine_function

Form = Literal["generator", "async"]
"""What a handler with calls is: a generator function that yields them, or a coroutine function."""

AnyClient = TypeVar("AnyClient", bound=Client)

NEVER: Final = 1 << 50
"""A position that no response reaches."""
_CONTROL: Final = "/conformance/"


class Served:
    """A server that runs: its port, and the clients that a test has made."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._clients: list[Client] = []
        self._control: Client | None = None

    def client(
        self, protocol: Protocol = "http1", *, receive_buffer: int | None = None, window: int = WIDE
    ) -> Client:
        """Connect a client; `window` is the room of each stream of HTTP/2."""
        if protocol == "http1":
            return self._kept(Client(self.port, receive_buffer))
        return self.client2(receive_buffer=receive_buffer, window=window)

    def client2(self, *, receive_buffer: int | None = None, window: int = WIDE) -> Client2:
        """Connect a client of HTTP/2."""
        return self._kept(Client2(self.port, receive_buffer, window))

    def noted(self, name: str) -> Any:
        """Return what a handler has noted, as soon as it has."""
        until = time.monotonic() + BOUND
        while time.monotonic() < until:
            answer = self.ask(f"noted/{name}")
            if answer["is_there"]:
                return answer["value"]
            time.sleep(0.005)
        raise AssertionError(f"no handler has noted {name!r} within {BOUND} s")

    def tell(self, name: str) -> None:
        """Tell the handlers."""
        self.ask(f"tell/{name}")

    def ask(self, path: str) -> Any:
        """Return what the server answers to one of the suite's own requests."""
        for _ in range(2):
            # The server may have closed the one that was kept.
            if self._control is None or self._control.ended:
                self._control = self._kept(Client(self.port))
            answer = self._control.get(f"{_CONTROL}{quote(path)}")
            if answer.complete:
                return json.loads(answer.body)
            self._control = None
        raise AssertionError(f"no answer to {path}")

    def close(self) -> None:
        """Close the clients; with a reset, so that the kernel forgets them at once."""
        for client in self._clients:
            client.reset()

    def _kept(self, client: AnyClient) -> AnyClient:
        self._clients.append(client)
        return client


class Driver:
    """The driver under test.

    `note` and `told` are for handlers, in whatever process and thread they run.
    """

    def __init__(self, serve: Callable[..., int]) -> None:
        self._serve = serve
        self._notes: dict[str, object] = {}
        self._told: set[str] = set()
        self._servers: list[Served] = []

    def serves(self, handler: StepsHandler, form: Form = "generator", **settings: Any) -> Served:
        """Have a generator function served, as such or as a coroutine function."""

        def steps(req: Any, io: Any) -> Steps:
            if req.path.startswith(_CONTROL):
                return self._answer(req.path)
            return (yield from handler(req, io))

        return self._served(steps if form == "generator" else as_coroutine_function(steps), settings)

    def serves_plain(self, handler: Callable[[Any], object], **settings: Any) -> Served:
        """Have a plain function served."""

        def plain(req: Any) -> object:
            return self._answer(req.path) if req.path.startswith(_CONTROL) else handler(req)

        return self._served(plain, settings)

    def note(self, name: str, value: object = True) -> None:
        """Keep what a handler has seen, something that JSON can tell."""
        self._notes[name] = value

    def told(self, name: str) -> bool:
        """Whether a test has told the handlers this."""
        return name in self._told

    def until_told(self, name: str, io: Any) -> Steps:
        """Wait in a handler until a test has told it, or the client is gone; return whether it is told."""
        while name not in self._told:
            result = yield io.wait(NEVER, 0.01)
            if result.cancelled:
                break
        return name in self._told

    def close(self) -> None:
        """Close the clients of all servers."""
        for server in self._servers:
            server.close()

    def _served(self, handler: Any, settings: dict[str, Any]) -> Served:
        server = Served(self._serve(handler, **settings))
        self._servers.append(server)
        return server

    def _answer(self, path: str) -> str:
        verb, _, name = path.removeprefix(_CONTROL).partition("/")
        name = unquote(name)
        if verb == "tell":
            self._told.add(name)
        return json.dumps({"is_there": name in self._notes, "value": self._notes.get(name)})


def ended(io: Any) -> Steps:
    """End the response cleanly, in both forms of a handler."""
    ending = io.close()
    if ending is not None:
        yield ending
    return None


def stats(io: Any) -> dict[str, Any]:
    """Return what `get_send_stats` tells, for a note."""
    told = io.get_send_stats()
    return {
        "current": told.current,
        "sent": told.sent,
        "acked": told.acked,
        "cancelled": told.cancelled,
        "headers_were_sent": told.headers_were_sent,
    }
