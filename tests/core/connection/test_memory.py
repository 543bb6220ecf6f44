"""An exchange and its connection are freed when they are over, without the help of the cyclic collector."""

import gc
from collections import Counter
from collections.abc import Iterator

import pytest
from tests.core.conftest import Carry
from tests.core.driving import Driven
from tests.core.transports import TRANSPORTS, Carried
from tests.core.websocket.speaking import Socket, close

from httpng_core import Feed, confirmations

# The frames of HTTP/2 are h2's, whose tables hold its own methods: that needs the collector.
OURS = pytest.mark.parametrize("kind", ["http/1.1", "tls"])
ENDS = ["complete", "cancelled", "reset", "cut", "lost", "stalled", "raised", "drained", "timed out"]


EXCHANGE = frozenset(
    {
        "Exchange",
        "Follow",
        "Follower",
        "Request",
        "StallWatch",
        "Stream",
        "Waits",
        "Wait",
        "Write",
        "WriterQueue",
    }
)
CONNECTION = EXCHANGE | {
    *(
        "Connection",
        "Endpoint",
        "Http1",
        "Http2",
        "Intake",
        "Ledger",
        "Outbound",
        "RequestParser",
        "ServerH2",
    ),
    *("H2Stream", "SealedOutbound", "Timer", "Timers", "TlsEnd", "TlsLayer"),
}


def alive(names: frozenset[str]) -> Counter[str]:
    """How many objects there are of each of these classes."""
    return Counter(type(each).__name__ for each in gc.get_objects() if type(each).__name__ in names)


@pytest.fixture(autouse=True)
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def busy(one: Carried) -> None:
    """Most of what an exchange can have is under way: a queue, waits, timers, a window along the path."""
    one.exchange.stall_timeout = 100
    one.write(b"x" * 10, 30)
    one.push()
    one.exchange.wait(1000, one.now, 30)
    one.write(b"y" * 40, 30)
    one.write(b"z" * 5, 30)


def end(one: Carried, how: str) -> None:
    """An end of this kind, and what it takes until all of it is over."""
    exchange, connection = one.exchange, one.driven.connection
    if how == "complete":
        one.push()
        exchange.close(one.now)
    elif how == "cancelled":
        exchange.cancel(one.now)
    elif how == "reset":
        exchange.reset(one.now)
    elif how == "cut":
        one.finish()
    elif how == "lost":
        connection.connection_lost(one.now)
    elif how == "stalled":
        one.finish()
        one.advance(31)
    elif how == "raised":
        one.fail()
    elif how == "drained":
        connection.drain(one.now)
        exchange.close(one.now)
    else:
        one.advance(31)
        one.finish()
    one.push()
    assert len(one.outcomes) == 1


@TRANSPORTS
@pytest.mark.parametrize("how", ENDS)
def test_an_exchange_goes_when_it_is_over_though_its_connection_stays(
    carry: Carry, kind: str, how: str
) -> None:
    before = alive(EXCHANGE)
    one = carry(kind, default_send_window=10)
    busy(one)
    end(one, how)
    driven = one.driven
    del one
    driven.events.clear()
    assert alive(EXCHANGE) - before == Counter()
    assert driven.connection.statistics().timers == 0


@OURS
@pytest.mark.parametrize("how", ENDS)
def test_a_connection_goes_once_its_socket_is_closed(carry: Carry, kind: str, how: str) -> None:
    before = alive(CONNECTION)
    one = carry(kind, default_send_window=10)
    busy(one)
    end(one, how)
    one.driven.connection.connection_lost(one.now)
    del one
    assert alive(CONNECTION) - before == Counter()


@OURS
def test_one_that_follows_a_feed_goes_too(carry: Carry, kind: str) -> None:
    before = alive(CONNECTION)
    one = carry(kind)
    feed = Feed(clock=one.driven.clock)
    one.exchange.follow(feed.follower(), one.now)
    feed.publish("tick")
    one.push()
    one.driven.connection.connection_lost(one.now)
    assert one.outcomes == ["cancelled"]
    del one
    assert alive(CONNECTION) - before == Counter()
    assert feed.get_stats().followers == 0


@OURS
def test_a_handler_that_keeps_its_exchange_keeps_nothing_of_the_connection(carry: Carry, kind: str) -> None:
    before = alive(CONNECTION)
    one = carry(kind)
    one.write(b"abc")
    one.finish()
    one.push()
    kept = one.exchange
    one.driven.connection.connection_lost(one.now)
    del one
    assert kept.stats(0.0).sent == 3
    assert set(alive(CONNECTION) - before) <= {"Exchange", "Request", "Timers"}


ASKING = EXCHANGE | {"Asker", "Confirming", "Heartbeat", "MessagePositions", "WebSocket"}


@pytest.mark.parametrize("how", ["lost", "closed", "asked"])
def test_what_asks_a_client_goes_with_its_exchange(how: str) -> None:
    before = alive(ASKING)
    socket = Socket()
    socket.ws.send("x", socket.now, 10, 0, "confirmed")
    socket.rest()
    if how == "closed":
        socket.receive(close())
        socket.rest()
    elif how == "asked":
        socket.ws.close(socket.now)
        socket.rest()
    socket.lost()
    socket.events.clear()
    del socket.ws
    assert alive(ASKING) == before


def test_a_stream_with_a_token_goes_when_it_is_over() -> None:
    before = alive(ASKING)
    confirming = confirmations("/confirm")
    driven = Driven()
    driven.write(confirming.begin_events(driven.exchange, driven.clock))
    driven.push()
    driven.exchange.write("data: x\n\n", driven.now, 10, 0, None, "confirmed")
    driven.advance(0.1)
    driven.push()
    driven.lost()
    driven.events.clear()
    assert len(confirming) == 0
    assert alive(ASKING) == before
