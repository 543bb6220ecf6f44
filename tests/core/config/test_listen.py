"""What each form of listen stands for, and the text for each that stands for nothing."""

import pytest

from httpng_core import ConfigError
from httpng_core.config import (
    LUA_DEFAULT_LISTEN,
    PYTHON_DEFAULT_LISTEN,
    CertificateFiles,
    ListenAddress,
    TlsFiles,
    parse_listen,
)

ONE_LABEL = "a" * 63
PAIR = {"certificate_file": "c", "certificate_key_file": "k"}
FILES = TlsFiles((CertificateFiles("c", "k"),))
HTTPS_AS_TEXT = "listen on https: TLS needs a table {addr, port, tls}, for its certificates"
OCTAL = "'mode' must be a string of octal digits such as '660'"
TOO_MANY = "'uses_sni' can't be false or nil if there're certificates more than 1"

GOOD: list[tuple[object, list[tuple[str, int]]]] = [
    (8080, [("0.0.0.0", 8080), ("::", 8080)]),
    (0, [("0.0.0.0", 0), ("::", 0)]),
    (65535, [("0.0.0.0", 65535), ("::", 65535)]),
    ("8080", [("0.0.0.0", 8080), ("::", 8080)]),
    ("0", [("0.0.0.0", 0), ("::", 0)]),
    (":8080", [("0.0.0.0", 8080), ("::", 8080)]),
    ("http", [("0.0.0.0", 80), ("::", 80)]),
    ("127.0.0.1:8080", [("127.0.0.1", 8080)]),
    ("127.0.0.1:0", [("127.0.0.1", 0)]),
    ("127.0.0.1:65535", [("127.0.0.1", 65535)]),
    ("127.0.0.1:" + "0" * 5000 + "80", [("127.0.0.1", 80)]),
    ("127.0.0.1", [("127.0.0.1", 3300)]),
    ("[::1]:8080", [("::1", 8080)]),
    ("[0:0::1]:8080", [("::1", 8080)]),
    ("[::]:8080", [("::", 8080)]),
    ("[::1]", [("::1", 3300)]),
    ("localhost:8080", [("localhost", 8080)]),
    ("LocalHost:8080", [("localhost", 8080)]),
    ("localhost", [("localhost", 3300)]),
    ("a_b-c.example.:80", [("a_b-c.example.", 80)]),
    (f"{ONE_LABEL}.b:80", [(f"{ONE_LABEL}.b", 80)]),
    ("http://127.0.0.1:8080", [("127.0.0.1", 8080)]),
    ("HTTP://127.0.0.1:8080", [("127.0.0.1", 8080)]),
    ("http://[::1]:8080/", [("::1", 8080)]),
    ("http://localhost", [("localhost", 80)]),
    ("http://localhost:8080/any?thing", [("localhost", 8080)]),
    ("http://:8080", [("0.0.0.0", 8080), ("::", 8080)]),
    (["127.0.0.1:80", "[::1]:80"], [("127.0.0.1", 80), ("::1", 80)]),
    (("127.0.0.1:80", 81), [("127.0.0.1", 80), ("0.0.0.0", 81), ("::", 81)]),
    (["127.0.0.1:0", "127.0.0.1:0"], [("127.0.0.1", 0), ("127.0.0.1", 0)]),
    (["127.0.0.1:80", "127.0.0.1:81"], [("127.0.0.1", 80), ("127.0.0.1", 81)]),
    ({}, [("0.0.0.0", 3300), ("::", 3300)]),
    ([[]], [("0.0.0.0", 3300), ("::", 3300)]),
    ({"port": 80}, [("0.0.0.0", 80), ("::", 80)]),
    ({"port": "080"}, [("0.0.0.0", 80), ("::", 80)]),
    ({"addr": "127.0.0.1"}, [("127.0.0.1", 3300)]),
    ({"addr": "0::1", "port": 80, "tls": False, "uses_sni": True}, [("::1", 80)]),
    ([{"port": 80}, "127.0.0.1:81"], [("0.0.0.0", 80), ("::", 80), ("127.0.0.1", 81)]),
]

