"""Which protocol a connection speaks, where that is agreed on before its first request."""

from typing import Literal

from httpng_core.config.settings import Settings
from httpng_core.http1.protocol import Http1
from httpng_core.http2.start import speak_http2
from httpng_core.wire.endpoint import Endpoint

ProtocolName = Literal["http/1.1", "h2"]
"""Protocols by their names in ALPN."""


def speak(endpoint: Endpoint, settings: Settings, now: float, protocol: str | None) -> None:
    """Begin with HTTP/2 if that was agreed on, else with HTTP/1.1, which hands over to it on its preface."""
    if protocol == "h2":
        speak_http2(endpoint, settings, now)
    else:
        endpoint.speak(Http1(endpoint, settings, now), now)
