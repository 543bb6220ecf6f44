"""Response heads and body frames of HTTP/1.1 (RFC 9112): how a response is delimited, and its wire bytes."""

from collections.abc import Callable
from functools import lru_cache
from typing import Final

from httpng_core.http.chunks import CHUNK_END
from httpng_core.http.response import RETRY_AFTER, ResponseHead, status_line
from httpng_core.http.trailers import trailer_lines, wants_trailers
from httpng_core.sending.body import Buffer
from httpng_core.sending.outgoing import Outgoing
from httpng_core.sending.waits import HeadStage
from httpng_core.wire.frame import Frame
from httpng_core.wire.outbound import JOIN_BELOW, Outbound

_BEGUN: Final = HeadStage.BEGUN
LAST_CHUNK: Final = b"0\r\n\r\n"
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_CHUNKED: Final = b"transfer-encoding: chunked\r\n"
_CLOSE: Final = b"connection: close\r\n\r\n"
_KEEP_ALIVE: Final = b"connection: keep-alive\r\n\r\n"


class Framer:
    """Frames the responses of one connection: chunked, by Content-Length, or until the connection closes.

    Attributes:
        keep_alive: whether the connection can go on after this response; final once the head was framed.
            Who begins a response sets it, and the other two to false.
        chunked: whether body bytes are framed as chunks; final once the head was framed.
        until_close: whether only the end of the connection ends the body; final once the head was framed.
    """

    __slots__ = ("_date", "_kept", "_key", "_whole", "chunked", "keep_alive", "until_close")

    def __init__(self, date: Callable[[], bytes | None]) -> None:
        """Make the framer of a connection; `date` gives the value of the Date header."""
        self.keep_alive = False
        self.chunked = False
        self.until_close = False
        self._date = date
        # The last header block that was made, and of what: many a response has the same as the one before.
        self._key: tuple[ResponseHead, bytes | None, int | None, bool, bool, int] | None = None
        self._kept = b""
        self._whole: tuple[ResponseHead, bytes | None, int, int, bytes] | None = None

    def ends_silently(self, exchange: Outgoing) -> bool:
        """Return whether only the end is left to frame, and that has no bytes of its own."""
        return not self.chunked and exchange.head_stage is not _BEGUN and exchange.ends_after(0)

    def fill(self, exchange: Outgoing, outbound: Outbound, limit: int | None, now: float) -> None:
        """Offer the next frames, with at most `limit` body bytes; there is something to frame."""
        head = self.head(exchange) if exchange.head_stage is _BEGUN else b""
        size = outbound.size.frame
        if limit is None and exchange.buffered > size and outbound.size.limit > size:
            self._offer_many(exchange, outbound, head, exchange.frames(outbound.size.limit, size))
            return
        if outbound.is_sealed:
            # The whole is to be one record.
            size = max(size - len(head) - 32, 1)
        if limit is not None:
            size = max(min(size, limit), 1)
        body = exchange.peek(size) if exchange.queue is None else exchange.next_body(size, now)
        self._offer_one(exchange, outbound, head, body, now)

    def _offer_one(
        self, exchange: Outgoing, outbound: Outbound, head: bytes, body: Buffer, now: float
    ) -> None:
        size = len(body)
        ends = exchange.ends_after(size if exchange.offered_follow is None else 0)
        prefix = suffix = b""
        if self.chunked:
            if size:
                prefix, suffix = b"%x\r\n" % size, CHUNK_END
            if ends:
                suffix += last_chunk(exchange) if exchange.trailers else LAST_CHUNK
        elif head and exchange.substitute and exchange.request.method != "HEAD":
            # A body that the server made pays for nothing.
            suffix = exchange.substitute
        frame = Frame(exchange, len(head), len(prefix), size, len(suffix), ends)
        total = frame.size
        if not total:
            assert ends, "there is something to frame"
            outbound.commit_end(frame, now)
        elif total <= JOIN_BELOW:
            outbound.offer([frame], [b"".join((head, prefix, body, suffix))], total)
        else:
            outbound.offer([frame], [part for part in (head + prefix, body, suffix) if part], total)

    def _offer_many(self, exchange: Outgoing, outbound: Outbound, head: bytes, bodies: list[Buffer]) -> None:
        """Offer many frames at once: those that the kernel doesn't begin are taken back."""
        total = sum(map(len, bodies))
        ends = exchange.ends_after(total)
        if not self.chunked:
            frame = Frame(exchange, len(head), 0, total, 0, ends)
            outbound.offer([frame], [head, *bodies] if head else bodies, frame.size)
            return
        frames: list[Frame] = []
        buffers: list[Buffer] = []
        size, last, between = 0, len(bodies) - 1, head
        for number, body in enumerate(bodies):
            length = len(body)
            before = b"%x\r\n" % length
            # What ends a chunk and what begins the next one is one buffer; each frame knows its own part.
            buffers.append(between + before)
            buffers.append(body)
            between = CHUNK_END
            if ends and number == last:
                between += last_chunk(exchange) if exchange.trailers else LAST_CHUNK
            frame = Frame(exchange, len(head), len(before), length, len(between), ends and number == last)
            frames.append(frame)
            size += frame.size
            head = b""
        buffers.append(between)
        outbound.offer(frames, buffers, size)

    def head(self, exchange: Outgoing) -> bytes:
        """Return the header block, and decide how the body will be delimited."""
        head = exchange.head
        assert head is not None
        date = None if head.has_date else self._date()
        key = (head, date, exchange.length, exchange.drops, self.keep_alive, exchange.request.version_minor)
        if key == self._key and not self.chunked and not self.until_close and exchange.length is not None:
            self.keep_alive = self.keep_alive and not head.close
            return self._kept
        framing = self._framing(exchange, head)
        self.keep_alive = self.keep_alive and not head.close
        if exchange.tunnel is not None:
            end = b"\r\n"
        elif not self.keep_alive:
            end = _CLOSE
        elif exchange.request.version_minor == 0:
            end = _KEEP_ALIVE
        else:
            end = b"\r\n"
        self._key = key
        self._kept = b"".join((head.lines, b"" if date is None else date_line(date), framing, end))
        return self._kept

    def whole_head(self, head: ResponseHead, size: int, minor: int) -> bytes:
        """Return the header block of a whole response with `size` body bytes, after which all goes on.

        It is neither one without a body by rule, nor does it close the connection.
        """
        date = None if head.has_date else self._date()
        kept = self._whole
        if kept is not None and kept[0] is head and kept[1] is date and kept[2] == size and kept[3] == minor:
            return kept[4]
        lines = b"".join(
            (
                head.lines,
                b"" if date is None else date_line(date),
                length_line(size),
                b"\r\n" if minor else _KEEP_ALIVE,
            )
        )
        self._whole = head, date, size, minor, lines
        return lines

    def _framing(self, exchange: Outgoing, head: ResponseHead) -> bytes:
        """Decide how the body will be delimited (RFC 9112, 6.3)."""
        length = exchange.length
        self.chunked = self.until_close = False
        if exchange.tunnel is not None:
            self.keep_alive, self.until_close = False, True
            return b""
        if head.status == 205:
            # It has no content, and a client can't know that from the status alone (RFC 9110, 15.3.6).
            length = 0
        if length is not None and head.status != 204:
            return length_line(length)
        if head.bodiless:
            return b""
        if exchange.request.version_minor == 0:
            self.keep_alive = False
            self.until_close = not exchange.drops
            return b""
        self.chunked = not exchange.drops
        return _CHUNKED


def last_chunk(exchange: Outgoing) -> bytes:
    """Return the end of a chunked body, with trailers if the client takes them (RFC 9110, 6.5.1)."""
    if not wants_trailers(exchange.request.headers.get("te")):
        return LAST_CHUNK
    return b"0\r\n" + trailer_lines(exchange.trailers) + b"\r\n"


@lru_cache(maxsize=1024)
def length_line(length: int) -> bytes:
    """Return the header line that declares `length` body bytes."""
    return b"content-length: %d\r\n" % length


@lru_cache(maxsize=4)
def date_line(date: bytes) -> bytes:
    """Return the header line of the time of day."""
    return b"date: %s\r\n" % date


def refusal(status: int, reason: str, date: bytes | None) -> bytes:
    """Return a whole response to a request that can't be served; the connection closes after it."""
    body = reason.encode()
    lines = [status_line(status)]
    if date is not None:
        lines.append(date_line(date))
    lines.append(b"content-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\n" % len(body))
    if status == 503:
        lines.append(b"retry-after: %d\r\n" % RETRY_AFTER)
    lines.append(_CLOSE)
    return b"".join([*lines, body])
