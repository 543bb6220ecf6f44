"""Trailers of requests and of responses, and informational responses, on both protocols and their engines."""

from typing import Any

import pytest
from tests.core.driving import Driven
from tests.core.driving2 import Driven2
from tests.core.uploads.uploading import Upload

from httpng_core import ResponseStateError

ENGINES = ["fast", "reference"]
TRAILERS = {"digest": "abc", "x-two": ["1", "2"]}
FIELDS = [("digest", "abc"), ("x-two", "1"), ("x-two", "2")]


def post(engine: str, trailers: bytes, path: str = "/whole") -> Driven:
    upload = Upload("chunked", http1_engine=engine).begin(path=path)
    upload.driven.receive(b"5\r\nhello\r\n0\r\n" + trailers + b"\r\n")
    return upload.driven


# Requests ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ENGINES)
def test_trailers_of_a_whole_request(engine: str) -> None:
    driven = post(engine, b"Digest: abc \r\nX-Two: 1\r\nx-two:2\r\n")
    request = driven.exchange.request
    assert request.body == b"hello"
    assert request.trailers["digest"] == "abc"
    assert request.trailers.get_all("X-Two") == ["1", "2"]
    # They aren't headers (RFC 9110, 6.5.1).
    assert "digest" not in request.headers


@pytest.mark.parametrize("engine", ENGINES)
def test_what_can_not_be_a_trailer_is_left_out(engine: str) -> None:
    driven = post(engine, b"Content-Length: 9\r\nHost: evil\r\nx: y\r\n")
    assert driven.exchange.request.trailers.raw == ((b"x", b"y"),)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("path", ["/whole", "/"])
def test_trailers_on_http2(engine: str, path: str) -> None:
    upload = Upload("http/2", http2_engine=engine).begin(path=path)
    assert isinstance(upload.driven, Driven2)
    upload.send(b"hello")
    upload.driven.client.h2.send_headers(
        upload.stream, [("digest", "abc"), ("expires", "0")], end_stream=True
    )
    upload.driven.turn()
    if path == "/whole":
        assert upload.exchange.request.trailers.raw == ((b"digest", b"abc"),)
    else:
        incoming = upload.exchange.incoming
        assert incoming is not None
        assert upload.read().value == b"hello"
        assert incoming.trailers == ((b"digest", b"abc"),)


def test_trailers_of_a_streamed_request_are_there_at_its_end() -> None:
    upload = Upload("chunked").begin()
    incoming = upload.exchange.incoming
    assert incoming is not None
    upload.driven.receive(b"5\r\nhello\r\n0\r\nDigest: ")
    assert not incoming.trailers
    assert upload.read().value == b"hello"
    upload.driven.receive(b"abc\r\n\r\n")
    assert upload.read().value == b""
    assert incoming.trailers == ((b"digest", b"abc"),)


def test_the_next_request_has_none() -> None:
    driven = post("fast", b"x: y\r\n")
    driven.exchange.finish(driven.now)
    driven.push()
    driven.receive(b"POST /whole HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\nx")
    assert driven.exchange.request.trailers.raw == ()


# Responses --------------------------------------------------------------------------------------------

WITH_TE = b"GET / HTTP/1.1\r\nhost: x\r\nte: gzip, Trailers\r\n\r\n"
WITHOUT = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"


@pytest.mark.parametrize("size", [0, 5, 200_000])
@pytest.mark.parametrize("late", [False, True])
def test_trailers_behind_chunks(size: int, late: bool) -> None:
    driven = Driven(WITH_TE)
    if size:
        driven.write(b"x" * size)
    if late:
        driven.push()
    driven.exchange.close(driven.now, None, TRAILERS)
    driven.push()
    assert driven.wire.endswith(b"0\r\ndigest: abc\r\nx-two: 1\r\nx-two: 2\r\n\r\n")
    assert driven.body == b"x" * size
    assert driven.outcomes == ["complete"]


def test_without_te_there_are_none() -> None:
    driven = Driven(WITHOUT)
    driven.write(b"hello")
    driven.exchange.close(driven.now, None, TRAILERS)
    driven.push()
    assert driven.wire.endswith(b"5\r\nhello\r\n0\r\n\r\n")


@pytest.mark.parametrize(
    ("request_", "headers"),
    [
        (WITH_TE, {"content-length": "5"}),
        (WITH_TE.replace(b"GET", b"HEAD"), None),
        (WITH_TE.replace(b"1.1", b"1.0"), None),
    ],
)
def test_where_no_trailers_can_go(request_: bytes, headers: Any) -> None:
    driven = Driven(request_)
    driven.header(200, headers)
    driven.write(b"hello")
    driven.exchange.close(driven.now, None, TRAILERS)
    driven.push()
    assert b"digest" not in driven.wire
    assert driven.outcomes == ["complete"]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("size", [None, 0, 5, 60_000, 200_000])
