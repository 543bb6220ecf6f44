"""The admin listener: what operators ask a server, and what they tell it, over HTTP.

Who may connect is said by the file of the Unix socket. On a loopback address everybody on this machine may,
browsers too, which do what pages of strangers say: so requests of other sites are refused, and so is every
`Host` but that of this machine, as a stranger's name may lead here.
"""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict
from ipaddress import ip_address
from typing import Any, Final, cast
from urllib.parse import urlencode

from httpng_core import Application, ListenAddress, Request, Response
from httpng_driver.handlers.io import IO
from httpng_driver.serving.control import Service
from httpng_driver.serving.measures import measures_of
from httpng_driver.serving.peers import Peers
from httpng_driver.serving.status import Wanted, merged, status_of
from httpng_driver.serving.status_handler import asks_for_metrics, metrics, rendered, wanted_of
from httpng_driver.serving.verbs import kill_connection, kill_exchange, set_window

_HEADERS: Final = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
}
_LOOKS: Final = ("/", "/status", "/metrics")
_VERBS: Final = ("/kill", "/window")


def admin_application(service: Service, place: ListenAddress, peers: Peers | None) -> Application:
    """Return what is served at `place`, and to the other workers."""
    listen = [place] if peers is None else [place, peers.place]
    return Application(_Admin(service, peers), listen=listen, lifespan="off", max_conn_per_thread=64)


class _Admin:
    """The handler."""

    def __init__(self, service: Service, peers: Peers | None) -> None:
        self._service = service
        self._peers = peers

    async def __call__(self, req: Request, io: IO) -> Response:
        """Answer a request."""
        answer = _refusal(req)
        if answer is None:
            try:
                answer = await (self._look(req) if req.method in ("GET", "HEAD") else self._do(req))
            except (TypeError, ValueError) as error:
                answer = _said(400, error=str(error))
        return _with(answer, _HEADERS)

    async def _look(self, req: Request) -> Response:
        wanted, target = wanted_of(req), req.path.partition("?")[0]
        if asks_for_metrics(req):
            return await self._metrics(is_asked_by_peer="own" in req.query_params)
        status = status_of(self._service, wanted)
        if self._peers is not None and "own" not in req.query_params:
            status = await _with_others(self._peers, status, wanted)
        return Response(json=status) if target == "/status" else rendered(req, status)

    async def _metrics(self, *, is_asked_by_peer: bool) -> Response:
        own = measures_of(self._service)
        if is_asked_by_peer:
            return Response(json=own)
        if self._peers is None:
            return metrics([own])
        others = await self._peers.ask("/metrics?own=1")
        return metrics([own, *(answer for status, answer in others if status == 200)], of_workers=True)

    async def _do(self, req: Request) -> Response:
        given = json.loads(req.body)
        if not isinstance(given, dict):
            raise TypeError("the body must be an object of JSON")
        act, name = _verb(req.path.partition("?")[0], given)
        is_ours = name.partition(".")[0] == str(os.getpid())
        if is_ours and act(self._service):
            return _said(200, done=name)
        if self._peers is not None and not is_ours and "own" not in req.query_params:
            target = f"{req.path.partition('?')[0]}?own=1"
            for status, answer in await self._peers.ask(target, given):
                if status == 200:
                    return _said(200, **answer)
        return _said(404, error=f"{name} is over, or never was")


async def _with_others(peers: Peers, own: dict[str, Any], wanted: Wanted) -> dict[str, Any]:
    query = urlencode({"own": 1, **asdict(wanted)})
    answers = await peers.ask(f"/status?{query}")
    return merged([own, *(answer for status, answer in answers if status == 200)], wanted)


def _verb(path: str, given: dict[str, Any]) -> tuple[Callable[[Service], bool], str]:
    """Return what is to be done, and to what.

    Raises:
        TypeError, ValueError: it isn't said well.
    """
    wanted = {"exchange", "bytes"} if path == "/window" else {"exchange"}
    if path == "/kill" and "connection" in given:
        wanted = {"connection"}
    if given.keys() != wanted:
        raise ValueError(f"{path} takes an object with {' and '.join(sorted(wanted))}, not {sorted(given)}")
    name = given["connection"] if "connection" in wanted else given["exchange"]
    if not isinstance(name, str):
        raise TypeError("exchanges and connections are named by texts, as the status has them")
    if path == "/window":
        return lambda service: set_window(service, name, given["bytes"]), name
    kill = kill_connection if "connection" in wanted else kill_exchange
    return lambda service: kill(service, name), name


def _refusal(req: Request) -> Response | None:
    """Return the answer to a request that isn't even looked at; `None` to one that is."""
    path = req.path.partition("?")[0]
    if path not in (*_LOOKS, *_VERBS):
        return _said(404, error=f"there is {', '.join((*_LOOKS, *_VERBS))}")
    if req.method not in (allowed := ("GET", "HEAD") if path in _LOOKS else ("POST",)):
        return _with(_said(405, error=f"{path} takes {', '.join(allowed)}"), {"allow": ", ".join(allowed)})
    if req.ouraddr.family != "AF_UNIX" and not _is_here(req.host):
        return _said(403, error=f"the host must be this machine's loopback address, not {req.host[:64]}")
    if _is_of_another_site(req):
        return _said(403, error="a page of another site may not ask this")
    if path in _VERBS and req.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        # What a browser sends for another site without asking first never has this type.
        return _said(415, error="the body must be application/json")
    return None


def _is_of_another_site(req: Request) -> bool:
    origin, site = req.headers.get("origin"), req.headers.get("sec-fetch-site", "none")
    if site not in ("none", "same-origin"):
        return True
    return origin is not None and origin.partition("://")[2] != req.headers.get("host")


def _is_here(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _with(answer: Response, headers: Mapping[str, str]) -> Response:
    answer.headers = {**dict(cast(Any, answer.headers or ())), **headers}
    return answer


def _said(status: int, **words: Any) -> Response:
    return Response(status=status, json=words)
