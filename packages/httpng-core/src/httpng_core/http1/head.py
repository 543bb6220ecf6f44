"""What the head of a request says: its header block, and the unusual forms of its request line."""

from typing import Final

from httpng_core.http1.grammar import (
    ABSOLUTE_FORM,
    ANY_LINE,
    AUTHORITY,
    CRLF,
    FIELD_LINES,
    FIELDS,
    FRAMING_FIELDS,
    MAX_AUTHORITY,
)
from httpng_core.http1.refused import RefusedRequest, broken_character, quoted

# Room for any length that a disk can have, and none for what overflows 64 bits elsewhere.
_LONGEST_LENGTH: Final = 18
_WHITESPACE: Final = b" \t"


class HeaderBlock:
    """A validated header block. Immutable, so that requests with the same block share it.

    Attributes:
        raw: The field lines as they came, each with its CRLF.
        minor: The minor version of the request, on which the meaning of some fields depends.
        count: The number of fields.
        host: The host that the request names, without its port; "default" if it names none.
        content_length: The declared length of the body, -1 if none is declared.
        chunked: Whether the body is chunked.
        has_body: Whether there is a body of at least one byte, or a chunked one.
        keep_alive: Whether the client lets the connection go on (RFC 9112, 9.3).
        expects_continue: Whether the client waits for 100 before it sends its body (RFC 9110, 10.1.1).
        upgrade: The protocols that the client offers to switch to, in lower case (RFC 9110, 7.8).
        digit: `minor` as it is in the request line.
        framing: Those of the fields that say anything of the above.
        is_plain: Whether there is neither a body nor an offer to switch.
    """

    __slots__ = (
        "_fields",
        "chunked",
        "content_length",
        "count",
        "digit",
        "expects_continue",
        "framing",
        "has_body",
        "host",
        "is_plain",
        "keep_alive",
        "minor",
        "raw",
        "upgrade",
    )

    def __init__(self, raw: bytes, minor: int, max_fields: int, last: "HeaderBlock | None" = None) -> None:
        """Validate the field lines `raw` of a request in HTTP/1.`minor`; `last` may be like it in part.

        Raises:
            RefusedRequest: They break RFC 9110 or 9112, or are more than `max_fields`.
        """
        self.raw = raw
        self.minor = minor
        # A bare LF counts as well, but isn't valid anyway.
        self.count = raw.count(b"\n")
        if self.count > max_fields:
            raise broken_character(raw, 0, len(raw)) or too_many_fields(max_fields)
        if FIELD_LINES.fullmatch(raw) is None:
            raise _malformed_fields(raw)
        self._fields: tuple[tuple[bytes, bytes], ...] | None = None
        lines = FRAMING_FIELDS.findall(b"\n" + raw)
        if last is not None and last.minor == minor and last.framing == lines:
            # One list for all of them.
            self.framing: list[bytes] = last.framing
            self.digit: bytes = last.digit
            self.host: str = last.host
            self.chunked: bool = last.chunked
            self.content_length: int = last.content_length
            self.has_body: bool = last.has_body
            self.keep_alive: bool = last.keep_alive
            self.expects_continue: bool = last.expects_continue
            self.upgrade: tuple[bytes, ...] = last.upgrade
            self.is_plain: bool = last.is_plain
        else:
            self.framing = lines
            self.digit = b"%d" % minor
            self._read_framing(lines)

    def fields(self) -> tuple[tuple[bytes, bytes], ...]:
        """Return names, in lower case, and values, without the whitespace around them, in order."""
        if self._fields is None:
            self._fields = split_field_lines(self.raw)
        return self._fields

    def lines(self) -> bytes:
        """Return the field lines as they came, each with its CRLF."""
        return self.raw

    def _read_framing(self, lines: list[bytes]) -> None:
        hosts: list[bytes] = []
        lengths: list[bytes] = []
        codings: list[bytes] = []
        options: list[bytes] = []
        upgrade: list[bytes] = []
        self.expects_continue = False
        for line in lines:
            name, _, value = line.partition(b":")
            name = name.lower()
            if name == b"host":
                hosts.append(value.strip(_WHITESPACE))
            elif name == b"connection":
                options += _tokens(value)
            elif name == b"content-length":
                lengths += _tokens(value)
            elif name == b"transfer-encoding":
                codings += _tokens(value)
            elif name == b"upgrade":
                upgrade += _tokens(value)
            elif _tokens(value) == [b"100-continue"] and self.minor >= 1:
                # An HTTP/1.0 client doesn't know 100 (RFC 9110, 10.1.1).
                self.expects_continue = True
        self.host = _read_hosts(hosts, self.minor)
        self.chunked = _read_codings(codings, self.minor, bool(lengths)) if codings else False
        self.content_length = _read_lengths(lengths) if lengths else -1
        self.has_body = self.chunked or self.content_length > 0
        self.keep_alive = b"close" not in options and (self.minor >= 1 or b"keep-alive" in options)
        # Upgrade counts only where Connection names it, and not from HTTP/1.0 (RFC 9110, 7.8).
        switches = self.minor >= 1 and b"upgrade" in options
        self.upgrade = tuple(upgrade) if switches else ()
        self.is_plain = not self.has_body and not self.upgrade


