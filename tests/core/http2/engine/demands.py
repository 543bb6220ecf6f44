"""What RFC 9113 and RFC 7541 demand of a server, a line each: what a client sends, and what becomes of it.

The cases are those of a well-known conformance suite, section by section, in words of ours.
"""

from collections.abc import Callable
from struct import pack

from tests.core.http2.engine.driving import (
    GET,
    POST,
    Driven,
    Fields,
    data,
    frame,
    rst,
    settings,
    window_update,
)

from httpng_core.http2.engine import (
    COMPRESSION_ERROR,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    PROTOCOL_ERROR,
    STREAM_CLOSED,
    frames,
)

Act = Callable[[Driven], bytes]
PING = frame(frames.PING, 0, 0, b"12345678")
PRIORITY_ON_IDLE = frame(frames.PRIORITY, 0, 5, pack(">LB", 3, 15))
BIG = b"x" * 16385


def block(driven: Driven, fields: Fields = GET) -> bytes:
    return driven.block(fields)


def raw(header_block: bytes, flags: int = 5, stream_id: int = 1) -> bytes:
    return frame(frames.HEADERS, flags, stream_id, header_block)


def opened(driven: Driven) -> bytes:
    return driven.headers(1, POST, end=False)


def whole(driven: Driven) -> bytes:
    return driven.headers(1)


def closed(driven: Driven) -> bytes:
    """A request that was answered."""
    driven.request(1)
    driven.respond(1)
    return b""


def was_reset(driven: Driven) -> bytes:
    return opened(driven) + rst(1)


def with_field(*fields: tuple[bytes, bytes]) -> Act:
    return lambda driven: driven.headers(1, (*GET, *fields))


def without(name: bytes) -> Act:
    return lambda driven: driven.headers(1, tuple(field for field in GET if field[0] != name))


def twice(name: bytes) -> Act:
    return lambda driven: driven.headers(1, (*(field for field in GET if field[0] == name), *GET))


def after(first: Act, wire: bytes) -> Act:
    return lambda driven: first(driven) + wire


def always(wire: bytes) -> Act:
    return lambda driven: wire


def in_parts(count: int) -> Act:
    def act(driven: Driven) -> bytes:
        text = block(driven)
        wire = raw(text[:1], 1)
        for at in range(1, count):
            wire += frame(frames.CONTINUATION, 0, 1, text[at : at + 1])
        return wire + frame(frames.CONTINUATION, 4, 1, text[count:])

    return act


def priority_flags(weight: int, depends_on: int) -> Act:
    return lambda driven: raw(pack(">LB", depends_on, weight) + block(driven), 0x25)


def priority(stream_id: int, weight: int, depends_on: int) -> bytes:
    return frame(frames.PRIORITY, 0, stream_id, pack(">LB", depends_on, weight))


# What is to be accepted: the request begins, or the connection at least goes on ------------------------

