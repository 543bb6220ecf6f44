"""One request to an ASGI application: `receive` and `send` upon an exchange.

`send` tells the truth: it returns when the bytes are accepted into the send window, and raises an OSError
where they never will be.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from math import inf
from threading import get_ident
from typing import Any

from anyio.lowlevel import checkpoint

from httpng_core import (
    BodyError,
    Cause,
    ContentLengthError,
    EndKind,
    Pending,
    SendResult,
    cancelled,
    end_exchange,
)
from httpng_driver.handlers.asgi.call import AsgiCall, Message
from httpng_driver.handlers.asgi.errors import ClientGoneError, SendTimeout
from httpng_driver.handlers.asgi.extensions import PathFile, at_most, pieces_of
from httpng_driver.handlers.io import let_go
from httpng_driver.handlers.pieces import begin_write, settled


class HttpCall(AsgiCall):
    """The call of an ASGI application for one request."""

    __slots__ = ()

    async def receive(self) -> Message:
        """Return the next piece of the request body; after the last one wait until the exchange is over.

        A body that breaks the protocol, is too long or too slow is answered in the application's place, which
        is told that its client has gone.
        """
        host = self._host
        if get_ident() != host.thread:
            host.check_thread()
        if not (self._given or self._reading or self._is_over):
            try:
                return await self._read()
            except BodyError as error:
                self._refuse(error)
        while not self._is_over:
            await self._change()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Take a message of the response; returns when its bytes are accepted into the send window.

        A body that is no longer than the window is accepted whole or, if the task is cancelled meanwhile, not
        at all.

        Raises:
            SendTimeout: there was no room within the send timeout; the exchange is aborted.
            ClientGoneError: the client has gone.
            RuntimeError: the message has no place here, or is unknown.
            TypeError, ValueError: it isn't one; a header that can't be sent, a wrong status.
        """
        kind = message["type"]
        if kind == "http.response.body":
            host = self._host
            if get_ident() != host.thread:
                host.check_thread()
            body, more = message.get("body", b""), message.get("more_body", False)
            if self._is_plain and not more and self._answered(body):
                return
            if self._status is None or self._complete or self._body_is_whole:
                raise self._misplaced(kind)
            if not more:
                await self._send_last(body)
            elif self._ended:
                await self._send_after_end(body, True)
            else:
                before = self._exchange.current
                if not self._begun:
                    self._begin()
                pending = begin_write(self._io, body)
                if pending is not None:
                    await self._written(pending, body, before)
        elif kind == "http.response.start":
            self._start(message)
        else:
            await self._send_other(kind, message)

    # Inside: receiving --------------------------------------------------------------------------------

    async def _read(self) -> Message:
        request, incoming = self._exchange.request, self._exchange.incoming
        if incoming is None:
            self._given = True
            return {"type": "http.request", "body": request.body, "more_body": False}
        self._reading = True
        try:
            piece = await request.read()
        finally:
            self._reading = False
        self._given = incoming.is_read
        return {"type": "http.request", "body": piece, "more_body": not self._given}

    def _refuse(self, error: BodyError) -> None:
        self._refused = True
        if not self._exchange.is_over:
            end_exchange(self._exchange, error, self._host.clock())
            self._io.pump.wake()
        self._tell()

    # Inside: sending ----------------------------------------------------------------------------------

    def _start(self, message: Message) -> None:
        """Keep what the response begins with, until its first bytes come."""
        if self._status is not None:
            raise self._misplaced("http.response.start")
        if (self._ended or self._refused) and self._is_gone:
            raise ClientGoneError("the client has gone")
        self._status = message["status"]
        self._headers = headers = tuple(message.get("headers", ()))
        if headers and type(headers[0]) is not tuple:
            self._headers = tuple(map(tuple, headers))
        if message.get("trailers", False):
            self._trailers = []
        else:
            self._is_plain = not self._ended

    async def _send_other(self, kind: str, message: Message) -> None:
        """Take a message of an extension."""
        if kind == "http.response.early_hint":
            links = [(b"link", link) for link in message["links"]]
            if self._begun or self._complete:
                raise self._misplaced(kind)
            await self._io.write_informational(103, links)
        elif kind == "http.response.trailers" and self._body_is_whole and not self._complete:
            assert self._trailers is not None
            self._trailers += map(tuple, message.get("headers", ()))
            if not message.get("more_trailers", False):
                trailers = self._trailers
                self._finish(lambda now: self._exchange.close(now, None, trailers))
        elif kind in ("http.response.pathsend", "http.response.zerocopysend"):
            if self._status is None or self._complete or self._body_is_whole:
                raise self._misplaced(kind)
            await self._send_file(kind, message)
        else:
            raise RuntimeError(f"{kind!r} is no message for an HTTP response, or has no place here")

    async def _send_file(self, kind: str, message: Message) -> None:
        io = self._io
        window, io.send_window = io.send_window, at_most(self._window)
        try:
            if kind == "http.response.zerocopysend":
                await self._send_pieces(pieces_of(message))
                if not message.get("more_body", False):
                    await self._send_last(b"")
                return
            file = PathFile(self._host.files, message["path"])
            try:
                self._declare(await file.size())
                await self._send_pieces(file.pieces())
            finally:
                file.close()
            await self._send_last(b"")
        finally:
            io.send_window = window

    async def _send_pieces(self, pieces: AsyncGenerator[bytes, None]) -> None:
        async with aclosing(pieces):
            async for piece in pieces:
                if self._ended:
                    await self._send_after_end(piece, True)
                else:
                    await self._write(piece)

    def _declare(self, size: int) -> None:
        """Declare the length of the body, if the application hasn't, and trailers allow it."""
        if self._begun or self._trailers is not None:
            return
        if not any(name.lower() == b"content-length" for name, _ in self._headers):
            self._headers = (*self._headers, (b"content-length", b"%d" % size))

    def _answered(self, body: Any) -> bool:
        """Give the whole response at once, if the body, which is all of it, is no longer than the window."""
        io, exchange, host = self._io, self._exchange, self._host
        window = io.send_window
        if window is None:
            window = exchange.settings.default_send_window
        if window == "auto" or len(body) > window:
            return False
        pump, transport = io.pump, exchange.transport
        in_place = not pump.flagged
        if in_place:
            if transport.shares and transport.has_company():
                self._finish(exchange.answer, self._status, self._headers, body)
                return True
            pump.flagged, pump.woken = True, False
        # It goes out now, and nobody has to hear of its end any more. Whoever has flagged the pump looks at
        # it afterwards: who serves what was read, where tasks begin at once (Python 3.12), or a turn.
        self._complete, self._is_plain, exchange.on_over = True, False, None
        with host.lock:
            try:
                send = exchange.host.direct_send
                exchange.answer(self._status, self._headers, body, host.clock(), send)
            except BaseException:
                self._complete, self._is_plain, exchange.on_over = False, True, self._over
                raise
            finally:
                if in_place:
                    pump.look_after()
        # Nothing is left to do for who has called.
        let_go(io)
        if self._changed is not None:
            self._tell()
        return True

    async def _send_last(self, body: Any) -> None:
        if self._ended:
            await self._send_after_end(body, False)
            return
        if self._trailers is not None:
            await self._write(body)
            self._body_is_whole = True
            return
        self._declare(len(body))
        if body or not self._begun:
            await self._write(body)
        self._finish(self._exchange.close)

    async def _write(self, body: Any) -> None:
        before = self._exchange.current
        if not self._begun:
            self._begin()
        pending = begin_write(self._io, body)
        if pending is not None:
            await self._written(pending, body, before)

    async def _written(self, pending: Pending, body: Any, before: int) -> None:
        """Wait until a body is accepted, of which none was `before`."""
        exchange, io, window = self._exchange, self._io, self._window
        try:
            result = await settled(io, pending)
        except BaseException:
            is_torn = window != "auto" and len(body) > window
            if is_torn and before < exchange.current < before + len(body):
                told = "a send that had begun was cancelled"
                exchange.reset(self._host.clock(), Cause(EndKind.HANDLER_ABORT, told))
                io.pump.wake()
            raise
        if result is not None:
            await self._fell_short(result, body)

    def _begin(self) -> None:
        self._begun, self._is_plain = True, False
        if self._status == 200:
            # They go out with the first body.
            self._io.headers = self._headers  # type: ignore[assignment]
        else:
            self._exchange.write_header(self._status, self._headers, self._host.clock(), inf)

    async def _fell_short(self, result: SendResult, body: Any) -> None:
        if cancelled(result):
            await self._send_after_end(body, True)
            return
        timeout = self._io.send_timeout
        if timeout is None:
            timeout = self._exchange.settings.default_send_timeout
        told = f"send found no room for {len(body)} bytes within its timeout of {timeout:g} s"
        self._exchange.reset(self._host.clock(), Cause(EndKind.SEND_TIMEOUT, told))
        self._io.pump.wake()
        raise SendTimeout(told)

    async def _send_after_end(self, body: Any, more: bool) -> None:
        """Take a body when the exchange is over: of a response that is whole without it, or for nobody."""
        if self._is_gone:
            raise ClientGoneError("the client has gone")
        self._complete = not more
        if body and not self._exchange.drops:
            raise ContentLengthError(
                f"{len(body)} bytes more than the response's content-length; nothing of them is sent"
            )
        # A loop of them must let others run.
        await checkpoint()

    @property
    def _window(self) -> Any:
        window = self._io.send_window
        return self._exchange.settings.default_send_window if window is None else window
