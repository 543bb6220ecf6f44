"""The tables of HPACK (RFC 7541, 2.3 and appendix A)."""

from typing import Final

from httpng_core.http2.engine.errors import COMPRESSION_ERROR, FatalError

Field = tuple[bytes, bytes]

DEFAULT_SIZE: Final = 4096
"""How large the dynamic table may be until SETTINGS_HEADER_TABLE_SIZE says otherwise."""
OVERHEAD: Final = 32
"""What each entry, and each field of a list, counts besides its bytes (RFC 7541, 4.1; RFC 9113, 6.5.2)."""

_STATIC: Final = b""":authority|
:method|GET
:method|POST
:path|/
:path|/index.html
:scheme|http
:scheme|https
:status|200
:status|204
:status|206
:status|304
:status|400
:status|404
:status|500
accept-charset|
accept-encoding|gzip, deflate
accept-language|
accept-ranges|
accept|
access-control-allow-origin|
age|
allow|
authorization|
cache-control|
content-disposition|
content-encoding|
content-language|
content-length|
content-location|
content-range|
content-type|
cookie|
date|
etag|
expect|
expires|
from|
host|
if-match|
if-modified-since|
if-none-match|
if-range|
if-unmodified-since|
last-modified|
link|
location|
max-forwards|
proxy-authenticate|
proxy-authorization|
range|
referer|
refresh|
retry-after|
server|
set-cookie|
strict-transport-security|
transfer-encoding|
user-agent|
vary|
via|
www-authenticate|"""


def _static_entries() -> list[Field]:
    entries: list[Field] = [(b"", b"")]  # Index 0 isn't used.
    for line in _STATIC.split(b"\n"):
        name, _, value = line.partition(b"|")
        entries.append((name, value))
    return entries


STATIC_TABLE: Final = _static_entries()
STATIC_SIZE: Final = 62
"""The first index of the dynamic table."""


class DynamicTable:
    """The entries that blocks put in, the newest first by index.

    Attributes:
        limit: the size that the peer chose, at most `max_size`.
        size: what all entries count together.
        max_size: what we announced.
    """

    __slots__ = ("_entries", "limit", "max_size", "size")

    def __init__(self, max_size: int = DEFAULT_SIZE) -> None:
        self.max_size = max_size
        self.limit = max_size
        self.size = 0
        # The oldest first, so that an entry is added at the end.
        self._entries: list[Field] = []

    def entry(self, index: int) -> Field:
        """Return the entry of an index into both tables.

        Raises:
            FatalError: There is none.
        """
        if index < STATIC_SIZE:
            if index > 0:
                return STATIC_TABLE[index]
        elif index - STATIC_SIZE < len(self._entries):
            return self._entries[STATIC_SIZE - 1 - index]
        raise FatalError(COMPRESSION_ERROR, "a header block refers to an entry that there isn't")

    def add(self, field: Field) -> None:
        """Add an entry; older ones go to make room, and one that is larger than the table empties it."""
        self.size += len(field[0]) + len(field[1]) + OVERHEAD
        self._entries.append(field)
        self._evict()

    def resize(self, limit: int) -> None:
        """Change the size (RFC 7541, 4.3).

        Raises:
            FatalError: It is more than we announced.
        """
        if limit > self.max_size:
            raise FatalError(COMPRESSION_ERROR, "a header block makes the table larger than it may be")
        self.limit = limit
        self._evict()

    def _evict(self) -> None:
        gone = 0
        while self.size > self.limit:
            name, value = self._entries[gone]
            self.size -= len(name) + len(value) + OVERHEAD
            gone += 1
        if gone:
            del self._entries[:gone]