class SplitFields:
    """Header fields that were split when they were read, which is how the reference engine gives them.

    Attributes:
        minor: See `HeaderBlock`, as for the rest.
    """

    __slots__ = ("_pairs", "keep_alive", "minor", "upgrade")

    def __init__(
        self,
        pairs: tuple[tuple[bytes, bytes], ...],
        minor: int,
        keep_alive: bool,
        upgrade: tuple[bytes, ...],
    ) -> None:
        self._pairs = pairs
        self.minor = minor
        self.keep_alive = keep_alive
        self.upgrade = upgrade

    def fields(self) -> tuple[tuple[bytes, bytes], ...]:
        """Return names, in lower case, and values, without the whitespace around them, in order."""
        return self._pairs

    def lines(self) -> None:
        """Return `None`: the reference engine takes values that can't be in a line of ours."""


def split_field_lines(lines: bytes) -> tuple[tuple[bytes, bytes], ...]:
    """Return names, in lower case, and values, without the whitespace around them, of valid lines."""
    found = FIELDS.findall(lines)
    return tuple([(name.lower(), value.rstrip(_WHITESPACE)) for name, value in found])


def read_request_line(data: bytes, at: int, end: int) -> tuple[str, str, str, int, int]:
    """Read a request line that isn't in the usual form; its head is `data[at:end]`.

    Returns:
        The method, the target in origin form (or `*`), the host that the target names ("" if it doesn't), the
        minor version, and where the line ends.

    Raises:
        RefusedRequest: It isn't a request line, or none that an origin server takes.
    """
    line = ANY_LINE.match(data, at)
    if line is None:
        raise broken_character(data, at, end) or _malformed_line(data[at : data.find(CRLF, at)])
    method, target, major, minor = line.groups()
    if major != b"1":
        raise broken_character(data, at, end) or RefusedRequest(505, "only HTTP/1 is spoken here")
    host, path = _read_target(method, target)
    return method.decode(), path.decode(), host, int(minor), line.end()


def too_many_fields(limit: int) -> RefusedRequest:
    """Return the refusal of more than `limit` fields."""
    return RefusedRequest(431, f"more than {limit} header fields")


def _tokens(value: bytes) -> list[bytes]:
    return [token.strip(_WHITESPACE) for token in value.lower().split(b",")]


def _read_hosts(hosts: list[bytes], minor: int) -> str:
    """Return the host of the one Host field; HTTP/1.0 may go without (RFC 9112, 3.2)."""
    if len(hosts) > 1 or (not hosts and minor >= 1):
        raise RefusedRequest(400, f"{len(hosts)} Host headers where there must be one")
    host = _host(hosts[0]) if hosts else ""
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


def _read_target(method: bytes, target: bytes) -> tuple[str, bytes]:
    """Return the host that a target names, "" if it doesn't, and its path (RFC 9112, 3.2)."""
    if method == b"CONNECT":
        raise RefusedRequest(400, "CONNECT to a server that is no proxy")
    if b"#" in target:
        raise RefusedRequest(400, f"request target has a fragment: {quoted(target)}")
    if target == b"*" and method == b"OPTIONS":
        return "", target
    form = ABSOLUTE_FORM.fullmatch(target)
    if form is None:
        raise RefusedRequest(400, f"request target is neither a path nor an http URI: {quoted(target)}")
    host, path = _host(form[1]), form[2]
    if not host:
        # Unlike a Host header, a URI can't go without (RFC 9110, 4.2.1).
        raise RefusedRequest(400, f"malformed authority in the request target: {quoted(target)}")
    return host, path if path.startswith(b"/") else b"/" + path


def _host(authority: bytes) -> str | None:
    """Return the host of an authority without its port; `None` if it isn't an authority."""
    found = AUTHORITY.fullmatch(authority) if len(authority) <= MAX_AUTHORITY else None
    return None if found is None else found[1].decode()


def _malformed_line(line: bytes) -> RefusedRequest:
    return RefusedRequest(400, f"malformed request line: {quoted(line)}")


def _malformed_fields(raw: bytes) -> RefusedRequest:
    broken = broken_character(raw, 0, len(raw))
    if broken is not None:
        return broken
    found = FIELD_LINES.match(raw)
    assert found is not None
    line = raw[found.end() : raw.find(CRLF, found.end())]
    name, colon, _ = line.partition(b":")
    if line[:1] in (b" ", b"\t"):
        what = "folded header line"
    elif not colon:
        what = "header line without a colon"
    elif name.rstrip(_WHITESPACE) != name:
        what = "whitespace before the colon of a header line"
    else:
        what = "malformed header name"
    return RefusedRequest(400, f"{what}: {quoted(line)}")
