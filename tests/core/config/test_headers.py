"""The setting `headers`: fields that every response gets."""

import pytest

from httpng_core import Application, ConfigError, Response, parse_settings
from httpng_core.testing import Loopback

GIVEN = {"X-Frame-Options": "DENY", "server": " mine "}


@pytest.mark.parametrize(
    "given",
    [GIVEN, list(GIVEN.items()), ["X-Frame-Options: DENY", "server:mine"]],
    ids=["table", "pairs", "lines"],
)
def test_the_forms(given: object) -> None:
    assert parse_settings({"headers": given}).headers == (("x-frame-options", "DENY"), ("server", "mine"))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["no colon"], "headers must be a table of header names and values"),
        ({"a": 1}, "headers must be a table"),
        ([("a", "b", "c")], "headers must be a table"),
        ({"a b": "c"}, "headers: 'a b' can't be the name of a header"),
        ({"a": "b\r\nc: d"}, "headers: the value of a has a control character in it"),
        ({"Content-Length": "5"}, "headers: content-length is the server's own affair"),
        ({"date": "now"}, "headers: date is the server's own affair"),
        ("a: b", "headers is 'a: b', must be a table of header names and values"),
    ],
)
def test_what_is_refused(given: object, told: str) -> None:
    with pytest.raises(ConfigError, match=f"^{told}"):
        parse_settings({"headers": given})


def handler(req: object) -> Response:
    return Response(headers={"Server": "the handler", "x-own": "1"}, body=b"hello")


def broken(req: object) -> Response:
    raise ValueError("broken")


SITES = [{"path": "/broken", "handler": broken}, {"path": "/", "handler": handler}]


def test_every_response_has_them_unless_its_handler_gives_them_itself() -> None:
    client = Loopback(Application(sites=SITES, headers=GIVEN)).connect()
    for path in ("/", "/broken", "/"):
        client.get(path)
    whole, failed, again = client.take().split(b"HTTP/1.1 ")[1:]
    fields = b"server: the handler\r\nx-own: 1\r\nx-frame-options: DENY\r\ncontent-length: 5\r\n"
    assert whole == again == b"200 OK\r\n" + fields + b"\r\nhello"
    assert b"x-frame-options: DENY\r\nserver: mine\r\n" in failed


def test_the_same_over_http2() -> None:
    client = Loopback(Application(sites=SITES, headers=GIVEN)).connect_http2()
    whole, failed = client.request("/"), client.request("/broken")
    assert {**whole.headers, "date": ""} == {
        "server": "the handler",
        "x-own": "1",
        "x-frame-options": "DENY",
        "content-length": "5",
        "date": "",
    }
    assert failed.headers["server"] == "mine"
