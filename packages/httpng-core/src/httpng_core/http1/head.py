"""What the head of a request says: its header block, and the unusual forms of its request line."""

from httpng_core.http.request import HeaderFields
from httpng_core.http1.framing import WHITESPACE, Framing, host_of
from httpng_core.http1.grammar import (
    ABSOLUTE_FORM,
    ANY_LINE,
    CRLF,
    FIELD_LINES,
    FIELDS,
    FRAMING_FIELDS,
    OTHER_LINES,
)
from httpng_core.http1.refused import RefusedRequest, broken_character, quoted

_Fields = tuple[tuple[bytes, bytes], ...]


class HeaderBlock(HeaderFields):
    """A validated header block. Immutable, so that requests with the same block share it.

    Attributes:
        raw: The field lines as they came, each with its CRLF.
        count: The number of fields.
        framing: What some of them say of the body and the connection.
        likeness: What the block has in common with those before it on its connection, if that is known.
    """

    __slots__ = ("count", "framing", "likeness", "raw")

    def __init__(self, raw: bytes, count: int, framing: Framing, likeness: "Likeness | None") -> None:
        """Take what `read_header_block` or a `Likeness` has validated."""
        self.raw = raw
        self.count = count
        self.framing = framing
        self.likeness = likeness
        self.upgrade = framing.upgrade
        self._pairs = None

    def fields(self) -> _Fields:
        """Return names, in lower case, and values, without the whitespace around them, in order."""
        pairs = self._pairs
        if pairs is None:
            raw, likeness = self.raw, self.likeness
            self._pairs = pairs = split_field_lines(raw) if likeness is None else likeness.fields(raw)
        return pairs

    def lines(self) -> bytes:
        """Return the field lines as they came, each with its CRLF."""
        return self.raw


class Likeness:
    """What header blocks of a connection have in common: the lines above those that change, and those below.

    All lines that say anything of framing are among these. So a block that has them again, and between them
    valid lines that say nothing of framing, is valid and means the same: only what is between is looked at.
    """

    __slots__ = (
        "_above",
        "_count",
        "_end",
        "_end_size",
        "_fields",
        "_framing",
        "_size",
        "lines_above",
        "lines_below",
    )

    def __init__(self, framing: Framing, above: list[bytes], below: list[bytes]) -> None:
        """Take the lines above those that change, and those below, without their CRLF."""
        self.lines_above = len(above)
        self.lines_below = len(below)
        self._count = len(above) + len(below)
        self._above = b"".join([line + CRLF for line in above])
        # With the empty line.
        self._end = b"".join([line + CRLF for line in below]) + CRLF
        self._size, self._end_size = len(self._above), len(self._end)
        self._framing = framing
        self._fields: tuple[_Fields, _Fields] | None = None

    def block(self, data: bytes, start: int, stop: int, max_fields: int) -> HeaderBlock | None:
        """Return the block that is `data[start:stop]` with the empty line behind it, if it is like this.

        `None`: it may be valid all the same.
        """
        begin, end = start + self._size, stop - self._end_size
        if (
            not data.startswith(self._above, start)
            or not data.endswith(self._end, begin, stop)
            or OTHER_LINES.fullmatch(data, begin, end) is None
        ):
            return None
        count = self._count + data.count(b"\n", begin, end)
        return None if count > max_fields else HeaderBlock(data[start : stop - 2], count, self._framing, self)

    def fields(self, raw: bytes) -> _Fields:
        """Return the fields of a block that is like this; those that they have in common are split once."""
        if self._fields is None:
            self._fields = split_field_lines(self._above), split_field_lines(self._end)
        above, below = self._fields
        return above + split_field_lines(raw[self._size : len(raw) + 2 - self._end_size]) + below


def read_header_block(
    raw: bytes, minor: int, max_fields: int, last: HeaderBlock | None = None
) -> HeaderBlock:
    """Validate the field lines `raw` of a request in HTTP/1.`minor`; `last` is the block before.

    Raises:
        RefusedRequest: They break RFC 9110 or 9112, or are more than `max_fields`.
    """
    # A bare LF counts as well, but isn't valid anyway.
    count = raw.count(b"\n")
    if count > max_fields:
        raise broken_character(raw, 0, len(raw)) or too_many_fields(max_fields)
    if FIELD_LINES.fullmatch(raw) is None:
        raise _malformed_fields(raw)
    lines = FRAMING_FIELDS.findall(b"\n" + raw)
    if last is None or last.framing.minor != minor or last.framing.lines != lines:
        return HeaderBlock(raw, count, Framing(lines, minor), None)
    block = HeaderBlock(raw, count, last.framing, None)
    block.likeness = _likeness(block, last)
    return block


def _likeness(block: HeaderBlock, last: HeaderBlock) -> Likeness | None:
    """Return what two blocks of the same framing have in common, with each other and with those before."""
    lines, others, before = block.raw.split(CRLF)[:-1], last.raw.split(CRLF)[:-1], last.likeness
    most = most_above = min(len(lines), len(others))
    if before is not None:
        most_above = min(most, before.lines_above)
    above = 0
    while above < most_above and lines[above] == others[above]:
        above += 1
    most -= above
    if before is not None:
        most = min(most, before.lines_below)
    below = 0
    while below < most and lines[-1 - below] == others[-1 - below]:
        below += 1
    end = len(lines) - below
    between = b"".join([line + CRLF for line in lines[above:end]])
    if not above + below or OTHER_LINES.fullmatch(between) is None:
        return None
    return Likeness(block.framing, lines[:above], lines[end:])


class SplitFields(HeaderFields):
    """Header fields as the reference engine gives them: split, with values that can't be in lines.

    Attributes:
        minor: See `Framing`, as for the rest.
    """

    __slots__ = ("keep_alive", "minor")

    def __init__(
        self,
        pairs: _Fields,
        minor: int,
        keep_alive: bool,
        upgrade: tuple[bytes, ...],
    ) -> None:
        super().__init__(pairs, upgrade)
        self.minor = minor
        self.keep_alive = keep_alive


def split_field_lines(lines: bytes) -> _Fields:
    """Return names, in lower case, and values, without the whitespace around them, of valid lines."""
    found = FIELDS.findall(lines)
    return tuple([(name.lower(), value.rstrip(WHITESPACE)) for name, value in found])


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
    host, path = host_of(form[1]), form[2]
    if not host:
        # Unlike a Host header, a URI can't go without (RFC 9110, 4.2.1).
        raise RefusedRequest(400, f"malformed authority in the request target: {quoted(target)}")
    return host, path if path.startswith(b"/") else b"/" + path


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
    elif name.rstrip(WHITESPACE) != name:
        what = "whitespace before the colon of a header line"
    else:
        what = "malformed header name"
    return RefusedRequest(400, f"{what}: {quoted(line)}")
