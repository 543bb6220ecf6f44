"""The refusal of a request, and how its reason quotes what came."""

from typing import Final, NamedTuple

from httpng_core.errors import RemoteError
from httpng_core.http1.grammar import BROKEN

_LONGEST_QUOTE: Final = 60
_LONGEST_TARGET: Final = 256
MOST_ASKED: Final = 1024
"""So many bytes of a request are looked at to tell what it asked for."""


class RefusedRequest(RemoteError):  # noqa: N818 - an everyday outcome
    """A request that breaks RFC 9112 or a limit; its connection can't go on.

    Attributes:
        status: The HTTP status code of the answer.
        reason: What is wrong, in one line of ASCII.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason, status)
        self.reason = reason


def quoted(data: bytes, most: int = _LONGEST_QUOTE) -> str:
    """Return the beginning of `data`, escaped and in quotation marks, for a reason or a log line."""
    text = data[:most].decode("latin-1").encode("unicode_escape").decode().replace('"', '\\"')
    cut = len(data) > most or len(text) > most
    return f'"{text[:most]}{"..." if cut else ""}"'


class Asked(NamedTuple):
    """What is known of a request that is refused, for logs; empty where nothing is."""

    method: str = ""
    target: str = ""
    version: str = ""


def asked(data: bytes) -> Asked:
    """Return what the beginning of a request says, whatever is wrong with it; escaped, and not too long."""
    line = data[:MOST_ASKED].partition(b"\r\n")[0]
    words = [quoted(word, _LONGEST_TARGET)[1:-1] for word in line.split(b" ", 2)]
    if len(words) < 3 or not words[2].startswith("HTTP/"):
        return Asked()
    return Asked(words[0][:_LONGEST_QUOTE], words[1], words[2][5:8])


def broken_character(data: bytes | bytearray, start: int, stop: int) -> RefusedRequest | None:
    """Return the refusal of what no head and no chunk line can have, if `data[start:stop]` has it."""
    found = BROKEN.search(data, start, stop)
    if found is None:
        return None
    at = found.start()
    what = {10: "bare LF", 13: "bare CR"}.get(data[at], "control character")
    return RefusedRequest(400, f"{what} behind {quoted(bytes(data[max(start, at - 40) : at]))}")


def too_long(limit: int) -> RefusedRequest:
    """Return the refusal of a body that is longer than `limit`."""
    return RefusedRequest(413, f"request body is longer than {limit} bytes")
