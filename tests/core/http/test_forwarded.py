"""Who the client is behind trusted proxies, by X-Forwarded-* or Forwarded."""

from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from httpng_core import Address, Application, ConfigError, Headers, Request, client_of, parse_settings
from httpng_core.http import Networks, apply_forwarded
from httpng_core.testing import Loopback

TRUSTED = "10.0.0.0/8, ::1, 127.0.0.1, 192.0.2.1"


def told(*fields: tuple[str, str], http2: bool = False, **settings: Any) -> tuple[str, int, bool, str]:
    """What the handler is told of the client, by the proxy 192.0.2.1: address, port, https and host."""
    found: list[Request] = []

    def handler(req: Request) -> str:
        found.append(req)
        return ""

    loop = Loopback(Application(handler, **{"trusted_proxies": TRUSTED, **settings}))
    if http2:
        loop.connect_http2().request("/", headers=fields)
    else:
        loop.connect().get("/", headers=fields)
    (req,) = found
    return req.peer.host, req.peer.port, req.https, req.host


def networks(text: str) -> Networks:
    found = parse_settings({"trusted_proxies": text}).trusted_proxies
    assert found is not None
    return found


def x_for(*values: str) -> list[tuple[str, str]]:
    return [("X-Forwarded-For", value) for value in values]


@pytest.mark.parametrize(
    ("values", "host", "port"),
    [
        ((), "192.0.2.1", 50000),
        (("1.2.3.4",), "1.2.3.4", 0),
        (("1.2.3.4:567",), "1.2.3.4", 567),
        (("6.6.6.6, 1.2.3.4",), "1.2.3.4", 0),
        (("6.6.6.6, 1.2.3.4, 10.0.0.2",), "1.2.3.4", 0),
        (("6.6.6.6", "1.2.3.4", "10.0.0.2,10.0.0.3"), "1.2.3.4", 0),
        (("10.0.0.3, 10.0.0.2",), "10.0.0.3", 0),
        (("[2001:db8::1]:80",), "2001:db8::1", 80),
        (("2001:DB8::1",), "2001:db8::1", 0),
        (("::ffff:1.2.3.4",), "1.2.3.4", 0),
        (("unknown",), "192.0.2.1", 50000),
        (("1.2.3.4, unknown, 10.0.0.2",), "10.0.0.2", 0),
        (("1.2.3.4, junk <>",), "192.0.2.1", 50000),
        (("1.2.3.4, 999.1.1.1",), "192.0.2.1", 50000),
        (("1.2.3.4:99999",), "1.2.3.4", 0),
        ((",, ,",), "192.0.2.1", 50000),
    ],
)
@pytest.mark.parametrize("http2", [False, True])
def test_the_last_from_the_right_that_is_not_trusted(
    values: tuple[str, ...], host: str, port: int, http2: bool
) -> None:
    assert told(*x_for(*values), http2=http2)[:2] == (host, port)


@pytest.mark.parametrize("header", ["x-forwarded", "forwarded"])
def test_nothing_is_taken_from_whom_nobody_trusts(header: str) -> None:
    fields = [*x_for("1.2.3.4"), ("X-Forwarded-Proto", "https"), ("Forwarded", "for=1.2.3.4;proto=https")]
    for trusted in (None, "192.0.2.2"):
        found = told(*fields, trusted_proxies=trusted, forwarded_header=header)
        assert found[:3] == ("192.0.2.1", 50000, False)


def test_a_peer_of_a_unix_socket_counts_as_127_0_0_1() -> None:
    peer = Address("", 0, "AF_UNIX", protocol="unix")
    for trusted, host in (("127.0.0.1", "1.2.3.4"), ("10.0.0.1", "")):
        headers = Headers([(b"x-forwarded-for", b"1.2.3.4")])
        req = Request(method="GET", path="/", headers=headers, peer=peer)
        apply_forwarded(req, networks(trusted), "x-forwarded")
        assert req.peer.host == host


