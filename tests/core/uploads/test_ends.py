"""Bodies that are streamed, and how they end early: by the handler, by the client, by a limit."""

import pytest
from tests.core.driving2 import Driven2
from tests.core.uploads.uploading import KINDS, Upload

from httpng_core import BodyMalformedError, BodyTooLongError, Closing, RequestCancelled

NEXT = b"GET /next HTTP/1.1\r\nhost: x\r\n\r\n"
HTTP1 = ["length", "chunked"]
MAX_DROPPED = 256 * 1024
"""So much of a body that nobody read is dropped for the sake of the next request."""


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


# The handler is done ----------------------------------------------------------------------------------


def test_both_ways_at_once(kind: str) -> None:
    upload = Upload(kind).begin(4)
    for piece in (b"ab", b"cd"):
        upload.send(piece)
        upload.driven.write(upload.read().value)
        upload.push()
        assert upload.body.endswith(piece)
    upload.end()
    assert upload.read().value == b""
    upload.exchange.finish(upload.driven.now)
    upload.push()
    assert upload.body == b"abcd"
    assert upload.driven.outcomes == ["complete"]


@pytest.mark.parametrize("kind", HTTP1)
def test_the_next_request_behind_a_consumed_body(kind: str) -> None:
    upload = Upload(kind).begin(5)
    upload.send(b"hello")
    upload.end()
    upload.driven.receive(NEXT)
    assert [upload.read().value for _ in range(2)] == [b"hello", b""]
    assert len(upload.driven.exchanges) == 1
    upload.answer()
    assert upload.exchange.request.path == "/next"


@pytest.mark.parametrize("kind", HTTP1)
def test_the_next_request_behind_a_small_body_that_nobody_read(kind: str) -> None:
    upload = Upload(kind).begin(5)
    upload.send(b"he")
    upload.answer()
    assert upload.driven.outcomes == ["complete"]
    assert len(upload.driven.exchanges) == 1
    upload.send(b"llo")
    upload.end()
    upload.driven.receive(NEXT)
    assert upload.exchange.request.path == "/next"
    assert upload.driven.connection.wants_read


def test_a_long_rest_ends_the_connection() -> None:
    upload = Upload("length").begin(MAX_DROPPED + 1)
    upload.answer()
    connection = upload.driven.connection
    assert connection.half_close_expected()
    # The answer would be lost in a reset: what comes is read and dropped for a while.
    assert connection.wants_read
    upload.send(b"x" * 65536)
    assert not connection.close_expected()
    upload.driven.advance(5)
    assert connection.close_expected()
    assert connection.close_expected() is not Closing.RESET


