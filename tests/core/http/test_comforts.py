"""Queries, cookies and JSON, read for handlers and written by them."""

import json

import pytest

from httpng_core import BodyMalformedError, Headers, Request, Response
from httpng_core.testing import Loopback


def request(path: str = "/", *cookies: bytes, body: bytes = b"") -> Request:
    headers = Headers([(b"cookie", cookie) for cookie in cookies])
    return Request(method="GET", path=path, headers=headers, body=body)


def test_query_params() -> None:
    params = request("/?a=1&b=x%20y+z&a=2&empty=&flag&%C3%A4=%FF&=nameless").query_params
    assert dict(params) == {"a": "2", "b": "x y z", "empty": "", "flag": "", "ä": "�", "": "nameless"}
    assert (params.get_all("a"), params.get_all("no"), len(params)) == (["1", "2"], [], 6)
    assert "a" in params
    assert params.get("no") is None
    assert dict(request("/").query_params) == dict(request("/?").query_params) == {}


def test_cookies() -> None:
    assert request("/", b'a=1; b="two"; a=3;c = x=y ; novalue; =nameless', b"d=4").cookies == {
        "a": "1",
        "b": "two",
        "c": "x=y",
        "d": "4",
    }
    assert request().cookies == {}


def test_json_of_a_request() -> None:
    assert request(body='{"a": ["ä", null]}'.encode()).json() == {"a": ["ä", None]}
    assert request(body='"ä"'.encode("utf-16")).json() == "ä"
    for body in (b"", b"{", b"\xff\xfe\xff", b"[" * 100_000):
        with pytest.raises(BodyMalformedError, match=r"^the request body is not JSON: "):
            request(body=body).json()


@pytest.mark.parametrize("http2", [False, True])
def test_a_body_that_is_no_json_is_answered_with_400(http2: bool) -> None:
    loop = Loopback(lambda req: Response(json=req.json()))
    if http2:
        assert loop.connect_http2().request("/", "POST", body=b"{").headers.get("content-type")
    client = loop.connect()
    for body in (b"{", b'{"a": 1.5}'):
        client.get("/", "POST", body=body)
    refused, answered = client.responses("POST", "POST")
    assert refused.status == 400
    assert (answered.status, json.loads(answered.body)) == (200, {"a": 1.5})


def test_json_of_a_response() -> None:
    found = Response(json={"ä": [1, None]}, status=201, headers={"x": "1"})
    assert found.body == '{"ä":[1,null]}'.encode()
    assert (found.status, dict(found.headers or {})) == (201, {"content-type": "application/json", "x": "1"})
    own = Response(json=None, headers=[("Content-Type", "application/problem+json")])
    assert (own.body, own.headers) == (b"null", [("Content-Type", "application/problem+json")])
    assert Response(body=b"x") == Response(body=b"x")


def test_what_json_can_not_say() -> None:
    with pytest.raises(TypeError, match="not JSON serializable"):
        Response(json={1, 2})
    with pytest.raises(ValueError, match="not JSON compliant"):
        Response(json=float("nan"))
    with pytest.raises(TypeError, match=r"^a response has a body or json, not both$"):
        Response(json=1, body=b"x")


def test_a_dict_that_is_no_response_says_what_to_write(caplog: pytest.LogCaptureFixture) -> None:
    client = Loopback(lambda req: {"name": "x", "id": 5}).connect()
    client.get()
    assert client.responses()[0].status == 500
    told = "a response has status, headers and body, not id, name: to send a dict as JSON, return "
    assert f"{told}Response(json=...)" in caplog.text


def test_query_params_tell_what_they_are() -> None:
    assert repr(request("/?a=1&a=2").query_params) == "QueryParams({'a': ['1', '2']})"