UNPARSABLE = [
    "",
    ":",
    "localhost:",
    "localhost:eighty",
    "localhost:-1",
    "localhost:80:80",
    "localhost:80/path",
    "localhost:٨٠",
    "::1",
    "[::1",
    "[]:80",
    "[::1]80",
    "[::g]:80",
    "[127.0.0.1]:80",
    "127.0.0.256:80",
    "127.1:80",
    "1.2.3:80",
    "a..b:80",
    ".:80",
    f"{ONE_LABEL}a.b:80",
    "user@localhost:80",
    "local host:80",
    "localhost:80\n",
    "bücher:80",
    "http://",
    "http:///path",
    "http://8080",
    "http://localhost?query",
]

BAD: list[tuple[object, str]] = [
    *((text, "impossible to parse URI") for text in UNPARSABLE),
    (-1, "invalid port specified"),
    (65536, "invalid port specified"),
    ("65536", "invalid port specified"),
    (":65536", "invalid port specified"),
    ("127.0.0.1:65536", "invalid port specified"),
    ("[::1]:65536", "invalid port specified"),
    ("http://localhost:65536", "invalid port specified"),
    ("localhost:" + "9" * 5000, "invalid port specified"),
    (8080.0, "port must be an integer, not float"),
    (80.5, "port must be an integer, not float"),
    (["127.0.0.1:80", 80.0], "port must be an integer, not float"),
    ("ftp://localhost:80", "unknown protocol specified"),
    ("://localhost:80", "unknown protocol specified"),
    ("https", HTTPS_AS_TEXT),
    ("HTTPS://localhost:443", HTTPS_AS_TEXT),
    ("unix:", "impossible to parse URI"),
    ("unix:/a\0b", "impossible to parse URI"),
    (["unix:/a", {"addr": "unix:/a"}], "Duplicate listeners for unix:/a found"),
    ({"addr": 5}, "'addr' must be a string"),
    ({"addr": "localhost"}, "'addr' must be an IPv4 or IPv6 address, or unix:PATH, not 'localhost'"),
    ({"addr": "[::1]"}, "'addr' must be an IPv4 or IPv6 address, or unix:PATH, not '[::1]'"),
    ({"port": "http"}, "'port' must be a number"),
    ({"port": True}, "'port' must be a number"),
    ({"port": []}, "'port' must be a number"),
    ({"port": 80.5}, "port must be an integer, not float"),
    ({"port": 65536}, "invalid port specified"),
    ({"port": -1}, "invalid port specified"),
    ({"port": "65536"}, "invalid port specified"),
    ({"addr": "unix:/a", "port": 80}, "a Unix socket has no port"),
    ({"addr": "unix:/a", "mode": 660}, OCTAL),
    ({"addr": "unix:/a", "mode": "668"}, OCTAL),
    ({"mode": "660"}, "'mode' is for Unix sockets"),
    ({"adr": "::"}, "unknown parameter adr in listen; the nearest known one is addr"),
    ({1: "::"}, "unknown parameter 1 in listen; the nearest known one is uses_sni"),
    ({"tls": True}, "'tls' must be a table"),
    ({"tls": "file"}, "'tls' must be a table"),
    ({"tls": {"certificate_file": "c"}}, "'tls' should be an array"),
    ({"tls": ["c", "k"]}, "'tls' should be an array"),
    ({"tls": []}, "'tls' is empty: it needs a certificate with its key"),
    ({"tls": [{"certificate_file": 5}]}, "'certificate_file' must be a string"),
    ({"tls": [{**PAIR, "certificate_key_file": 5}]}, "'certificate_key_file' must be a string"),
    ({"tls": [{"certificate_file": "c"}]}, "missing 'certificate_file' or 'certificate_key_file'"),
    ({"tls": [{"certificate_key_file": "k"}]}, "missing 'certificate_file' or 'certificate_key_file'"),
    ({"tls": [PAIR, {}]}, "missing 'certificate_file' or 'certificate_key_file'"),
    (
        {"tls": [{**PAIR, "key": "k"}]},
        "unknown parameter key in listen; the nearest known one is certificate_key_file",
    ),
    ({"tls": [PAIR, PAIR]}, TOO_MANY),
    ({"tls": [PAIR, PAIR], "uses_sni": False}, TOO_MANY),
    ({"tls": [PAIR, PAIR], "port": 65536}, TOO_MANY),
    ([{"port": 80, "tls": [PAIR]}, 80], "Duplicate listeners for 0.0.0.0:80 found"),
    (True, "unknown listen_conf type"),
    (b"localhost:80", "unknown listen_conf type"),
    (object(), "unknown listen_conf type"),
    ([None], "unknown listen_conf type"),
    ([["127.0.0.1:80"]], "unknown listen_conf type"),
    ([], "listen is empty"),
    ((), "listen is empty"),
    (["127.0.0.1:80", "127.0.0.1:80"], "Duplicate listeners for 127.0.0.1:80 found"),
    (["[::1]:80", "[0::1]:80"], "Duplicate listeners for [::1]:80 found"),
    ([80, ":80"], "Duplicate listeners for 0.0.0.0:80 found"),
    ([80, "[::]:80"], "Duplicate listeners for [::]:80 found"),
    (["localhost:80", "LOCALHOST:80"], "Duplicate listeners for localhost:80 found"),
]