def test_a_long_rest_that_was_not_declared_ends_the_connection() -> None:
    upload = Upload("chunked").begin()
    upload.answer()
    for _ in range(MAX_DROPPED // 65536):
        upload.send(b"x" * 65536)
    assert not upload.driven.connection.half_close_expected()
    upload.send(b"x")
    assert upload.driven.connection.half_close_expected()


@pytest.mark.parametrize("kind", HTTP1)
def test_a_rest_that_does_not_come_ends_the_connection(kind: str) -> None:
    upload = Upload(kind).begin(5)
    upload.answer()
    upload.driven.advance(5)
    assert upload.driven.connection.close_expected()


@pytest.mark.parametrize("kind", HTTP1)
def test_a_fin_instead_of_the_rest(kind: str) -> None:
    upload = Upload(kind).begin(5)
    upload.answer()
    upload.driven.eof()
    assert upload.driven.connection.close_expected()
    assert not upload.driven.refused


@pytest.mark.parametrize("kind", HTTP1)
def test_a_drain_meanwhile(kind: str) -> None:
    upload = Upload(kind).begin(5)
    upload.answer()
    upload.driven.connection.drain(upload.driven.now)
    assert upload.driven.connection.half_close_expected()


def test_http2_resets_without_an_error() -> None:
    upload = Upload("http/2").begin()
    upload.send(b"x" * 65535)
    upload.answer()
    assert isinstance(upload.driven, Driven2)
    stream = upload.driven.client.streams[upload.stream]
    assert stream.complete
    assert stream.reset == 0
    assert upload.driven.outcomes == ["complete"]
    # What was on its way gives no room to nobody: the connection's window is as it was.
    assert upload.driven.client.h2.outbound_flow_control_window > 900_000
    upload.driven.begin()


@pytest.mark.parametrize("kind", HTTP1)
def test_the_flush_of_a_long_answer_goes_on_reading(kind: str) -> None:
    upload = Upload(kind).begin(1 << 20)
    upload.send(b"x" * 65535)
    assert upload.is_held_back
    upload.exchange.answer(200, None, b"y" * 100_000, upload.driven.now)
    assert upload.driven.connection.wants_read
    upload.send(b"x" * 65535)
    assert upload.driven.connection.wants_read


def test_reading_on_behind_the_end_raises(kind: str) -> None:
    upload = Upload(kind).begin(5)
    exchange, read = upload.exchange, upload.read()
    upload.answer()
    with pytest.raises(RequestCancelled):
        read.value  # noqa: B018
    with pytest.raises(RequestCancelled):
        exchange.read(None, upload.driven.now).value  # noqa: B018


# The client is gone -----------------------------------------------------------------------------------


def leave(upload: Upload, how: str) -> None:
    if how == "lost":
        upload.driven.lost()
    elif how == "eof" or not isinstance(upload.driven, Driven2):
        upload.driven.eof()
    else:
        upload.driven.client.h2.reset_stream(upload.stream, 8)
        upload.driven.turn()


@pytest.mark.parametrize("how", ["lost", "eof", "reset"])
@pytest.mark.parametrize("begun", [False, True])
def test_a_client_that_leaves_in_the_middle(kind: str, how: str, begun: bool) -> None:
    upload = Upload(kind).begin(50)
    if begun:
        upload.driven.write(b"x")
    upload.send(b"hello")
    assert upload.read().value == b"hello"
    read = upload.read()
    leave(upload, how)
    for one in (read, upload.exchange.read(None, upload.driven.now)):
        with pytest.raises(RequestCancelled):
            one.value  # noqa: B018
    assert issubclass(RequestCancelled, ConnectionError)
    assert upload.driven.outcomes == ["cancelled"]
    assert upload.exchange.stats(upload.driven.now).cancelled


@pytest.mark.parametrize("begun", [False, True])
def test_a_fin_that_comes_with_the_body_is_no_sign(kind: str, begun: bool) -> None:
    upload = Upload(kind).begin(5)
    if begun:
        upload.driven.write(b"x")
    upload.send(b"hello")
    upload.end()
    upload.driven.eof()
    assert upload.driven.outcomes == []
    assert upload.read().value == b"hello"
    upload.exchange.finish(upload.driven.now)
    upload.push()
    assert upload.driven.outcomes == ["complete"]


@pytest.mark.parametrize("kind", HTTP1)
def test_a_fin_behind_bytes_that_nobody_has_read_waits_for_them(kind: str) -> None:
    upload = Upload(kind).begin(10)
    upload.driven.write(b"x")
    upload.send(b"hello")
    upload.driven.connection.receive_eof(upload.driven.now, unread=True)
    assert upload.driven.outcomes == []
    assert upload.read().value == b"hello"
    upload.send(b"world")
    upload.end()
    upload.driven.eof()
    assert upload.read().value == b"world"
    assert upload.driven.outcomes == []


# Limits -----------------------------------------------------------------------------------------------


def test_a_body_that_is_declared_too_long_reaches_no_handler() -> None:
    for kind in ("length", "http/2"):
        upload = Upload(kind, max_stream_len=4).begin(5, (("expect", "100-continue"),))
        upload.push()
        assert upload.statuses == [413]
        assert upload.driven.refused == [413]
        assert not upload.driven.exchanges


def test_max_body_len_bounds_whole_bodies_alone(kind: str) -> None:
    upload = Upload(kind, max_body_len=4).begin(5)
    upload.send(b"hello")
    assert upload.read().value == b"hello"
    whole = Upload(kind, max_body_len=4).begin(5, path="/whole")
    if kind == "chunked":
        whole.send(b"hello")
    whole.push()
    assert whole.statuses == [413]


@pytest.mark.parametrize("kind", ["chunked", "http/2"])
def test_a_body_that_turns_out_too_long(kind: str) -> None:
    upload = Upload(kind, max_stream_len=8).begin()
    upload.send(b"01234")
    assert upload.read().value == b"01234"
    upload.send(b"56789")
    for _ in range(2):
        with pytest.raises(BodyTooLongError, match="longer than 8 bytes") as raised:
            upload.read().value  # noqa: B018
        assert raised.value.status == 413
    upload.exchange.refuse(413, "too long", upload.driven.now)
    upload.push()
    assert upload.statuses == [413]
    if kind == "chunked":
        assert upload.driven.connection.half_close_expected()


def test_a_refusal_once_the_response_has_begun_is_a_reset(kind: str) -> None:
    upload = Upload(kind).begin(5)
    upload.driven.write(b"x")
    upload.push()
    upload.exchange.refuse(413, "too long", upload.driven.now)
    assert upload.driven.outcomes == ["reset"]


def test_a_refusal_after_the_end_changes_nothing(kind: str) -> None:
    upload = Upload(kind).begin(5)
    upload.driven.write(b"x")
    upload.exchange.finish(upload.driven.now)
    upload.exchange.refuse(413, "too long", upload.driven.now)
    upload.push()
    assert upload.statuses == [200]
    assert upload.body == b"x"
    assert upload.driven.outcomes == ["complete"]


@pytest.mark.parametrize("read_first", [False, True])
def test_chunks_that_are_none(read_first: bool) -> None:
    upload = Upload("chunked").begin()
    read = upload.read() if read_first else None
    upload.driven.receive(b"hello\r\n")
    with pytest.raises(BodyMalformedError, match="chunk"):
        (read or upload.read()).value  # noqa: B018
    upload.answer()
    # Where the next request begins can't be told.
    assert upload.driven.connection.half_close_expected()
    upload.driven.receive(NEXT)
    assert len(upload.driven.exchanges) == 1


def test_an_http2_body_that_is_not_as_long_as_declared() -> None:
    upload = Upload("http/2").begin(5)
    read = upload.read()
    upload.end()
    with pytest.raises(RequestCancelled):
        read.value  # noqa: B018


def test_what_comes_behind_chunks_that_are_none_is_dropped() -> None:
    upload = Upload("chunked").begin()
    for data in (b"none\r\n", b"5\r\nhello\r\n", b"0\r\n\r\n"):
        upload.driven.receive(data)
    assert upload.driven.connection.holdings() == []
    with pytest.raises(BodyMalformedError):
        upload.read().value  # noqa: B018
    upload.answer()
    upload.push()
    assert upload.statuses == [200]
    assert len(upload.driven.exchanges) == 1


def test_a_fin_while_more_of_a_body_waits_for_its_turn() -> None:
    upload = Upload("chunked").begin()
    upload.driven.receive(b"1\r\nx\r\n" * 20_000 + b"0\r\n\r\n")
    upload.driven.eof()
    upload.driven.advance(0)
    got = b""
    while len(got) < 20_000:
        got += upload.read().value
    assert got == b"x" * 20_000
    assert upload.read().value == b""
    upload.answer()
    upload.push()
    assert upload.statuses == [200]