def test_scheme_and_host() -> None:
    fields = x_for("1.2.3.4")
    found = told(*fields, ("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "a.example:8443"))
    assert found == ("1.2.3.4", 0, True, "a.example")
    assert told(("X-Forwarded-Proto", "http, WSS"))[2] is True
    assert told(("X-Forwarded-Proto", "gopher"))[2] is False
    assert told(("X-Forwarded-Host", "a b/c"))[3] != "a b/c"
    assert told(("X-Forwarded-Host", "spoofed, b.example"))[3] == "b.example"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("for=1.2.3.4", ("1.2.3.4", 0, False)),
        ('For="[2001:db8::1]:80"; Proto=HTTPS', ("2001:db8::1", 80, True)),
        ("for=6.6.6.6;proto=https, for=1.2.3.4;proto=http", ("1.2.3.4", 0, False)),
        ("for=1.2.3.4;proto=https;by=x, for=10.0.0.2;proto=http", ("1.2.3.4", 0, True)),
        ("proto=https", ("192.0.2.1", 50000, True)),
        ("for=_hidden", ("192.0.2.1", 50000, False)),
        ("for=unknown, for=10.0.0.2", ("10.0.0.2", 0, False)),
        ('for="1.2.3.4', ("192.0.2.1", 50000, False)),
        ('for=", for=1.2.3.4', ("192.0.2.1", 50000, False)),
        ("for=1.2.3.4;for=6.6.6.6", ("192.0.2.1", 50000, False)),
        ("for = 1.2.3.4", ("192.0.2.1", 50000, False)),
        (" " * 30_000 + "@", ("192.0.2.1", 50000, False)),
    ],
)
def test_forwarded(value: str, expected: tuple[str, int, bool]) -> None:
    assert told(("Forwarded", value), *x_for("6.6.6.6"), forwarded_header="forwarded")[:3] == expected


def test_the_host_of_forwarded() -> None:
    found = told(("Forwarded", 'for=1.2.3.4;host="a.example:1"'), forwarded_header="forwarded")
    assert found[3] == "a.example"


@given(
    st.lists(st.text(st.characters(codec="latin-1", exclude_characters="\r\n\0"), max_size=60), max_size=4),
    st.sampled_from(["x-forwarded", "forwarded"]),
)
def test_whatever_it_says_the_request_is_served(values: list[str], header: str) -> None:
    name = b"forwarded" if header == "forwarded" else b"x-forwarded-for"
    pairs = [(name, value.encode("latin-1")) for value in values]
    pairs += [(b"x-forwarded-host", value.encode("latin-1")) for value in values]
    req = Request(method="GET", path="/", headers=Headers(pairs), peer=Address("10.0.0.1", 1))
    apply_forwarded(req, networks(TRUSTED), header)
    assert req.peer.family in ("AF_INET", "AF_INET6")
    assert req.host


@pytest.mark.parametrize("value", ["*", ["10.0.0.0/8"], "10.0.0.1,::1", ["10.0.0.1, ::1"], []])
def test_the_forms(value: object) -> None:
    assert parse_settings({"trusted_proxies": value}).trusted_proxies is not None


@pytest.mark.parametrize("value", ["10.0.0.1/8", "localhost", [5], "10.0.0.1,"])
def test_what_is_no_network(value: object) -> None:
    with pytest.raises(ConfigError, match=r"^trusted_proxies: .* is neither an address nor a network"):
        parse_settings({"trusted_proxies": value})


@pytest.mark.parametrize(
    ("host", "family", "client"),
    [
        ("192.0.2.7", "AF_INET", "192.0.2.7"),
        ("2001:db8:1:2:3::4", "AF_INET6", "2001:0db8:0001:0002/64"),
        ("fe80::1%eth0", "AF_INET6", "fe80:0000:0000:0000/64"),
        ("::ffff:192.0.2.7", "AF_INET6", "192.0.2.7"),
        ("192.0.2.7", "AF_INET6", "192.0.2.7"),
        ("no address", "AF_INET6", "no address"),
        ("no address", "AF_INET", "no address"),
        ("/run/x", "AF_UNIX", ""),
        ("10.1.2.3", "AF_INET", ""),
        ("::ffff:10.1.2.3", "AF_INET6", ""),
    ],
)
def test_what_the_connections_of_one_client_have_in_common(
    host: str, family: Literal["AF_INET", "AF_INET6", "AF_UNIX"], client: str
) -> None:
    assert client_of(Address(host, 1, family), networks(TRUSTED)) == client


def test_without_proxies_every_address_is_a_client() -> None:
    assert client_of(Address("10.1.2.3", 1), None) == "10.1.2.3"