@pytest.mark.parametrize(("value", "expected"), GOOD)
def test_good(value: object, expected: list[tuple[str, int]]) -> None:
    assert parse_listen(value, default=()) == tuple(ListenAddress(*one) for one in expected)


@pytest.mark.parametrize(("value", "text"), BAD)
def test_bad(value: object, text: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_listen(value, default=())
    assert str(raised.value).partition(": listen")[0] == text.partition(": listen")[0]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (70000, "invalid port specified: listen = 70000"),
        ([8080, 70000], "invalid port specified: listen = 70000"),
        ("a b", "impossible to parse URI: listen = 'a b'"),
        ("ftp://x", "unknown protocol specified: listen = 'ftp://x'"),
        (80.5, "port must be an integer, not float: listen = 80.5"),
        (print, "unknown listen_conf type: listen = a function"),
        ({"port": 70000}, "invalid port specified: listen.port = 70000"),
        ({"port": "x"}, "'port' must be a number: listen.port = 'x'"),
        ({"addr": 5}, "'addr' must be a string: listen.addr = 5"),
        ({"addr": "unix:"}, "impossible to parse URI: listen.addr = 'unix:'"),
        ({"addr": "unix:/a", "mode": 660}, "such as '660': listen.mode = 660"),
        ({"tls": True}, "'tls' must be a table: listen.tls = True"),
        ({"tls": {"a": 1}}, "'tls' should be an array: listen.tls = a table"),
        ({"tls": [{"certificate_file": 5}]}, "must be a string: listen.tls.certificate_file = 5"),
        ("x" * 500 + " ", "impossible to parse URI: listen = '" + "x" * 79 + "..."),
    ],
)
def test_the_value_and_its_key_are_shown(value: object, shown: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_listen(value, default=())
    assert str(raised.value).endswith(shown)


def test_an_address_is_taken_as_it_is() -> None:
    address = ListenAddress("127.0.0.1", 80, FILES)
    assert parse_listen([address, "127.0.0.1:81"], default=())[0] is address


def test_tls_of_a_table() -> None:
    assert parse_listen({"addr": "::1", "tls": [PAIR]}, default=()) == (ListenAddress("::1", 3300, FILES),)
    several = parse_listen({"tls": (PAIR, PAIR), "uses_sni": True}, default=())
    assert [address.tls for address in several] == [TlsFiles(FILES.pairs * 2, True)] * 2


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("unix:/run/a.sock", ListenAddress("", 0, path="/run/a.sock")),
        ("unix:a:80", ListenAddress("", 0, path="a:80")),
        ({"addr": "unix:/A", "mode": "660"}, ListenAddress("", 0, path="/A", mode=0o660)),
        ({"addr": "unix:/A", "mode": "0660", "tls": [PAIR]}, ListenAddress("", 0, FILES, "/A", 0o660)),
    ],
)
def test_unix_sockets(value: object, expected: ListenAddress) -> None:
    assert parse_listen(value, default=()) == (expected,)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("127.0.0.1:80", [ListenAddress("127.0.0.1", 80, FILES)]),
        (80, [ListenAddress("0.0.0.0", 80, FILES), ListenAddress("::", 80, FILES)]),
        ("80", [ListenAddress("0.0.0.0", 80, FILES), ListenAddress("::", 80, FILES)]),
        ("https", [ListenAddress("0.0.0.0", 443, FILES), ListenAddress("::", 443, FILES)]),
        ("https://LocalHost/", [ListenAddress("localhost", 443, FILES)]),
        ("https://[::1]:80", [ListenAddress("::1", 80, FILES)]),
        ("http://localhost", [ListenAddress("localhost", 80)]),
        ("http", [ListenAddress("0.0.0.0", 80), ListenAddress("::", 80)]),
        ("unix:/a", [ListenAddress("", 0, FILES, "/a")]),
        ({"addr": "127.0.0.1"}, [ListenAddress("127.0.0.1", 3300)]),
    ],
)
def test_text_with_certificates_beside_it(value: object, expected: list[ListenAddress]) -> None:
    assert list(parse_listen(value, default=(), tls=FILES)) == expected


