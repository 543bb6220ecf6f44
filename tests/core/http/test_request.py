"""Requests as handlers see them."""

import pytest

from httpng_core import Address, Headers, Request
from httpng_core.testing import Loopback

PAIRS = [
    (b"host", b"x"),
    (b"a", b"1"),
    (b"cookie", b"c=1"),
    (b"a", b"2"),
    (b"cookie", b"d=2"),
    (b"b", b"\xe9"),
]


def test_names_ignore_case_and_repeated_values_are_joined() -> None:
    headers = Headers(PAIRS)
    assert headers["A"] == headers["a"] == "1, 2"
    assert headers["Host"] == "x"
    assert headers["b"] == "é"


def test_cookies_are_joined_with_a_semicolon() -> None:
    assert Headers(PAIRS)["Cookie"] == "c=1; d=2"


def test_get_all_gives_the_values_as_they_came() -> None:
    headers = Headers(PAIRS)
    assert headers.get_all("A") == ["1", "2"]
    assert headers.get_all("none") == []
    headers.get_all("a").append("3")
    assert headers.get_all("a") == ["1", "2"]


def test_headers_are_a_mapping() -> None:
    headers = Headers(PAIRS)
    assert list(headers) == ["host", "a", "cookie", "b"]
    assert len(headers) == 4
    assert "HOST" in headers
    assert "none" not in headers
    assert object() not in headers
    assert headers.get("none") is None
    assert headers.get("none", "else") == "else"
    with pytest.raises(KeyError):
        headers["none"]
    assert dict(headers) == {"host": "x", "a": "1, 2", "cookie": "c=1; d=2", "b": "é"}


def test_a_name_that_no_request_can_have_is_not_there() -> None:
    headers = Headers(PAIRS)
    assert "\u0440" not in headers
    assert headers.get("\u0440") is None
    assert headers.get_all("\u0440") == []
    with pytest.raises(KeyError, match="\u0440"):
        headers["\u0440"]


def test_headers_keep_what_came() -> None:
    headers = Headers(iter(PAIRS))
    assert headers.raw == tuple(PAIRS)
    assert repr(headers) == f"Headers({PAIRS!r})"


@pytest.mark.parametrize(
    ("path", "query"),
    [("/", None), ("/a", None), ("/a?", ""), ("/a?id=2", "id=2"), ("/a?b?c", "b?c"), ("*", None), ("/?", "")],
)
def test_the_query_is_what_follows_the_first_question_mark(path: str, query: str | None) -> None:
    assert Request(method="GET", path=path).query == query


def test_a_request_has_defaults() -> None:
    request = Request(method="GET", path="/")
    assert (request.host, request.body, request.https) == ("default", b"", False)
    assert (request.version_major, request.version_minor) == (1, 1)
    assert request.peer == request.ouraddr == Address("", 0)
    assert len(request.headers) == 0


@pytest.mark.parametrize(
    ("connection", "upgrade", "asks"),
    [
        (b"Upgrade", b"websocket", True),
        (b"keep-alive, upgrade", b"WebSocket", True),
        (b"keep-alive", b"websocket", False),
        (b"upgrade", b"h2c", False),
    ],
)
def test_who_asks_for_a_websocket(connection: bytes, upgrade: bytes, asks: bool) -> None:
    headers = Headers([(b"connection", connection), (b"upgrade", upgrade)])
    assert Request(method="GET", path="/", headers=headers).is_websocket is asks


def test_a_plain_request_asks_for_no_websocket() -> None:
    assert not Request(method="GET", path="/").is_websocket
    upgrade = Headers([(b"upgrade", b"websocket")])
    assert not Request(method="GET", path="/", headers=upgrade).is_websocket


def test_fields_and_a_body_as_they_came() -> None:
    given = Request("GET", "/", headers=Headers(PAIRS))
    assert given.raw_headers == tuple(PAIRS)
    assert given.whole_body == b""
    assert Request("GET", "/", body=None).whole_body is None
    assert Request("GET", "/").raw_headers == ()


def test_raw_headers_of_a_request_off_the_wire() -> None:
    seen: list[Request] = []

    def handler(req: Request) -> str:
        seen.append(req)
        return ""

    client = Loopback(handler).connect()
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\nX-A:  b\r\n\r\n")
    assert seen[0].raw_headers == ((b"host", b"x"), (b"x-a", b"b"))
    # The same once they were split by name.
    assert seen[0].headers["X-A"] == "b"
    assert seen[0].raw_headers == ((b"host", b"x"), (b"x-a", b"b"))
