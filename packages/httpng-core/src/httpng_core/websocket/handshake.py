"""The opening handshake: of HTTP/1.1 (RFC 6455, 4.2) and of HTTP/2 (RFC 8441)."""

import base64
import binascii
from typing import Final

from wsproto.utilities import generate_accept_token

from httpng_core.errors import HandshakeError
from httpng_core.http.request import Request
from httpng_core.websocket.deflate import Deflate, agree

_VERSION: Final = "13"


class Handshake:
    """A request for a WebSocket that is sound.

    Attributes:
        subprotocols: those that the client offers, the ones it likes best first.
        offers: the extensions that it offers, in its order.
    """

    def __init__(self, request: Request) -> None:
        """Check `request`.

        Raises:
            HandshakeError: it doesn't ask for a WebSocket, or not as the RFCs say.
        """
        if not request.is_websocket:
            raise HandshakeError(f"{request.method} {request.path} doesn't ask for a WebSocket")
        headers = request.headers
        versions = headers.get_all("sec-websocket-version")
        if versions != [_VERSION]:
            told = f"sec-websocket-version is {', '.join(versions) or 'missing'}, must be {_VERSION}"
            fields = {"sec-websocket-version": _VERSION}
            if request.version_major == 1:
                fields["upgrade"] = "websocket"
            raise HandshakeError(told, 426, fields)
        self._key = None if request.version_major > 1 else _checked_key(request)
        self.subprotocols = _list(headers.get_all("sec-websocket-protocol"))
        self.offers = _list(headers.get_all("sec-websocket-extensions"))

    def answer(
        self, subprotocol: str | None, max_size: int, *, deflate: bool
    ) -> tuple[list[tuple[str, str]], Deflate | None]:
        """Return the headers that accept it, and what was agreed on about compression.

        Raises:
            ValueError: the client doesn't offer `subprotocol`.
        """
        fields = []
        if self._key is not None:
            token = generate_accept_token(self._key.encode()).decode()
            fields = [("upgrade", "websocket"), ("sec-websocket-accept", token)]
        if subprotocol is not None:
            if subprotocol not in self.subprotocols:
                offered = ", ".join(self.subprotocols) or "none"
                raise ValueError(f"subprotocol {subprotocol!r} is none that the client offers: {offered}")
            fields.append(("sec-websocket-protocol", subprotocol))
        agreed = agree(self.offers, max_size) if deflate else None
        if agreed is None:
            return fields, None
        fields.append(("sec-websocket-extensions", agreed[1]))
        return fields, agreed[0]


def _checked_key(request: Request) -> str:
    """Return the key: 16 bytes in base64, of which there must be one."""
    if request.method != "GET":
        raise HandshakeError(f"a WebSocket is asked for with {request.method}, must be GET")
    if request.is_streamed:
        raise HandshakeError("a WebSocket is asked for by a request with a body, which it can't have")
    if request.version_minor < 1:
        raise HandshakeError("a WebSocket is asked for with HTTP/1.0, must be 1.1 or newer")
    keys = request.headers.get_all("sec-websocket-key")
    try:
        sound = len(keys) == 1 and len(base64.b64decode(keys[0], validate=True)) == 16
    except (binascii.Error, ValueError):
        sound = False
    if not sound:
        raise HandshakeError("sec-websocket-key must be there once: 16 bytes in base64")
    return keys[0]


def _list(values: list[str]) -> list[str]:
    return [item.strip() for value in values for item in value.split(",") if item.strip()]
