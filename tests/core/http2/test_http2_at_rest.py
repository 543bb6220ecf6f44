"""When a connection of HTTP/2 says that it rests, a driver asks nothing else; so it must be true."""

from collections.abc import Callable
from math import inf
from typing import Any

import pytest
from tests.core.driving import Driven, promised_at_rest
from tests.core.driving2 import Driven2

PING = b"\0\0\x08\6\0\0\0\0\0" + bytes(8)
CREDIT = b"\0\0\4\x08\0\0\0\0\0\0\0\0\1"


def rests(driven: Driven2) -> bool:
    return promised_at_rest(driven.connection)


def streaming(window: int = 1 << 20, **settings: Any) -> Driven2:
    """One of whose response the kernel has all that was written so far."""
    driven = Driven2(window, reads=False, tells_acknowledged=True, **settings)
    driven.begin()
    driven.write(b"a piece")
    driven.turn()
    return driven


def test_it_rests_after_an_answer_and_while_handlers_run(http2_engine: str) -> None:
    driven = Driven2()
    for _ in range(3):
        driven.begin()
        driven.begin()
        assert rests(driven), "the handlers may take their time"
        for exchange in driven.exchanges[-2:]:
            exchange.answer(200, None, b"hello", driven.now)
        assert not rests(driven)
        driven.turn()
        assert rests(driven)
    # A second request is taken without a look at all else.
    driven.receive(driven.client.take())
    driven.client.request()
    driven.receive(driven.client.take())
    # Of a request that h2 has read there is always a look.
    assert driven.connection.is_at_rest == (http2_engine == "fast")


def test_it_rests_between_pieces() -> None:
    driven = streaming()
    assert rests(driven)
    driven.write(b"another")
    assert not rests(driven)
    driven.turn()
    assert rests(driven)
    driven.exchange.finish(driven.now)
    assert not rests(driven)
    driven.turn()
    assert rests(driven)


@pytest.mark.parametrize(
    "disturb",
    [
        lambda driven: driven.write(b"x" * 10, timeout=9, window=0),
        lambda driven: driven.exchange.wait(7, driven.now, inf, "acked"),
        lambda driven: driven.wait(1000),
        lambda driven: driven.receive(PING),
        lambda driven: driven.receive(CREDIT[:4]),
        lambda driven: driven.receive(b"xxxxxxxxxxx"),
        lambda driven: driven.eof(),
        lambda driven: driven.lost(),
        lambda driven: driven.connection.abort(driven.now),
        lambda driven: driven.connection.drain(driven.now),
        lambda driven: driven.exchange.reset(driven.now),
        lambda driven: driven.exchange.fail(driven.now),
        lambda driven: driven.exchange.finish(driven.now),
    ],
)
def test_what_comes_between_pieces_ends_the_rest(disturb: Callable[[Driven2], object]) -> None:
    driven = streaming()
    assert rests(driven)
    disturb(driven)
    assert not driven.connection.is_at_rest or not rests(driven)


def test_what_a_window_holds_ends_the_rest_once_the_handler_is_done() -> None:
    driven = streaming(window=5)
    assert not rests(driven)
    driven.exchange.finish(driven.now)
    driven.turn()
    assert not rests(driven)
    assert driven.connection.wants_acknowledged
    driven.client.give(2, 1)
    driven.turn()
    assert rests(driven)


def test_a_request_whose_body_comes_in_ends_the_rest() -> None:
    driven = Driven2()
    driven.client.send_fields(
        1, ((":method", "POST"), (":scheme", "http"), (":authority", "x"), (":path", "/")), b"x"
    )
    body = driven.client.take()
    driven.receive(body[:-10])
    driven.push()
    assert not rests(driven)
    driven.receive(body[-10:])
    driven.exchange.answer(200, None, b"ok", driven.now)
    driven.turn()
    assert rests(driven)


def test_who_drains_rests_no_more() -> None:
    driven = Driven2()
    driven.begin()
    driven.connection.drain(driven.now)
    driven.turn()
    driven.exchange.answer(200, None, b"bye", driven.now)
    driven.turn()
    assert not rests(driven)
    assert driven.connection.half_close_expected()


