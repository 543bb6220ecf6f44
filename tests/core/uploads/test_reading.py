"""Bodies that are read while they come in: pieces, what holds the client back, and what may take how long."""

from itertools import count
from typing import Any

import pytest
from tests.core.driving2 import Driven2
from tests.core.uploads.uploading import KINDS, Upload

from httpng_core import BodyError, BodyStreamedError, BodyTimeoutError, ReadTimeoutError


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_the_handler_starts_with_the_head(kind: str) -> None:
    upload = Upload(kind).begin(5)
    read = upload.read()
    assert not read.settled
    upload.send(b"he")
    assert read.value == b"he"
    upload.send(b"llo")
    upload.end()
    assert upload.read().value == b"llo"
    assert upload.read().value == b""
    assert upload.read().value == b""
    upload.answer()
    assert upload.driven.outcomes == ["complete"]
    assert upload.body == b"done"


@pytest.mark.parametrize("kind", ["chunked", "http/2"])
def test_who_waits_for_more_is_told_of_the_end(kind: str) -> None:
    upload = Upload(kind).begin()
    upload.send(b"hello")
    assert upload.read().value == b"hello"
    read = upload.read()
    assert not read.settled
    upload.end()
    assert read.value == b""


def test_what_came_before_the_read_comes_at_once_and_within_its_limit(kind: str) -> None:
    upload = Upload(kind).begin(10)
    upload.send(b"01234")
    upload.send(b"56789")
    upload.end()
    assert [upload.read(4).value for _ in range(4)] == [b"0123", b"4567", b"89", b""]


