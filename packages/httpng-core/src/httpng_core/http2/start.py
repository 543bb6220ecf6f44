"""How HTTP/2 begins: by agreement, by its preface (RFC 9113, 3.3), or by an upgrade (RFC 7540, 3.2)."""

from base64 import urlsafe_b64decode
from typing import Final

from httpng_core.config.settings import Settings
from httpng_core.http.request import Request
from httpng_core.http.upgrade import SWITCHING, upgrade_settings
from httpng_core.http2.protocol import Http2
from httpng_core.wire.endpoint import Endpoint

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def preface_of(data: bytes) -> bool | None:
    """Return whether the first bytes of a client are HTTP/2; `None` if more are needed to tell."""
    if not PREFACE.startswith(data[: len(PREFACE)]):
        return False
    return True if len(data) >= len(PREFACE) else None


def speak_http2(endpoint: Endpoint, settings: Settings, now: float) -> None:
    """Go on with HTTP/2."""
    endpoint.speak(Http2(endpoint, settings, now), now)


def begin_upgraded(endpoint: Endpoint, settings: Settings, request: Request, now: float) -> bool:
    """Go on with HTTP/2 if `request` asks for it; return whether it did. It is served as stream 1 then."""
    given = upgrade_settings(request)
    if given is None:
        return False
    try:
        protocol = Http2(endpoint, settings, now, urlsafe_b64decode(given))
    except ValueError:
        # It isn't what HTTP2-Settings must be: the request is served as it came.
        endpoint.deadline = None
        return False
    endpoint.outbound.push(SWITCHING)
    endpoint.speak(protocol, now)
    request.version_major, request.version_minor = 2, 0
    protocol.begin_upgraded(request, now)
    return True
