"""The calls of routers as Lua makes them: a router is a number there, and so is the handler of a route."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from httpng_core import Request
from httpng_core.languages import NoMatch, RouteTable
from httpng_lua.handles import Exchanges
from httpng_lua.steps import DONE, Answer, guarded

_HOW: Final = ("utf-8", "surrogateescape")
"""Paths are bytes in Lua; this takes them here and back unchanged."""


@dataclass(frozen=True, slots=True)
class _Route:
    """What is known of a route here.

    Attributes:
        number: what Lua knows its handler by.
        streams: whether that starts before the request's body is in; `None`: as the router does.
        router: the number of the router that its handler is; 0 for a function.
    """

    number: int
    streams: bool | None
    router: int


class RouterCalls:
    """The routers of one script, for as long as Lua holds them."""

    def __init__(self, exchanges: Exchanges) -> None:
        self._exchanges = exchanges
        self._tables: dict[int, RouteTable[_Route]] = {}
        self._last_router = 0
        self._last_route = 0

    def __len__(self) -> int:
        return len(self._tables)

    def for_lua(self) -> dict[str, Callable[..., Any]]:
        """Return the calls by the names that router.lua uses."""
        return {
            "router": self._router,
            "forget_router": self._forget,
            "add_route": guarded(self._add),
            "delete_route": guarded(self._delete),
            "find_route": self._find,
        }

    def streams(self, router: float, request: Request, otherwise: bool) -> bool:
        """Return whether the route that a request is for streams its body.

        Where there is none nobody reads it. `otherwise`: what the site or the setting says.
        """
        table = self._tables.get(int(router))
        if table is None:
            # Another cfg has taken its place, and Lua has let it go.
            return otherwise
        found = table.find(request.method, request.host, request.path)
        if isinstance(found, NoMatch):
            return True
        route = found.handler
        said = otherwise if route.streams is None else route.streams
        return self.streams(route.router, request, said) if route.router else said

    def _router(self) -> int:
        self._last_router += 1
        self._tables[self._last_router] = RouteTable()
        return self._last_router

    def _forget(self, router: float) -> None:
        del self._tables[int(router)]

    def _add(
        self,
        router: float,
        path: bytes,
        method: bytes | None,
        host: bytes | None,
        name: bytes | None,
        streams: bool | None,
        inner: float | None,
    ) -> Answer:
        self._last_route += 1
        options = {"method": _text(method), "host": _text(host), "name": _text(name)}
        route = _Route(self._last_route, streams, int(inner or 0))
        self._tables[int(router)].add(path.decode(*_HOW), route, **options)
        return DONE, self._last_route

    def _delete(self, router: float, name: bytes) -> Answer:
        return DONE, self._tables[int(router)].delete(name.decode(*_HOW)).number

    def _find(
        self, router: float, method: bytes, host: bytes, path: bytes, exchange: float | None = None
    ) -> Answer:
        """Return the route's number, then names and values; or nil, then status, body and Allow.

        Logs and metrics tell the route of the `exchange`.
        """
        found = self._tables[int(router)].find(method.decode(*_HOW), host.decode(*_HOW), path.decode(*_HOW))
        if isinstance(found, NoMatch):
            answer = found.response()
            allow = ", ".join(found.allow).encode(*_HOW) or None
            return None, answer.status, answer.body, allow
        if exchange is not None:
            self._exchanges[exchange].exchange.request.route = found.path
        pairs = (text.encode(*_HOW) for item in found.stash.items() for text in item)
        return found.handler.number, *pairs


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode(*_HOW)