REQUESTS: dict[str, Act] = {
    "a request without a body": whole,
    "a request with a body": after(opened, data(1, b"a", end=True)),
    "a body in several frames": after(opened, data(1, b"a") + data(1, b"b") + data(1, end=True)),
    "a padded body": after(opened, frame(frames.DATA, 9, 1, b"\3abc\0\0\0")),
    "a padded header block": lambda driven: raw(b"\2" + block(driven) + b"\0\0", 0x0D),
    "headers with a priority": priority_flags(255, 0),
    "headers that depend exclusively on another stream": priority_flags(0, 0x80000003),
    "headers that are padded and have a priority": lambda driven: raw(
        b"\1" + bytes(5) + block(driven) + b"\0", 0x2D
    ),
    "a HEAD request": lambda driven: driven.headers(1, ((b":method", b"HEAD"), *GET[1:])),
    "a body and trailers": lambda driven: (
        opened(driven) + data(1, b"a") + driven.headers(1, ((b"x-end", b"1"),))
    ),
    "one CONTINUATION": in_parts(1),
    "several CONTINUATION frames": in_parts(3),
    "a frame of a type that we don't know before it": lambda driven: frame(0xFF, 0, 0, b"x") + whole(driven),
    "flags that we don't know": lambda driven: raw(block(driven), 0x05 | 0xD2),
    "the reserved bit of the stream identifier": lambda driven: raw(block(driven), 5, 0x80000001),
    "a body of the longest frame": after(opened, data(1, b"x" * 16384, end=True)),
    "PRIORITY ahead of its stream": lambda driven: PRIORITY_ON_IDLE + whole(driven),
    "PRIORITY of weight 1": lambda driven: priority(1, 0, 0) + whole(driven),
    "PRIORITY of weight 256": lambda driven: priority(1, 255, 0) + whole(driven),
    "PRIORITY that depends on another stream": lambda driven: priority(1, 255, 3) + whole(driven),
    "PRIORITY that depends on it exclusively": lambda driven: priority(1, 9, 0x80000003) + whole(driven),
    "PRIORITY on a stream that is open": after(opened, priority(1, 255, 3) + data(1, b"a", end=True)),
    "PRIORITY on a stream that is half closed": after(whole, frame(frames.PRIORITY, 0, 1, bytes(5))),
    "WINDOW_UPDATE on a stream that is half closed": after(whole, window_update(1, 1)),
    "te: trailers": with_field((b"te", b"trailers")),
    "a content-length that is true": lambda driven: (
        driven.headers(1, (*POST, (b"content-length", b"2")), end=False) + data(1, b"ab", end=True)
    ),
}
PSEUDO = b"\x82\x86\x84\x41\x01x"
"""A whole request, its `:authority` put into the table."""
HPACK: dict[str, bytes] = {
    "fields of the static table": PSEUDO,
    "a literal put into the table, its name from there": PSEUDO + b"\x7a\x01b",
    "a literal put into the table, its name from there, in Huffman code": PSEUDO + b"\x7a\x81\x1f",
    "a literal put into the table": PSEUDO + b"\x40\x01a\x01b",
    "a literal put into the table, in Huffman code": PSEUDO + b"\x40\x81\x1f\x81\x1f",
    "a literal that isn't, its name from the table": PSEUDO + b"\x0f\x2b\x01b",
    "a literal that isn't, its name from the table, in Huffman code": PSEUDO + b"\x0f\x2b\x81\x1f",
    "a literal that isn't": PSEUDO + b"\x00\x01a\x01b",
    "a literal that isn't, in Huffman code": PSEUDO + b"\x00\x81\x1f\x81\x1f",
    "a literal that never is, its name from the table": PSEUDO + b"\x1f\x2b\x01b",
    "a literal that never is, its name from the table, in Huffman code": PSEUDO + b"\x1f\x2b\x81\x1f",
    "a literal that never is": PSEUDO + b"\x10\x01a\x01b",
    "a literal that never is, in Huffman code": PSEUDO + b"\x10\x81\x1f\x81\x1f",
    "pseudo-headers that are literals": b"\x82\x86\x84\x01\x01x",
    "pseudo-headers that never are put into the table": b"\x82\x86\x84\x11\x01x",
    "a long string in Huffman code": b"\x82\x86\x84\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff",
    "a literal put into the table, then its index": PSEUDO + b"\x40\x01a\x01b\xbe",
    "a change of the size of the table": b"\x20" + PSEUDO,
    "two changes of the size of the table": b"\x20\x3f\xe1\x1f" + PSEUDO,
}
REQUESTS |= {name: always(raw(text)) for name, text in HPACK.items()}


HARMLESS: dict[str, Act] = {
    "a frame of a type that we don't know": always(frame(0xFE, 0xFF, 0, b"x" * 100)),
    "such a frame on a stream that is idle": always(frame(0xFE, 0xFF, 9, b"")),
    "a PING with flags that we don't know": always(frame(frames.PING, 0xFE, 0, bytes(8))),
    "settings that we don't know": always(settings((0xFF, 1), (0xFFFF, 1 << 31))),
    "settings without entries": always(settings()),
    "an acknowledgement of settings": always(frames.SETTINGS_ACK),
    "an acknowledgement of a PING that wasn't": always(frame(frames.PING, frames.ACK, 0, bytes(8))),
    "WINDOW_UPDATE of the connection": always(window_update(0, 100)),
    "PRIORITY on a stream that is idle": always(PRIORITY_ON_IDLE),
    "GOAWAY with a code that we don't know": always(frame(frames.GOAWAY, 0, 0, pack(">LL", 0, 0xFF))),
    "GOAWAY without an error": always(frame(frames.GOAWAY, 0, 0, bytes(8))),
    "a PING with the reserved bit": always(frame(frames.PING, 0, 0x80000000, bytes(8))),
    "RST_STREAM on a stream that is open": after(opened, rst(1)),
    "RST_STREAM on a stream that is half closed": after(whole, rst(1)),
    "RST_STREAM with a code that we don't know": after(whole, rst(1, 0xFF)),
    "WINDOW_UPDATE on a stream that is closed": after(closed, window_update(1, 100)),
    "RST_STREAM on a stream that is closed": after(closed, rst(1)),
    "PRIORITY on a stream that is closed": after(closed, frame(frames.PRIORITY, 0, 1, bytes(5))),
    "RST_STREAM a second time": after(was_reset, rst(1)),
}


