"""What header fields say of the body that follows them, and of the connection (RFC 9112, 6 and 9)."""

from typing import Final

from httpng_core.http1.grammar import AUTHORITY, MAX_AUTHORITY
from httpng_core.http1.refused import RefusedRequest, quoted

WHITESPACE: Final = b" \t"
# Room for any length that a disk can have, and none for what overflows 64 bits elsewhere.
_LONGEST_LENGTH: Final = 18


class Framing:
    """What the fields that FRAMING_FIELDS finds say. Immutable, so that header blocks share it.

    Attributes:
        lines: Those fields, without their CRLF.
        minor: The minor version of the request, on which the meaning of some fields depends.
        digit: `minor` as it is in the request line.
        host: The host that the request names, without its port; "default" if it names none.
        content_length: The declared length of the body, -1 if none is declared.
        chunked: Whether the body is chunked.
        has_body: Whether there is a body of at least one byte, or a chunked one.
        keep_alive: Whether the client lets the connection go on (RFC 9112, 9.3).
        expects_continue: Whether the client waits for 100 before it sends its body (RFC 9110, 10.1.1).
        upgrade: The protocols that the client offers to switch to, in lower case (RFC 9110, 7.8).
        is_plain: Whether there is neither a body nor an offer to switch.
    """

    __slots__ = (
        "chunked",
        "content_length",
        "digit",
        "expects_continue",
        "has_body",
        "host",
        "is_plain",
        "keep_alive",
        "lines",
        "minor",
        "upgrade",
    )

    def __init__(self, lines: list[bytes], minor: int) -> None:
        """Read `lines` of a request in HTTP/1.`minor`.

        Raises:
            RefusedRequest: They break RFC 9110 or 9112.
        """
        hosts: list[bytes] = []
        lengths: list[bytes] = []
        codings: list[bytes] = []
        options: list[bytes] = []
        upgrade: list[bytes] = []
        self.lines = lines
        self.minor = minor
        self.digit = b"%d" % minor
        self.expects_continue = False
        for line in lines:
            name, _, value = line.partition(b":")
            name = name.lower()
            if name == b"host":
                hosts.append(value.strip(WHITESPACE))
            elif name == b"connection":
                options += _tokens(value)
            elif name == b"content-length":
                lengths += _tokens(value)
            elif name == b"transfer-encoding":
                codings += _tokens(value)
            elif name == b"upgrade":
                upgrade += _tokens(value)
            elif _tokens(value) == [b"100-continue"] and minor >= 1:
                # An HTTP/1.0 client doesn't know 100 (RFC 9110, 10.1.1).
                self.expects_continue = True
        self.host = _read_hosts(hosts, minor)
        self.chunked = _read_codings(codings, minor, bool(lengths)) if codings else False
        self.content_length = _read_lengths(lengths) if lengths else -1
        self.has_body = self.chunked or self.content_length > 0
        self.keep_alive = b"close" not in options and (minor >= 1 or b"keep-alive" in options)
        # Upgrade counts only where Connection names it, and not from HTTP/1.0 (RFC 9110, 7.8).
        switches = minor >= 1 and b"upgrade" in options
        self.upgrade: tuple[bytes, ...] = tuple(upgrade) if switches else ()
        self.is_plain = not self.has_body and not self.upgrade


def _tokens(value: bytes) -> list[bytes]:
    return [token.strip(WHITESPACE) for token in value.lower().split(b",")]


def _read_hosts(hosts: list[bytes], minor: int) -> str:
    """Return the host of the one Host field; HTTP/1.0 may go without (RFC 9112, 3.2)."""
    if len(hosts) > 1 or (not hosts and minor >= 1):
        raise RefusedRequest(400, f"{len(hosts)} Host headers where there must be one")
    host = host_of(hosts[0]) if hosts else ""
    if host is None:
        raise RefusedRequest(400, f"malformed Host header: {quoted(hosts[0])}")
    return host or "default"


def _read_codings(codings: list[bytes], minor: int, has_length: bool) -> bool:
    """Return whether the body is chunked (RFC 9112, 6.1); no other coding is known here."""
    if has_length:
        # The two together is how requests are smuggled.
        raise RefusedRequest(400, "Transfer-Encoding with Content-Length")
    if minor < 1:
        raise RefusedRequest(400, "Transfer-Encoding in HTTP/1.0")
    if codings == [b"chunked"]:
        return True
    listed = b", ".join(codings)
    if set(codings) <= {b"chunked", b""}:
        raise RefusedRequest(400, f"malformed Transfer-Encoding: {quoted(listed)}")
    raise RefusedRequest(501, f"unknown Transfer-Encoding: {quoted(listed)}")


def _read_lengths(lengths: list[bytes]) -> int:
    """Return the length on which all agree: the same one repeated may be taken (RFC 9110, 8.6)."""
    first = lengths[0]
    if lengths.count(first) < len(lengths):
        raise RefusedRequest(400, "Content-Length headers that differ")
    if not first.isdigit() or len(first) > _LONGEST_LENGTH:
        raise RefusedRequest(400, f"malformed Content-Length: {quoted(first)}")
    return int(first)


def host_of(authority: bytes) -> str | None:
    """Return the host of an authority without its port; `None` if it isn't an authority."""
    found = AUTHORITY.fullmatch(authority) if len(authority) <= MAX_AUTHORITY else None
    return None if found is None else found[1].decode()
