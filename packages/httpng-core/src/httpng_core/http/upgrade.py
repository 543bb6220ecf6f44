"""The upgrade from HTTP/1.1 to HTTP/2 in clear text (RFC 7540, 3.2), which RFC 9113 has dropped."""

import re

from httpng_core.http.request import Request

SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n"
_BASE64URL = re.compile("[A-Za-z0-9_-]*")


def upgrade_settings(request: Request) -> bytes | None:
    """Return the HTTP2-Settings of a request that asks for HTTP/2; `None` if it doesn't, or has a body.

    One with a body may be served as it came: an upgrade is never a must.
    """
    headers = request.headers
    settings = headers.get_all("http2-settings")
    options = _tokens(headers.get("connection", ""))
    asks = "h2c" in _tokens(headers.get("upgrade", "")) and {"upgrade", "http2-settings"} <= options
    if not asks or len(settings) != 1 or not _BASE64URL.fullmatch(settings[0]):
        return None
    if request.body or request.version_minor < 1:
        return None
    # Base64 without its padding (RFC 7540, 3.2.1).
    return settings[0].encode() + b"=" * (-len(settings[0]) % 4)


def _tokens(value: str) -> set[str]:
    return {token.strip().lower() for token in value.split(",")}