# What is an error of the connection ---------------------------------------------------------------------

CONNECTION: dict[str, tuple[Act, int]] = {
    # RFC 9113, 4: frames.
    "DATA that is too long": (after(opened, data(1, BIG)), FRAME_SIZE_ERROR),
    "HEADERS that are too long": (always(raw(BIG)), FRAME_SIZE_ERROR),
    "a frame of an unknown type that is too long": (always(frame(0xFF, 0, 0, BIG)), FRAME_SIZE_ERROR),
    "a header block that can't be decoded": (always(raw(b"\x40")), COMPRESSION_ERROR),
    "PRIORITY within a header block": (always(raw(b"\x82", 1) + PRIORITY_ON_IDLE), PROTOCOL_ERROR),
    "HEADERS of another stream within a header block": (
        always(raw(b"\x82", 1) + raw(b"\x82", 5, 3)),
        PROTOCOL_ERROR,
    ),
    "an unknown frame within a header block": (always(raw(b"\x82", 1) + frame(0xFF)), PROTOCOL_ERROR),
    # 5.1: states of streams.
    "DATA on a stream that is idle": (always(data(1, b"x")), PROTOCOL_ERROR),
    "RST_STREAM on a stream that is idle": (always(rst(1)), PROTOCOL_ERROR),
    "WINDOW_UPDATE on a stream that is idle": (always(window_update(1, 100)), PROTOCOL_ERROR),
    "CONTINUATION on a stream that is idle": (always(frame(9, 4, 1, b"\x82")), PROTOCOL_ERROR),
    "CONTINUATION on a stream that is half closed": (after(whole, frame(9, 4, 1, b"\x82")), PROTOCOL_ERROR),
    "CONTINUATION on a stream that was reset": (after(was_reset, frame(9, 4, 1, b"\x82")), PROTOCOL_ERROR),
    "CONTINUATION on a stream that is closed": (after(closed, frame(9, 4, 1, b"\x82")), PROTOCOL_ERROR),
    "DATA on a stream that is closed": (after(closed, data(1, b"x")), STREAM_CLOSED),
    "HEADERS on a stream that is closed": (after(closed, raw(b"\x82")), STREAM_CLOSED),
    "DATA on a stream of ours": (after(opened, data(2, b"x")), PROTOCOL_ERROR),
    "a stream with an even number": (lambda driven: driven.headers(2), PROTOCOL_ERROR),
    "a stream with a smaller number than one before": (
        lambda driven: driven.headers(5) + driven.headers(3),
        PROTOCOL_ERROR,
    ),
    # 6: the types of frames.
    "DATA on stream 0": (always(data(0, b"x")), PROTOCOL_ERROR),
    "DATA with too much padding": (after(opened, frame(0, 8, 1, b"\4abc")), PROTOCOL_ERROR),
    "HEADERS on stream 0": (always(raw(b"\x82", 5, 0)), PROTOCOL_ERROR),
    "HEADERS with too much padding": (always(raw(b"\4abc", 0x0D)), PROTOCOL_ERROR),
    "PRIORITY on stream 0": (always(frame(2, 0, 0, bytes(5))), PROTOCOL_ERROR),
    "PRIORITY of the wrong size, on a stream that is idle": (
        always(frame(2, 0, 1, bytes(4))),
        FRAME_SIZE_ERROR,
    ),
    "RST_STREAM on stream 0": (always(rst(0)), PROTOCOL_ERROR),
    "RST_STREAM of the wrong size": (after(whole, frame(3, 0, 1, bytes(3))), FRAME_SIZE_ERROR),
    "an acknowledgement of settings with a payload": (always(frame(4, 1, 0, bytes(6))), FRAME_SIZE_ERROR),
    "SETTINGS on a stream": (always(frame(4, 0, 1, b"")), PROTOCOL_ERROR),
    "SETTINGS of the wrong size": (always(frame(4, 0, 0, bytes(3))), FRAME_SIZE_ERROR),
    "ENABLE_PUSH that is neither 0 nor 1": (always(settings((2, 2))), PROTOCOL_ERROR),
    "INITIAL_WINDOW_SIZE that is too large": (always(settings((4, 1 << 31))), FLOW_CONTROL_ERROR),
    "MAX_FRAME_SIZE that is too small": (always(settings((5, 16383))), PROTOCOL_ERROR),
    "MAX_FRAME_SIZE that is too large": (always(settings((5, 1 << 24))), PROTOCOL_ERROR),
    "ENABLE_CONNECT_PROTOCOL that is neither 0 nor 1": (always(settings((8, 2))), PROTOCOL_ERROR),
    "NO_RFC7540_PRIORITIES that is neither 0 nor 1": (always(settings((9, 2))), PROTOCOL_ERROR),
    "PUSH_PROMISE": (after(opened, frame(5, 4, 1, pack(">L", 2) + b"\x82")), PROTOCOL_ERROR),
    "PING on a stream": (always(frame(6, 0, 1, bytes(8))), PROTOCOL_ERROR),
    "PING of the wrong size": (always(frame(6, 0, 0, bytes(6))), FRAME_SIZE_ERROR),
    "GOAWAY on a stream": (always(frame(7, 0, 1, bytes(8))), PROTOCOL_ERROR),
    "GOAWAY of the wrong size": (always(frame(7, 0, 0, bytes(7))), FRAME_SIZE_ERROR),
    "a window of the connection that grows by nothing": (always(window_update(0, 0)), PROTOCOL_ERROR),
    "WINDOW_UPDATE of the wrong size": (always(frame(8, 0, 0, bytes(3))), FRAME_SIZE_ERROR),
    "a window of the connection that is too large": (
        always(window_update(0, (1 << 31) - 1)),
        FLOW_CONTROL_ERROR,
    ),
    "settings that make the window of a stream too large": (
        after(whole, window_update(1, (1 << 31) - 65536) + settings((4, 65536))),
        FLOW_CONTROL_ERROR,
    ),
    "a window of the connection that grows too large in steps": (
        always(window_update(0, 1 << 30) * 2),
        FLOW_CONTROL_ERROR,
    ),
    "CONTINUATION after a header block that is whole": (after(whole, frame(9, 4, 1, b"")), PROTOCOL_ERROR),
    "CONTINUATION on stream 0": (always(raw(b"\x82", 1) + frame(9, 4, 0, b"")), PROTOCOL_ERROR),
    "CONTINUATION on another stream": (always(raw(b"\x82", 1) + frame(9, 4, 3, b"")), PROTOCOL_ERROR),
    "CONTINUATION twice after the end": (
        lambda driven: in_parts(2)(driven) + frame(9, 4, 1, b""),
        PROTOCOL_ERROR,
    ),
    "CONTINUATION after DATA": (after(opened, data(1, b"x") + frame(9, 4, 1, b"")), PROTOCOL_ERROR),
    "DATA after a CONTINUATION that isn't the last": (
        always(raw(b"\x82", 1) + frame(9, 0, 1, b"\x86") + data(1, b"x")),
        PROTOCOL_ERROR,
    ),
    "PRIORITY_UPDATE on a stream": (always(frame(0x10, 0, 1, bytes(4))), PROTOCOL_ERROR),
    "PRIORITY_UPDATE of no stream": (always(frame(0x10, 0, 0, bytes(4))), PROTOCOL_ERROR),
    "PRIORITY_UPDATE that is too short": (always(frame(0x10, 0, 0, bytes(3))), FRAME_SIZE_ERROR),
    "PRIORITY of an idle stream on itself": (always(frame(2, 0, 1, b"\0\0\0\1\0")), PROTOCOL_ERROR),
    # RFC 7541.
    "an index that there isn't": (always(raw(b"\x82\xff\x05")), COMPRESSION_ERROR),
    "an index of 0": (always(raw(b"\x80")), COMPRESSION_ERROR),
    "a literal whose name has an index that there isn't": (
        always(raw(b"\x82\x7e\x01a")),
        COMPRESSION_ERROR,
    ),
    "a change of the table at the end of a block": (always(raw(b"\x82\x20")), COMPRESSION_ERROR),
    "a table that is larger than we allow": (always(raw(b"\x3f\xe2\x1f")), COMPRESSION_ERROR),
    "Huffman code with 8 bits of padding": (always(raw(b"\x00\x01a\x83\x1d\x1f\xff\xff")), COMPRESSION_ERROR),
    "Huffman code padded with zeros": (always(raw(b"\x00\x01a\x81\x18")), COMPRESSION_ERROR),
    "Huffman code with the end of string": (
        always(raw(b"\x00\x01a\x84\xff\xff\xff\xff")),
        COMPRESSION_ERROR,
    ),
    "trailers that can't be decoded": (after(opened, raw(b"\x80")), COMPRESSION_ERROR),
    "a block on a stream that was reset that can't be decoded": (
        after(was_reset, raw(b"\x80")),
        COMPRESSION_ERROR,
    ),
}


