"""The PROXY protocol, versions 1 and 2: what a connection makes of it, however it is cut."""

import struct
from collections.abc import Sequence
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from httpng_core import (
    Address,
    Connection,
    RemoteError,
    Request,
    RequestReceived,
    RequestRefused,
    Settings,
)
from httpng_core.wire import ProxyHeader, read_proxy_header

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
PEER, OURS = Address("10.0.0.1", 1), Address("10.0.0.2", 2)
GET = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"


def version_2(family: int, addresses: bytes, extensions: bytes = b"", command: int = 0x21) -> bytes:
    rest = addresses + extensions
    return SIGNATURE + struct.pack("!BBH", command, family, len(rest)) + rest


def tcp(source: str, target: str, source_port: int, target_port: int) -> bytes:
    packed = ip_address(source).packed + ip_address(target).packed
    return packed + struct.pack("!HH", source_port, target_port)


def tls(*, client: bool) -> bytes:
    value = struct.pack("!BI", 1 if client else 0, 0)
    return b"\x04\0\x01x" + struct.pack("!BH", 0x20, len(value)) + value


V4 = tcp("1.2.3.4", "5.6.7.8", 99, 443)
V6 = tcp("2001:db8::1", "::1", 99, 443)
FOUR = (Address("1.2.3.4", 99), Address("5.6.7.8", 443))
SIX = (Address("2001:db8::1", 99, "AF_INET6"), Address("::1", 443, "AF_INET6"))
UNIX = b"/a".ljust(108, b"\0") + b"/b".ljust(108, b"\0")
GOOD: list[tuple[bytes, tuple[Address, Address], bool]] = [
    (b"PROXY TCP4 1.2.3.4 5.6.7.8 99 443\r\n", FOUR, False),
    (b"PROXY TCP6 2001:db8::1 ::1 99 443\r\n", SIX, False),
    (b"PROXY UNKNOWN\r\n", (PEER, OURS), False),
    (b"PROXY UNKNOWN whatever it says\r\n", (PEER, OURS), False),
    (version_2(0x11, V4), FOUR, False),
    (version_2(0x21, V6), SIX, False),
    (version_2(0x11, V4, tls(client=True)), FOUR, True),
    (version_2(0x11, V4, tls(client=False)), FOUR, False),
    (version_2(0x11, V4, b"\x04\0\x03abc"), FOUR, False),
    (version_2(0x11, V4, command=0x20), (PEER, OURS), False),
    (version_2(0x00, b""), (PEER, OURS), False),
    (version_2(0x12, V4), (PEER, OURS), False),
    (
        version_2(0x31, UNIX),
        (Address("/a", 0, "AF_UNIX", protocol="unix"), Address("/b", 0, "AF_UNIX", protocol="unix")),
        False,
    ),
]
BAD = [
    b"GET / HTTP/1.1\r\n",
    b"\x16\x03\x01",
    b"PROXY\r\n",
    b"PROXY TCP4 1.2.3.4 5.6.7.8 99\r\n",
    b"PROXY TCP4 ::1 5.6.7.8 99 443\r\n",
    b"PROXY TCP4 1.2.3.4 5.6.7.256 99 443\r\n",
    b"PROXY TCP6 2001:::1 ::1 99 443\r\n",
    b"PROXY TCP4 1.2.3.4 5.6.7.8 99 65536\r\n",
    b"PROXY TCP4 1.2.3.4 5.6.7.8 99 443\n",
    b"PROXY TCP4  1.2.3.4 5.6.7.8 99 443\r\n",
    b"PROXY " + b"x" * 101,
    SIGNATURE + b"\x11\x11\0\x0c" + V4,
    SIGNATURE + b"\x22\x11\0\x0c" + V4,
    SIGNATURE + b"\x21\x11\0\x0b" + V4,
    SIGNATURE + b"\x21\x11\xff\xff",
    version_2(0x11, V4, b"\x20\0\xffabc"),
]


def serve(pieces: Sequence[bytes]) -> tuple[Connection, list[Request]]:
    """What a connection makes of these pieces, and the requests that begin."""
    connection = Connection(Settings(), 0.0, peer=PEER, ouraddr=OURS, proxy_protocol=True)
    requests = []
    for piece in pieces:
        connection.receive_data(piece, 0.0)
        while (event := connection.next_event()) is not None:
            if isinstance(event, RequestReceived):
                requests.append(event.exchange.request)
    return connection, requests


@pytest.mark.parametrize(("header", "ends", "https"), GOOD)
def test_the_request_has_what_the_proxy_says(
    header: bytes, ends: tuple[Address, Address], https: bool
) -> None:
    data = header + GET
    cuts = [[data], [header, GET], [data[at : at + 1] for at in range(len(data))]]
    cuts += [[data[:at], data[at:]] for at in range(1, len(header))]
    for pieces in cuts:
        _, (request,) = serve(pieces)
        assert (request.peer, request.ouraddr, request.https) == (*ends, https)


@pytest.mark.parametrize("data", BAD)
def test_a_connection_without_a_header_is_closed_and_told_of(data: bytes) -> None:
    for pieces in ([data], [data[at : at + 1] for at in range(len(data))]):
        connection = Connection(Settings(), 0.0, peer=PEER, proxy_protocol=True)
        told = []
        for piece in pieces:
            connection.receive_data(piece, 0.0)
            while (event := connection.next_event()) is not None:
                told.append(event)
        (refused,) = told
        assert isinstance(refused, RequestRefused)
        assert refused.status == 400
        assert connection.close_expected()
    with pytest.raises(RemoteError):
        read_proxy_header(data)


def test_who_says_nothing_is_given_up() -> None:
    connection, _ = serve([SIGNATURE])
    deadline = connection.next_deadline()
    assert deadline is not None
    connection.handle_timeout(deadline)
    assert connection.close_expected()


@given(
    st.binary(max_size=300), st.sampled_from([b"", b"PROXY ", b"PROXY TCP4 ", SIGNATURE, SIGNATURE + b"\x21"])
)
def test_whatever_comes_it_is_a_header_or_none_or_not_whole(data: bytes, begin: bytes) -> None:
    data = begin + data
    try:
        found = read_proxy_header(data)
    except RemoteError:
        # What is wrong stays wrong.
        with pytest.raises(RemoteError):
            read_proxy_header(data + b"x")
        return
    if found is None:
        assert len(data) < 16 + 4096
    else:
        assert isinstance(found, ProxyHeader)
        assert 0 < found.size <= len(data)
        # What follows changes nothing, and nothing less would have been enough.
        assert read_proxy_header(data[: found.size] + b"more") == found
        assert read_proxy_header(data[: found.size - 1]) is None