@pytest.mark.parametrize("late", [False, True])
def test_trailers_on_http2_end_the_stream(engine: str, size: int | None, late: bool) -> None:
    driven = Driven2(1 << 20, http2_engine=engine)
    driven.client.give(1 << 20)
    exchange, stream = driven.begin()
    if size is not None:
        driven.write(b"x" * size)
    if late:
        driven.turn()
    exchange.close(driven.now, None, TRAILERS)
    driven.turn()
    assert stream.trailers == FIELDS
    assert stream.complete
    assert bytes(stream.body) == b"x" * (size or 0)
    assert driven.outcomes == ["complete"]
    assert exchange.stats(driven.now).sent == (size or 0)
    # And the connection goes on.
    driven.begin()


@pytest.mark.parametrize("engine", ENGINES)
def test_trailers_wait_for_the_windows(engine: str) -> None:
    driven = Driven2(10, reads=False, http2_engine=engine)
    exchange, stream = driven.begin()
    driven.write(b"x" * 15)
    exchange.close(driven.now, None, TRAILERS)
    driven.turn()
    assert not stream.complete
    driven.client.give(10, 1)
    driven.turn()
    assert (len(stream.body), stream.complete, stream.trailers) == (15, True, FIELDS)


@pytest.mark.parametrize(
    ("trailers", "message"),
    [
        ({"Content-Length": "5"}, "content-length can't be a trailer"),
        ({"set-cookie": "x"}, "set-cookie can't be a trailer"),
        ({"a b": "x"}, "not a token"),
        ({"a": "x\ny"}, "control character"),
    ],
)
def test_trailers_that_are_none(trailers: Any, message: str) -> None:
    driven = Driven(WITH_TE)
    driven.write(b"hello")
    with pytest.raises(ValueError, match=message):
        driven.exchange.close(driven.now, None, trailers)
    # The response goes on.
    driven.write(b"world")
    driven.exchange.close(driven.now)
    driven.push()
    assert driven.body == b"helloworld"


# Informational responses ------------------------------------------------------------------------------

LINK = {"link": "</style.css>; rel=preload"}


def test_early_hints() -> None:
    driven = Driven(WITHOUT)
    driven.exchange.write_informational(103, LINK, driven.now)
    driven.exchange.write_informational(102, None, driven.now)
    driven.push()
    assert driven.wire == (
        b"HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n"
    )
    assert not driven.stats.headers_were_sent
    driven.exchange.finish(driven.now)
    driven.push()
    assert b"\r\n\r\nHTTP/1.1 200 OK\r\n" in driven.wire
    begun = Driven(WITHOUT)
    begun.header()
    with pytest.raises(ResponseStateError):
        begun.exchange.write_informational(103, LINK, driven.now)


@pytest.mark.parametrize("engine", ENGINES)
def test_early_hints_on_http2(engine: str) -> None:
    driven = Driven2(http2_engine=engine)
    exchange, stream = driven.begin()
    exchange.write_informational(103, LINK, driven.now)
    driven.turn()
    assert (stream.interim, stream.status) == ([103], 0)
    exchange.finish(driven.now)
    driven.turn()
    assert (stream.interim, stream.status) == ([103], 200)


def test_a_client_of_http10_gets_none() -> None:
    driven = Driven(WITHOUT.replace(b"1.1", b"1.0"))
    driven.exchange.write_informational(103, LINK, driven.now)
    driven.push()
    assert driven.wire == b""


@pytest.mark.parametrize("kind", ["http/1.1", "http/2"])
def test_a_client_that_does_not_read_gets_few(kind: str) -> None:
    driven = Driven2() if kind == "http/2" else Driven(WITHOUT)
    if isinstance(driven, Driven2):
        driven.begin()
    for _ in range(10_000):
        driven.exchange.write_informational(103, LINK, driven.now)
    assert driven.push() < 40_000


@pytest.mark.parametrize(
    ("code", "headers", "error"),
    [
        (100, None, ValueError),
        (101, None, ValueError),
        (200, None, ValueError),
        ("103", None, TypeError),
        (True, None, TypeError),
        (103, {"content-length": "5"}, ValueError),
        (103, {"a": "\n"}, ValueError),
    ],
)
def test_informational_responses_that_are_none(code: Any, headers: Any, error: type[Exception]) -> None:
    driven = Driven(WITHOUT)
    with pytest.raises(error):
        driven.exchange.write_informational(code, headers, driven.now)
    driven.push()
    assert driven.wire == b""