def test_a_request_without_a_body_ends_at_once() -> None:
    upload = Upload("length")
    upload.driven.receive(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
    assert upload.exchange.read(None, 0.0).value == b""
    assert upload.exchange.request.body == b""


def test_a_whole_body_is_read_as_one_piece(kind: str) -> None:
    upload = Upload(kind).begin(5, path="/whole")
    assert not upload.driven.exchanges
    upload.send(b"hello")
    upload.end()
    assert upload.exchange.request.body == b"hello"
    assert [upload.read().value, upload.read().value] == [b"hello", b""]


def test_the_body_of_a_streamed_request_says_what_to_do(kind: str) -> None:
    request = Upload(kind).begin(5).exchange.request
    with pytest.raises(BodyStreamedError, match=r"await req\.read\(\)"):
        request.body  # noqa: B018


def test_a_client_is_held_back_by_who_does_not_read(kind: str) -> None:
    upload = Upload(kind).begin(1 << 20)
    upload.send(b"x" * 65535)
    assert upload.is_held_back
    assert upload.exchange.incoming is not None
    assert upload.exchange.incoming.held == 65535
    assert len(upload.read(40_000).value) == 40_000
    # On HTTP/1.1 nothing more is read from the socket before all of that was; on HTTP/2 credit is given.
    assert upload.is_held_back == (kind != "http/2")
    assert len(upload.read().value) == 25_535
    assert not upload.is_held_back


def test_credit_is_what_was_consumed() -> None:
    upload = Upload("http/2").begin()
    upload.send(b"x" * 50_000)
    assert upload.window == 15_535
    upload.read(40_000)
    assert upload.window == 55_535
    # A handler that waits is faster than the client: more may be on its way.
    upload.read()
    read = upload.read()
    assert not read.settled
    assert upload.window == 256 * 1024


def test_pieces_of_one_byte_are_merged(kind: str) -> None:
    upload = Upload(kind).begin(3000)
    for _ in range(3000):
        upload.send(b"x")
    upload.end()
    assert len(upload.read().value) == 3000


def test_one_read_at_a_time(kind: str) -> None:
    upload = Upload(kind).begin(5)
    upload.read()
    with pytest.raises(RuntimeError, match="another read"):
        upload.read()


@pytest.mark.parametrize(
    ("limit", "timeout", "error"),
    [
        (0, None, ValueError),
        (-1, None, ValueError),
        ("1", None, TypeError),
        (True, None, TypeError),
        (None, -1, ValueError),
        (None, "1", TypeError),
    ],
)
def test_wrong_arguments(limit: Any, timeout: Any, error: type[Exception]) -> None:
    upload = Upload("length").begin(5)
    with pytest.raises(error):
        upload.read(limit, timeout)


# Who gives up -----------------------------------------------------------------------------------------


def test_a_read_that_is_too_late_loses_nothing(kind: str) -> None:
    upload = Upload(kind).begin(5)
    read = upload.read(timeout=2)
    upload.driven.advance(2)
    with pytest.raises(ReadTimeoutError):
        read.value  # noqa: B018
    upload.send(b"hello")
    assert upload.read().value == b"hello"


def test_no_time_at_all_takes_what_is_there(kind: str) -> None:
    upload = Upload(kind).begin(5)
    with pytest.raises(ReadTimeoutError):
        upload.read(timeout=0).value  # noqa: B018
    upload.send(b"hello")
    assert upload.read(timeout=0).value == b"hello"


def test_a_read_that_was_withdrawn_gives_back_what_it_has_brought(kind: str) -> None:
    upload = Upload(kind).begin(10)
    upload.send(b"01234")
    first = upload.read(2)
    second = upload.read(1)
    upload.exchange.withdraw(second, upload.driven.now)
    upload.exchange.withdraw(first, upload.driven.now)
    upload.send(b"56789") if kind == "http/2" else None
    assert upload.read(5).value == b"01234"


def test_a_waiting_read_that_was_withdrawn_lets_another_wait(kind: str) -> None:
    upload = Upload(kind).begin(10)
    upload.exchange.withdraw(upload.read(), upload.driven.now)
    upload.send(b"01234")
    assert upload.read().value == b"01234"


def test_credit_is_given_once_for_what_was_given_back() -> None:
    upload = Upload("http/2").begin()
    upload.send(b"x" * 60_000)
    for _ in range(5):
        upload.exchange.withdraw(upload.read(), upload.driven.now)
    assert len(upload.read().value) == 60_000
    assert upload.window == 65_535


# Time -------------------------------------------------------------------------------------------------


def test_body_timeout_counts_only_while_the_handler_waits(kind: str) -> None:
    upload = Upload(kind, body_timeout=10, min_body_rate=0).begin(100)
    upload.driven.advance(1000)
    upload.send(b"x")
    upload.driven.advance(1000)
    assert upload.read().value == b"x"
    read = upload.read()
    upload.driven.advance(9.9)
    assert not read.settled
    upload.driven.advance(0.1)
    with pytest.raises(BodyTimeoutError, match="10"):
        read.value  # noqa: B018
    with pytest.raises(BodyTimeoutError):
        upload.read().value  # noqa: B018


def test_a_byte_now_and_then_is_too_slow(kind: str) -> None:
    upload = Upload(kind, min_body_rate=100).begin(10_000)
    waited = 0
    for second in count():
        read = upload.read()
        upload.driven.advance(1)
        if read.failed:
            break
        upload.send(b"x" * 10)
        assert read.value
        waited = second
    # 5 seconds are free, and each second's bytes pay for a tenth of one.
    assert 4 <= waited <= 6
    with pytest.raises(BodyTimeoutError, match="slowly"):
        read.value  # noqa: B018


def test_a_slow_handler_is_not_a_slow_client(kind: str) -> None:
    upload = Upload(kind, min_body_rate=1000).begin(100)
    for _ in range(100):
        upload.driven.advance(10)
        upload.send(b"x")
        assert upload.read().value == b"x"
    upload.end()
    assert upload.read().value == b""


# 100 Continue -----------------------------------------------------------------------------------------

EXPECT = (("expect", "100-continue"),)


def test_the_first_read_asks_for_the_body(kind: str) -> None:
    upload = Upload(kind).begin(5, EXPECT)
    upload.push()
    assert upload.statuses == []
    read = upload.read()
    upload.push()
    assert upload.statuses == [100]
    upload.send(b"hello")
    assert read.value == b"hello"
    upload.end()
    upload.read()
    upload.answer()
    assert upload.statuses == [100, 200]
    assert upload.driven.connection.wants_read


def test_a_handler_can_refuse_before_the_upload(kind: str) -> None:
    upload = Upload(kind).begin(5, EXPECT)
    upload.answer(b"no", 403)
    assert upload.statuses == [403]
    if kind == "http/2":
        assert upload.driven.client.streams[upload.stream].reset == 0  # type: ignore[attr-defined]
    else:
        # Whether the body comes can't be known.
        assert upload.driven.connection.half_close_expected()
        assert b"connection: close" in upload.driven.wire


def test_a_client_that_does_not_wait_is_not_asked(kind: str) -> None:
    upload = Upload(kind)
    if kind == "http/2":
        pytest.skip("it says so in a frame of its own")
    rest = b"content-length: 5\r\n\r\nhello"
    if kind == "chunked":
        rest = b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"
    upload.driven.receive(b"POST / HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\n" + rest)
    assert upload.read().value == b"hello"
    upload.push()
    assert upload.statuses == []


def test_the_whole_mode_asks_at_once(kind: str) -> None:
    upload = Upload(kind).begin(5, EXPECT, path="/whole")
    upload.push()
    assert upload.statuses == [100]


def test_http2_is_driven_too() -> None:
    assert isinstance(Upload("http/2").driven, Driven2)


def test_a_handler_that_reads_64_kib_a_second_holds_the_client_to_that(kind: str) -> None:
    """At any time no more has come than was read, and what may be held."""
    rate, most = 65536, 65536 if kind != "http/2" else 256 * 1024
    upload = Upload(kind, min_body_rate=0).begin(100 * rate)
    sent = got = 0

    def fill() -> None:
        nonlocal sent
        while size := min(rate, upload.window if upload.is_http2 else rate):
            if not upload.is_http2 and not upload.driven.connection.wants_read:
                break
            upload.send(b"x" * size)
            sent += size

    for second in range(1, 31):
        while got < second * rate:
            read = upload.read(second * rate - got)
            fill()
            got += len(read.value)
            assert sent <= got + most
        upload.driven.advance(1)
    assert got == 30 * rate


def test_a_client_of_http2_may_send_one_body_after_the_other() -> None:
    """While it sends the first at the rate that is asked for, the second waits without harm."""
    upload = Upload("http/2", min_body_rate=100, body_timeout=1000).begin()
    first = upload.stream
    waiting = upload.begin().read()
    second, upload.stream = upload.exchange, first
    exchange = upload.driven.exchanges[0]
    for _ in range(30):
        upload.driven.advance(1)
        upload.send(b"x" * 150)
        assert exchange.read(None, upload.driven.now).value
    assert not waiting.settled
    # Once nothing comes of any, it is too slow.
    upload.driven.advance(1000)
    assert waiting.failed
    with pytest.raises(BodyTimeoutError):
        second.read(None, upload.driven.now).value  # noqa: B018


def test_a_read_that_failed_or_whose_body_is_given_up_brings_nothing_back(kind: str) -> None:
    upload = Upload(kind).begin(10)
    late = upload.read(timeout=0)
    upload.exchange.withdraw(late, upload.driven.now)
    upload.send(b"01234")
    read = upload.read(5)
    assert read.value == b"01234"
    upload.driven.lost()
    upload.exchange.withdraw(read, upload.driven.now)
    incoming = upload.exchange.incoming
    assert incoming is not None
    assert (incoming.held, incoming.is_read) == (0, False)


def test_all_is_read_when_all_has_come_and_nothing_is_left(kind: str) -> None:
    upload = Upload(kind).begin(10)
    incoming = upload.exchange.incoming
    assert incoming is not None
    upload.send(b"0123456789")
    upload.end()
    assert not incoming.is_read
    assert upload.read().value == b"0123456789"
    assert upload.read().value == b""
    assert incoming.is_read
    incoming.fail(BodyError("too late"), upload.driven.now)
    assert incoming.error is None
    assert upload.read().value == b""


def test_where_no_rate_is_asked_for_other_bodies_earn_no_time() -> None:
    upload = Upload("http/2", min_body_rate=0, body_timeout=10).begin(10)
    first, waiting = upload.stream, upload.read()
    upload.begin(5)
    assert upload.stream != first
    upload.driven.advance(9)
    upload.send(b"12345")
    upload.driven.advance(1)
    assert waiting.failed


def test_who_has_begun_to_answer_does_not_ask_for_the_body(kind: str) -> None:
    upload = Upload(kind).begin(5, (("expect", "100-continue"),))
    upload.exchange.write(b"I know already", upload.driven.now)
    upload.push()
    read = upload.read()
    upload.push()
    assert upload.statuses == [200]
    upload.send(b"hello")
    assert read.value == b"hello"