# What is an error of one stream -------------------------------------------------------------------------

PSEUDO_AFTER = (*GET[:3], (b"a", b"b"), GET[3])
STREAM: dict[str, tuple[Act, int]] = {
    "DATA on a stream that is half closed": (after(whole, data(1, b"x")), STREAM_CLOSED),
    "HEADERS on a stream that is half closed": (after(whole, raw(b"\x82")), STREAM_CLOSED),
    "DATA on a stream that was reset": (after(was_reset, data(1, b"x")), STREAM_CLOSED),
    "HEADERS on a stream that was reset": (after(was_reset, raw(b"\x82")), STREAM_CLOSED),
    "HEADERS that depend on themselves": (priority_flags(0, 1), PROTOCOL_ERROR),
    "PRIORITY of a stream on itself": (after(whole, frame(2, 0, 1, b"\0\0\0\1\0")), PROTOCOL_ERROR),
    "PRIORITY of the wrong size": (after(whole, frame(2, 0, 1, bytes(4))), FRAME_SIZE_ERROR),
    "a window that grows by nothing": (after(whole, window_update(1, 0)), PROTOCOL_ERROR),
    "a window that is too large": (after(whole, window_update(1, (1 << 31) - 1)), FLOW_CONTROL_ERROR),
    "a window that grows too large in steps": (
        after(whole, window_update(1, 1 << 30) * 2),
        FLOW_CONTROL_ERROR,
    ),
    "trailers that don't end the request": (after(opened, raw(b"\x00\x01a\x01b", 4)), PROTOCOL_ERROR),
    "trailers with a pseudo-header": (after(opened, raw(b"\x82")), PROTOCOL_ERROR),
    "a name in capitals": (with_field((b"X-A", b"b")), PROTOCOL_ERROR),
    "a pseudo-header that we don't know": (
        lambda driven: driven.headers(1, (*GET, (b":test", b"x"))),
        PROTOCOL_ERROR,
    ),
    "a pseudo-header of responses": (
        lambda driven: driven.headers(1, (*GET, (b":status", b"200"))),
        PROTOCOL_ERROR,
    ),
    "a pseudo-header after other fields": (lambda driven: driven.headers(1, PSEUDO_AFTER), PROTOCOL_ERROR),
    "connection": (with_field((b"connection", b"keep-alive")), PROTOCOL_ERROR),
    "te that isn't trailers": (with_field((b"te", b"trailers, deflate")), PROTOCOL_ERROR),
    "an empty :path": (lambda driven: driven.headers(1, (*GET[:3], (b":path", b""))), PROTOCOL_ERROR),
    "no :method": (without(b":method"), PROTOCOL_ERROR),
    "no :scheme": (without(b":scheme"), PROTOCOL_ERROR),
    "no :path": (without(b":path"), PROTOCOL_ERROR),
    ":method twice": (twice(b":method"), PROTOCOL_ERROR),
    ":scheme twice": (twice(b":scheme"), PROTOCOL_ERROR),
    ":path twice": (twice(b":path"), PROTOCOL_ERROR),
    "a Host that isn't :authority": (with_field((b"host", b"other")), PROTOCOL_ERROR),
    "a body shorter than content-length says": (
        lambda driven: (
            driven.headers(1, (*POST, (b"content-length", b"2")), end=False) + data(1, b"a", end=True)
        ),
        PROTOCOL_ERROR,
    ),
    "a body longer than content-length says": (
        lambda driven: (
            driven.headers(1, (*POST, (b"content-length", b"1")), end=False) + data(1, b"a") + data(1, b"b")
        ),
        PROTOCOL_ERROR,
    ),
    "trailers before content-length is reached": (
        lambda driven: (
            driven.headers(1, (*POST, (b"content-length", b"1")), end=False)
            + driven.headers(1, ((b"a", b"b"),))
        ),
        PROTOCOL_ERROR,
    ),
    "a content-length without a body": (with_field((b"content-length", b"1")), PROTOCOL_ERROR),
    "extended CONNECT that wasn't announced": (
        lambda driven: driven.headers(
            1, ((b":method", b"CONNECT"), *GET[1:], (b":protocol", b"websocket")), end=False
        ),
        PROTOCOL_ERROR,
    ),
}