def test_defaults() -> None:
    assert parse_listen(None, default=LUA_DEFAULT_LISTEN) == parse_listen(3300, default=())
    assert parse_listen(None, default=PYTHON_DEFAULT_LISTEN) == parse_listen("127.0.0.1:3300", default=())


@pytest.mark.parametrize(
    ("address", "url"),
    [
        (ListenAddress("127.0.0.1", 8080), "http://127.0.0.1:8080"),
        (ListenAddress("::1", 8080), "http://[::1]:8080"),
        (ListenAddress("localhost", 80), "http://localhost:80"),
        (ListenAddress("::1", 80, FILES), "https://[::1]:80"),
        (ListenAddress("", 0, FILES, "/run/a.sock"), "unix:/run/a.sock"),
    ],
)
def test_url(address: ListenAddress, url: str) -> None:
    assert address.url == url


def test_the_list_is_not_changed() -> None:
    value: list[object] = ["127.0.0.1:80", 81]
    parse_listen(value, default=())
    assert value == ["127.0.0.1:80", 81]


def test_a_descriptor() -> None:
    (address,) = parse_listen("fd:3", default=(), tls=FILES)
    assert address == ListenAddress("", 0, FILES, fd=3)
    assert (address.is_open, address.descriptor, address.url) == (True, 3, "fd:3")
    assert parse_listen({"addr": "fd:3"}, default=()) == (ListenAddress("", 0, fd=3),)
    # Else it is a host.
    assert parse_listen("fd", default=()) == (ListenAddress("fd", 3300),)


@pytest.mark.parametrize("value", ["fd:", "fd:x", "fd:-1", "fd:3 "])
def test_what_is_no_descriptor(value: str) -> None:
    with pytest.raises(ConfigError, match=r"^impossible to parse URI"):
        parse_listen(value, default=())


@pytest.mark.parametrize("key", ["port", "mode"])
def test_a_socket_that_is_open_has_all_that(key: str) -> None:
    with pytest.raises(ConfigError, match=f"^a socket that is open already has its {key}"):
        parse_listen({"addr": "fd:3", key: "660"}, default=())


def test_what_has_a_file_number_is_a_socket_that_is_open() -> None:
    class Open:
        def fileno(self) -> int:
            return 7

    one = Open()
    (address,) = parse_listen(one, default=())
    assert address.socket is one


def test_proxy_protocol_is_a_boolean() -> None:
    with pytest.raises(ConfigError, match="'proxy_protocol' must be a boolean"):
        parse_listen({"port": 80, "proxy_protocol": "yes"}, default=())
