"""What each form of listen stands for, and the text for each that stands for nothing."""

import pytest

from httpng_core.errors import ConfigError
from httpng_core.listen import LUA_DEFAULT_LISTEN, PYTHON_DEFAULT_LISTEN, ListenAddress, parse_listen

ONE_LABEL = "a" * 63

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
    ("https", "listen on https: TLS is not supported yet"),
    ("https://localhost:443", "listen on https: TLS is not supported yet"),
    ({"port": 80}, "listen as a table {addr, port, tls}: not supported yet"),
    ([{"port": 80}], "listen as a table {addr, port, tls}: not supported yet"),
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
    assert str(raised.value) == text


def test_defaults() -> None:
    assert parse_listen(None, default=LUA_DEFAULT_LISTEN) == parse_listen(3300, default=())
    assert parse_listen(None, default=PYTHON_DEFAULT_LISTEN) == parse_listen("127.0.0.1:3300", default=())


@pytest.mark.parametrize(
    ("address", "url"),
    [
        (ListenAddress("127.0.0.1", 8080), "http://127.0.0.1:8080"),
        (ListenAddress("::1", 8080), "http://[::1]:8080"),
        (ListenAddress("localhost", 80), "http://localhost:80"),
    ],
)
def test_url(address: ListenAddress, url: str) -> None:
    assert address.url == url


def test_the_list_is_not_changed() -> None:
    value: list[object] = ["127.0.0.1:80", 81]
    parse_listen(value, default=())
    assert value == ["127.0.0.1:80", 81]