def test_what_is_to_be_sent_ends_the_rest_or_was_told_by_a_wake() -> None:
    def handlers(driven: Driven2) -> dict[str, Callable[[], object]]:
        exchange, now = driven.exchange, driven.now
        return {
            "answer": lambda: exchange.answer(200, None, b"x", now),
            "a long answer": lambda: exchange.answer(200, None, b"x" * 100_000, now),
            "finish": lambda: exchange.finish(now),
            "fail": lambda: exchange.fail(now),
            "refuse": lambda: exchange.refuse(400, "no", now),
            "close": lambda: exchange.close(now),
            "reset": lambda: exchange.reset(now),
            "header": driven.header,
            "write": lambda: driven.write(b"x"),
            "a long write": lambda: exchange.write(b"x" * 100, now, None, 0),
            "early hints": lambda: exchange.write_informational(103, {"link": "</a>"}, now),
            "abort": lambda: driven.connection.abort(now),
        }

    driven = Driven2()
    driven.begin()
    for name in handlers(driven):
        driven = Driven2()
        driven.begin()
        assert rests(driven)
        driven.wakes = 0
        handlers(driven)[name]()
        assert driven.connection.wants_write or driven.connection.close_expected(), name
        assert driven.wakes, name


def header_frame(stream_id: int, block: bytes, flags: int = 5, kind: int = 1) -> bytes:
    return len(block).to_bytes(3) + bytes((kind, flags)) + stream_id.to_bytes(4) + block


def path(text: bytes) -> bytes:
    """A GET over http of a host, whose path is a literal."""
    return b"\x82\x86\x01\x01x\x04" + bytes((len(text),)) + text


@pytest.mark.parametrize(
    "frames",
    [
        [header_frame(3, path(b"/again"))],
        [header_frame(3, path(b"/other"))],
        [
            header_frame(3, path(b"/other")),
            header_frame(5, path(b"/other")),
            header_frame(9, path(b"/again")),
        ],
        [header_frame(4, path(b"/again"))],
        [header_frame(1, path(b"/again"))],
        [header_frame(3, path(b"no path"))],
        [header_frame(3, path(b"/again"), flags=4), header_frame(3, b"body", flags=1, kind=0)],
        [header_frame(3, path(b"/again"), flags=1), header_frame(3, b"", flags=4, kind=9)],
        [header_frame(3, path(b"/again") + b"\x0f\x0d\x011")],
        # It puts a field into the table, so that blocks may mean something else.
        [header_frame(3, path(b"/again") + b"\x40\x01a\x01b"), header_frame(5, path(b"/again") + b"\xbe")],
        [header_frame(3, path(b"/again") + b"\xbe")],
        [header_frame(3, b"")],
        [PING, header_frame(3, path(b"/again"))],
        [
            header_frame(3, path(b"/again")),
            b"\0\0\4\3\0\0\0\0\3" + bytes(4),
            header_frame(5, path(b"/again")),
        ],
    ],
)
@pytest.mark.parametrize("limits", [{}, {"trusted_proxies": ["10.0.0.0/8"]}])
def test_what_comes_while_it_rests_means_what_it_means_else(frames: list[bytes], limits: Any) -> None:
    """A request that comes in one piece is taken by a short way, one that comes in two is not."""
    seen = []
    for cut in (0, 3, 9, 11):
        driven = Driven2(tells_complete=True, **limits)
        driven.receive(header_frame(1, path(b"/again")))
        driven.exchange.answer(200, None, b"hello", driven.now)
        Driven.push(driven)
        assert rests(driven)
        for frame in frames:
            for piece in (frame[:cut], frame[cut:]):
                driven.receive(piece)
            Driven.push(driven)
            if driven.exchanges and not driven.exchange.is_over:
                driven.exchange.answer(200, None, b"hello", driven.now)
            Driven.push(driven)
        requests = [(one.request.method, one.request.path, one.request.headers) for one in driven.exchanges]
        seen.append((requests, bytes(driven.wire), driven.outcomes, driven.connection.close_expected()))
    assert all(one == seen[0] for one in seen)
    assert seen[0][0][0][1] == "/again"
