"""The refusal of a request, and how its reason quotes what came."""

from typing import Final

from httpng_core.errors import RemoteError
from httpng_core.http1.grammar import BROKEN

_LONGEST_QUOTE: Final = 60


class RefusedRequest(RemoteError):  # noqa: N818 - an everyday outcome
    """A request that breaks RFC 9112 or a limit; its connection can't go on.

    Attributes:
        status: The HTTP status code of the answer.
        reason: What is wrong, in one line of ASCII.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason, status)
        self.reason = reason


def quoted(data: bytes) -> str:
    """Return the beginning of `data`, escaped and in quotation marks, for a reason or a log line."""
    text = data[:_LONGEST_QUOTE].decode("latin-1").encode("unicode_escape").decode().replace('"', '\\"')
    cut = len(data) > _LONGEST_QUOTE or len(text) > _LONGEST_QUOTE
    return f'"{text[:_LONGEST_QUOTE]}{"..." if cut else ""}"'


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
