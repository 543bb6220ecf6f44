"""Handlers in another language: plain values go in, and what they return comes as such."""

import gc
import logging
import sys
from collections.abc import Callable
from typing import Any

import pytest

from httpng_core import Address, Answers, Application, Exchange, Host, Runner
from httpng_core.languages import answer_plain, split_ends, split_pairs
from httpng_core.testing import Loopback

SUBSTITUTE = b"Path handler execution error"


class Plain:
    """A handler that returns a status, a body and lines of headers."""

    def __init__(self, *answer: Any, is_start: bool = True) -> None:
        self.answer = answer
        self.is_start = is_start

    def start(self, exchange: Exchange, runner: Runner) -> None:
        status, body, lines = self.answer
        answer_plain(exchange, runner, status, body, lines, self.is_start)


def asked(*answer: Any, is_start: bool = True) -> tuple[int, dict[str, str], bytes]:
    client = Loopback(Plain(*answer, is_start=is_start)).connect()
    client.get()
    (response,) = client.responses()
    assert response.complete
    return response.status, dict(response.headers), response.body


@pytest.mark.parametrize("is_start", [True, False])
@pytest.mark.parametrize("status", [201, 201.0])
def test_what_is_returned_is_sent(is_start: bool, status: float) -> None:
    sent, headers, body = asked(status, b"hello", b"x-a\none\nX-B\ntwo words", is_start=is_start)
    assert (sent, body) == (201, b"hello")
    assert (headers["x-a"], headers["x-b"]) == ("one", "two words")


def test_no_response_is_an_empty_one_with_those_headers() -> None:
    sent, headers, body = asked(None, None, b"x-a\none")
    assert (sent, headers["x-a"], body) == (200, "one", b"")


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ((99, b"", None), "99"),
        ((200, b"", b"x a\nb"), "x a"),
        ((200, b"hello", b"content-length\n4"), "4"),
    ],
)
def test_what_can_not_be_sent_is_told_and_answered_with_500(
    answer: tuple[Any, ...], told: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, "httpng"):
        sent, _, body = asked(*answer)
    assert (sent, body) == (500, SUBSTITUTE)
    (record,) = caplog.records
    assert told in record.getMessage()


def test_the_same_headers_with_another_status_are_another_head() -> None:
    assert [asked(status, b"", b"x-a\none")[0] for status in (200, 404, 200)] == [200, 404, 200]


@pytest.mark.parametrize("is_start", [True, False])
def test_only_what_is_returned_within_the_start_is_collected(is_start: bool) -> None:
    """Whoever starts handlers gives what was collected, and looks at the connection; else that is woken."""
    woken: list[int] = []
    application = Application(Plain(201, b"hello", None, is_start=is_start))
    runner = application.runner(lambda: 100.0)
    connection = application.connection(100.0, host=Host(lambda: woken.append(1)))
    connection.receive_data(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 100.0)
    answers: Answers = []
    runner.serve(connection, answers)
    assert [(head.status, data) for _, head, data in answers] == ([(201, b"hello")] if is_start else [])
    assert woken == ([] if is_start else [1])


def test_many_heads_and_long_ones_are_sent_like_others() -> None:
    for number in range(300):
        _, headers, _ = asked(200, b"", b"x-number\n%d" % number)
        assert headers["x-number"] == str(number)
    long = b"a" * 1000
    for _ in range(2):
        assert asked(200, b"", b"x-long\n" + long)[1]["x-long"] == long.decode()


def test_pairs_are_split_from_lines() -> None:
    assert split_pairs(None) == ()
    assert split_pairs(b"a\n1\nb\n") == (("a", b"1"), ("b", b""))
    assert split_pairs(b"a\n\xe4") == (("a", b"\xe4"),)


# The ends of the connection -----------------------------------------------------------------------------


def ends_of(peer: Address, ours: Address) -> Callable[[], bytes]:
    """Return what asks a connection with these ends, and returns what its handler gets of them."""
    found: list[bytes] = []

    class Seeing:
        def start(self, exchange: Exchange, runner: Runner) -> None:
            (ends, lines, *_) = exchange.request.plain_values()
            assert isinstance(ends, bytes)
            assert isinstance(lines, bytes)
            found.append(ends)
            answer_plain(exchange, runner, 200, b"", None, True)

    loop = Loopback(Seeing())
    client = loop.connect()
    client.connection = loop.application.connection(loop.clock.now, peer=peer, ouraddr=ours)

    def ask() -> bytes:
        client.get()
        return found.pop()

    return ask


@pytest.mark.parametrize(
    ("peer", "ours"),
    [
        (Address("192.0.2.1", 50000), Address("192.0.2.2", 80)),
        (Address("fe80::1", 5, "AF_INET6"), Address("::1", 443, "AF_INET6")),
        (Address("/a b\n1 2", 0, "AF_UNIX"), Address("", 0, "AF_UNIX")),
        (Address("", 0, "AF_UNIX"), Address("/run/\xe4 5", 0, "AF_UNIX")),
        (Address("/no\udcff text", 0, "AF_UNIX"), Address("", 0, "AF_UNIX")),
    ],
)
def test_the_ends_come_as_one_text(peer: Address, ours: Address) -> None:
    assert split_ends(ends_of(peer, ours)()) == (peer, ours)


def test_the_text_of_a_connection_stays_the_same_one() -> None:
    ask = ends_of(Address("192.0.2.1", 50000), Address("192.0.2.2", 80))
    assert ask() is ask()


def test_equal_peers_with_other_ends_of_ours_are_told_apart() -> None:
    peer = Address("192.0.2.1", 50000)
    for port in (80, 81, 80):
        ours = Address("192.0.2.2", port)
        assert split_ends(ends_of(peer, ours)()) == (peer, ours)


def test_the_ends_of_many_connections_are_each_their_own() -> None:
    asks = {port: ends_of(Address("192.0.2.1", port), Address("192.0.2.2", 80)) for port in range(1, 1200)}
    for _ in range(2):
        for port, ask in asks.items():
            assert split_ends(ask())[0].port == port


def test_the_ends_of_connections_are_not_kept_for_ever() -> None:
    peer, ours = Address("192.0.2.1", 50000), Address("192.0.2.2", 80)
    before = sys.getrefcount(peer)
    ends_of(peer, ours)()
    assert sys.getrefcount(peer) > before
    for port in range(1, 1200):
        ends_of(Address("192.0.2.1", port), ours)()
    gc.collect()
    assert sys.getrefcount(peer) == before
