"""One WebSocket of an ASGI application: its messages upon `io.accept_websocket`."""

from typing import Any

from httpng_core import AsgiHandler, Cause, EndKind, Exchange, cancelled
from httpng_driver.handlers.asgi.call import Message
from httpng_driver.handlers.asgi.errors import ClientGoneError, SendTimeout
from httpng_driver.handlers.asgi.host import AsgiHost
from httpng_driver.handlers.asgi.http import HttpCall
from httpng_driver.handlers.asgi.scope import websocket_scope
from httpng_driver.handlers.websocket import WebSocket

_PREFIX = "websocket."


class WebSocketCall(HttpCall):
    """The call of an ASGI application for one WebSocket; until it is accepted it may be answered by HTTP."""

    __slots__ = ("_ws",)

    _ws: WebSocket | None

    def scope(self) -> dict[str, Any]:
        """Return the scope of the WebSocket."""
        self._ws = None
        return websocket_scope(self._exchange.request, super().scope())

    async def receive(self) -> Message:
        """Return that the client asks for it, then its messages, and why it has ended."""
        self._host.check_thread()
        if not self._given:
            self._given = True
            return {"type": "websocket.connect"}
        while self._ws is None:
            if self._is_over:
                return {"type": "websocket.disconnect", "code": 1006, "reason": ""}
            await self._change()
        message = await self._ws.receive()
        if message is None:
            code = self._ws.close_code
            return {
                "type": "websocket.disconnect",
                "code": 1006 if code is None else code,
                "reason": self._ws.close_reason,
            }
        if isinstance(message, str):
            return {"type": "websocket.receive", "text": message, "bytes": None}
        return {"type": "websocket.receive", "bytes": message, "text": None}

    async def send(self, message: Message) -> None:
        """Accept, send a message of the WebSocket, close, or answer by HTTP.

        Raises:
            SendTimeout: there was no room within the send timeout; the exchange is aborted.
            ClientGoneError: the client has gone, or the WebSocket is closed.
            RuntimeError: the message has no place here, or is unknown.
        """
        kind = message["type"]
        if kind.startswith("websocket.http.response."):
            if self._ws is not None:
                raise RuntimeError(f"{kind} after websocket.accept")
            await super().send({**message, "type": kind.removeprefix(_PREFIX)})
        elif kind == "websocket.accept" and self._ws is None and self._status is None:
            await self._accept(message)
        elif kind == "websocket.close" and not self._complete:
            await self._close(message)
        elif kind == "websocket.send" and self._ws is not None and not self._complete:
            data = message.get("bytes")
            await self._send_message(self._ws, message["text"] if data is None else data)
        else:
            raise RuntimeError(f"{kind!r} has no place here in a WebSocket")

    @property
    def _is_left(self) -> bool:
        return True

    def _missing(self) -> Exception | None:
        return super()._missing() if self._ws is None else None

    async def _accept(self, message: Message) -> None:
        if self._ended:
            raise ClientGoneError("the client has gone")
        headers = tuple(map(tuple, message.get("headers") or ()))
        self._ws = await self._io.accept_websocket(subprotocol=message.get("subprotocol"), headers=headers)
        # Whoever waits for its messages.
        self._tell()

    async def _close(self, message: Message) -> None:
        if self._ws is not None:
            self._complete = True
            await self._ws.close(message.get("code", 1000), message.get("reason") or "")
        elif self._status is None:
            self._status, self._headers = 403, ()
            await self._send_last(b"")

    async def _send_message(self, ws: WebSocket, data: str | bytes) -> None:
        io = self._io
        wanted = io.send_window, io.send_timeout, io.window_until
        if (ws.send_window, ws.send_timeout, ws.window_until) != wanted:
            # The application has nothing else to say it to.
            ws.send_window, ws.send_timeout, ws.window_until = wanted
        result = await ws.send(data)
        if result is None:
            return
        if cancelled(result) or ws.close_code is not None:
            raise ClientGoneError("the WebSocket is closed")
        if result.body_bytes_sent:
            # It has begun, and goes out.
            return
        told = f"send found no room for a message of {len(data)} within its timeout"
        self._exchange.reset(self._host.clock(), Cause(EndKind.SEND_TIMEOUT, told))
        self._io.pump.wake()
        raise SendTimeout(told)


def start_call(host: AsgiHost, exchange: Exchange, handler: AsgiHandler) -> None:
    """Call an application for what a client asks for, in a task of its own."""
    is_one = exchange.request.is_websocket and not handler.is_wsgi and exchange.settings.ws != "none"
    call = (WebSocketCall if is_one else HttpCall)(host, exchange, handler)
    call.take_cancel(host.reactor.spawn_cancellable(call.run))
