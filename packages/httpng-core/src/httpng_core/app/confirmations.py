"""Confirmations of streams that are no WebSockets: clients say by small requests what they have."""

import json
import secrets
from collections.abc import Callable
from typing import Final

from httpng_core.app.io import BaseIO
from httpng_core.errors import ResponseStateError
from httpng_core.http.request import Request
from httpng_core.http.response import Response
from httpng_core.sending.asking import Asker
from httpng_core.sending.exchange import Exchange

_MARK: Final = b"event: confirm\ndata: %015d\n\n"
_MARK_SIZE: Final = len(_MARK % 0)
_LONGEST: Final = 128
_NO_SUCH_STREAM: Final = "no stream of this process has this token"
_BEYOND: Final = "that was not sent yet"

HELPER: Final = """\
// Confirms what an EventSource has got:   import { confirming } from "/confirm"
//                                         const events = confirming(new EventSource("/ticks"))
export function confirming(source) {
  let stream = null, position = null, busy = false
  const tell = async () => {
    if (busy || position === null) return
    const told = position, url = new URL(stream.path, source.url)
    busy = true
    position = null
    try {
      const answer = await fetch(url, { method: "POST", body: `${stream.token} ${told}` })
      if (answer.status >= 500) throw answer.status
    } catch {
      await new Promise(resolve => setTimeout(resolve, 1000))
      position ??= told
    }
    busy = false
    tell()
  }
  source.addEventListener("confirmations", event => { stream = JSON.parse(event.data); position = null })
  source.addEventListener("confirm", event => { position = event.data; tell() })
  return source
}
"""
"""What is served to pages: a module of JavaScript."""


class Confirmations:
    """A handler that is told what the clients of streams have, and gives pages the script that tells it.

    Serve it at its path: `sites=[{"path": "/confirm", "handler": confirmations}, …]`. A stream of server-sent
    events begins with `event(io)`; from then on `io.window_until` may be "confirmed".

    It answers a POST of `TOKEN POSITION` with 204; with 404 if no stream of this process has this token: it
    is over, or another worker's; 409 for a position beyond what was sent; 400 for anything else. A GET gets
    the script.

    Attributes:
        path: where clients find it.
    """

    def __init__(self, path: str) -> None:
        """Make the handler for a path.

        Raises:
            TypeError, ValueError: it is no path that begins with "/".
        """
        if not isinstance(path, str):
            raise TypeError(f"the path of confirmations must be a string, not {type(path).__name__}")
        if not path.startswith("/"):
            raise ValueError(f"the path of confirmations must begin with '/': {path!r:.80}")
        self.path = path
        self._streams: dict[str, tuple[Exchange, Callable[[], float]]] = {}

    def __len__(self) -> int:
        """Return how many streams have a token."""
        return len(self._streams)

    def event(self, io: BaseIO) -> bytes:
        """Return the first event of a stream of server-sent events, which has its token; write it first.

        From then on events of the type `confirm` are put between those of the handler, for the client to
        answer; they are part of the body, and count in positions.

        Raises:
            ResponseStateError: the stream has a token, or is a WebSocket, whose client needs none.
        """
        io._check_thread()
        return self.begin_events(io._exchange, io._clock)

    def token(self, io: BaseIO) -> str:
        """Return the token of a stream of another kind, whose client counts the body's bytes by itself.

        It may tell its position whenever it likes; it stalls if it doesn't for `confirm_timeout` while
        something isn't confirmed. Nothing is put into the body: how the token comes to the client is the
        handler's affair.

        Raises:
            ResponseStateError: see `event`.
        """
        io._check_thread()
        return self._begin(io._exchange, io._clock, _nothing_at, b"")

    def __call__(self, req: Request) -> Response:
        """Answer a request for the path."""
        if req.method in ("GET", "HEAD"):
            headers = {"content-type": "text/javascript; charset=utf-8", "cache-control": "no-cache"}
            return Response(headers=headers, body=HELPER)
        if req.method != "POST":
            return Response(status=405, headers={"allow": "GET, HEAD, POST"})
        status, why = self.confirm(req.body)
        return Response(status=status, body=why)

    def begin_events(self, exchange: Exchange, clock: Callable[[], float], path: str | None = None) -> bytes:
        """Do as `event` does, for callers that have the exchange; `path` may be that of another one."""
        token = self._begin(exchange, clock, _mark_at, b"\n\n")
        data = json.dumps({"path": self.path if path is None else path, "token": token})
        return f"event: confirmations\ndata: {data}\n\n".encode()

    def begin_bytes(self, exchange: Exchange, clock: Callable[[], float]) -> str:
        """Do as `token` does, for callers that have the exchange."""
        return self._begin(exchange, clock, _nothing_at, b"")

    def confirm(self, told: bytes) -> tuple[int, str]:
        """Take what a client says; return the status of the answer, and why. Any thread may."""
        token, _, number = told.partition(b" ")
        number = number.strip()
        if len(told) > _LONGEST or not number.isdigit():
            return 400, "a token and a position are expected, with a space between"
        found = self._streams.get(token.decode("latin-1"))
        if found is None:
            return 404, _NO_SUCH_STREAM
        exchange, clock = found
        position = int(number)
        if position > exchange.sent:
            return 409, _BEYOND
        in_loop = exchange.host.call_in_loop
        if in_loop is None:
            exchange.confirm(position, clock())
        else:
            in_loop(lambda: exchange.confirm(position, clock()))
        return 204, ""

    def _begin(
        self, exchange: Exchange, clock: Callable[[], float], question: Callable[[int], bytes], behind: bytes
    ) -> str:
        if exchange.tunnel is not None:
            raise ResponseStateError("a WebSocket was accepted, whose client confirms without a token")
        if exchange.confirming is not None:
            raise ResponseStateError("this response has a token for confirmations already")
        token = secrets.token_urlsafe(18)
        if not exchange.is_over:
            Asker(exchange, question, _always, behind=behind, over=lambda: self._forget(token))
            self._streams[token] = exchange, clock
        return token

    def _forget(self, token: str) -> None:
        self._streams.pop(token, None)


def confirmations(path: str) -> Confirmations:
    """Return the handler for a path; see `Confirmations`."""
    return Confirmations(path)


def _mark_at(begin: int) -> bytes:
    return _MARK % (begin + _MARK_SIZE)


def _nothing_at(begin: int) -> bytes:
    return b""


def _always() -> bool:
    return True
