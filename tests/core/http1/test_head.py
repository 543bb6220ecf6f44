"""What a header block says."""

import pytest

from httpng_core.http.request import Headers
from httpng_core.http1.head import HeaderBlock, read_header_block


def block(*lines: bytes, minor: int = 1) -> HeaderBlock:
    return read_header_block(b"".join(line + b"\r\n" for line in (b"Host: x", *lines)), minor, 100)


def test_fields_are_in_order_with_names_in_lower_case() -> None:
    fields = block(b"X-B:2", b"x-a: \t1 \t", b"X-B:", b"A: b: c ", b"obs: \xe9").fields()
    assert fields[1:] == (
        (b"x-b", b"2"),
        (b"x-a", b"1"),
        (b"x-b", b""),
        (b"a", b"b: c"),
        (b"obs", b"\xe9"),
    )


def test_fields_are_split_once() -> None:
    one = block(b"a: b")
    assert one.fields() is one.fields()
    assert Headers(one.fields())["a"] == "b"


def test_a_block_may_be_empty() -> None:
    empty = read_header_block(b"", 0, 0)
    framing = empty.framing
    assert (empty.fields(), empty.count, framing.host, framing.content_length) == ((), 0, "default", -1)
    assert not any([framing.has_body, framing.keep_alive, framing.expects_continue, empty.upgrade])


@pytest.mark.parametrize(
    ("lines", "length", "chunked", "has_body"),
    [
        ((), -1, False, False),
        ((b"content-length: 0",), 0, False, False),
        ((b"Content-LENGTH: 0012",), 12, False, True),
        ((b"transfer-encoding: Chunked",), -1, True, True),
    ],
)
def test_how_the_body_is_delimited(
    lines: tuple[bytes, ...], length: int, chunked: bool, has_body: bool
) -> None:
    one = block(*lines).framing
    assert (one.content_length, one.chunked, one.has_body) == (length, chunked, has_body)


def test_only_whole_names_count() -> None:
    one = block(b"x-content-length: 5", b"connection-x: close", b"a: content-length: 5", b"hosts: y")
    assert (one.framing.host, one.framing.has_body, one.framing.keep_alive) == ("x", False, True)


def test_upgrade_counts_where_connection_names_it() -> None:
    assert block(b"Connection: keep-alive, Upgrade", b"Upgrade: WebSocket, h2c").upgrade == (
        b"websocket",
        b"h2c",
    )
    assert block(b"connection: upgrade", b"upgrade: a", b"upgrade: b").upgrade == (b"a", b"b")
    assert block(b"upgrade: websocket").upgrade == ()
    assert block(b"connection: upgrade", b"upgrade: websocket", minor=0).upgrade == ()
