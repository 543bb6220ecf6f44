"""The drain, as handlers learn it: who waits for it, what follows until then, what begins while it lasts."""

from collections.abc import Generator
from typing import Any

import pytest
from tests.core.driving import GET, Driven

from httpng_core import Feed, GeneratorIO, Request
from httpng_core.testing import Loopback


def test_who_waits_is_told_when_the_connection_drains() -> None:
    driven = Driven()
    wait = driven.exchange.wait_draining(driven.now)
    assert not wait.settled
    assert not driven.exchange.draining
    driven.connection.drain(driven.now)
    assert driven.exchange.draining
    assert wait.result is True
    assert driven.exchange.wait_draining(driven.now).result is True


def test_a_wait_whose_time_is_up_says_so_and_nothing_of_it_is_left() -> None:
    driven = Driven()
    wait = driven.exchange.wait_draining(driven.now, 2.0)
    assert driven.connection.next_deadline() == driven.now + 2.0
    driven.connection.handle_timeout(driven.now + 2.0)
    assert wait.result is False
    driven.connection.drain(driven.now)


def test_a_wait_ends_with_its_exchange() -> None:
    driven = Driven()
    wait = driven.exchange.wait_draining(driven.now)
    driven.connection.connection_lost(driven.now)
    assert wait.result is True
    assert driven.connection.statistics().timers == 0


def test_a_wait_can_be_withdrawn() -> None:
    driven = Driven()
    wait = driven.exchange.wait_draining(driven.now, 5.0)
    driven.exchange.withdraw(wait, driven.now)
    assert wait.result is False
    assert driven.connection.statistics().timers == 0


def test_a_wrong_timeout_raises() -> None:
    driven = Driven()
    with pytest.raises(ValueError, match="timeout"):
        driven.exchange.wait_draining(driven.now, -1.0)


def test_a_request_that_becomes_whole_during_the_drain_finds_it_so() -> None:
    driven = Driven(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\na")
    driven.connection.drain(driven.now)
    driven.receive(b"b")
    assert driven.exchange.draining
    assert driven.exchange.wait_draining(driven.now).settled


def follow(driven: Driven, feed: Feed, *, until_draining: bool) -> Any:
    return driven.exchange.follow(feed.follower(), driven.now, until_draining=until_draining)


def test_a_follow_until_then_sends_what_is_pending_and_ends() -> None:
    driven = Driven()
    feed = Feed(clock=driven.clock)
    pending = follow(driven, feed, until_draining=True)
    feed.publish("last", "a")
    driven.connection.drain(driven.now)
    feed.publish("for the next server", "a")
    assert not pending.settled
    driven.push()
    assert pending.settled
    assert pending.result is None
    assert b"last" in driven.wire
    assert b"for the next server" not in driven.wire
    stats = feed.get_stats()
    assert (stats.followers, stats.delivered, stats.skipped) == (0, 1, 0)
    assert driven.exchange.write("bye", driven.now).settled


def test_a_follow_that_does_not_say_so_goes_on() -> None:
    driven = Driven()
    feed = Feed(clock=driven.clock)
    pending = follow(driven, feed, until_draining=False)
    driven.connection.drain(driven.now)
    feed.publish("still")
    driven.push()
    assert not pending.settled
    assert b"still" in driven.wire


def test_a_follow_that_begins_during_the_drain_sends_what_there_is() -> None:
    driven = Driven()
    feed = Feed(clock=driven.clock)
    feed.publish("newest", "a")
    driven.connection.drain(driven.now)
    pending = follow(driven, feed, until_draining=True)
    driven.push()
    assert pending.settled
    assert b"newest" in driven.wire


def goodbye(req: Request, io: GeneratorIO) -> Generator[Any, Any, None]:
    ticks = 0
    while not (yield io.wait_draining(1.0)):
        ticks += 1
        yield io.write(f"{ticks} {io.draining}\n")
    yield io.write(f"bye {io.draining}\n")


async def goodbye_async(req: Request, io: Any) -> None:
    ticks = 0
    while not await io.wait_draining(1.0):
        ticks += 1
        await io.write(f"{ticks} {io.draining}\n")
    await io.write(f"bye {io.draining}\n")


@pytest.mark.parametrize("handler", [goodbye, goodbye_async])
def test_a_handler_says_goodbye_and_ends_cleanly(handler: Any) -> None:
    loop = Loopback(handler)
    client = loop.connect()
    client.get()
    loop.advance(1.0)
    loop.advance(1.0)
    ended = loop.application.shutdown()
    loop.settle()
    [response] = client.responses()
    assert response.complete
    assert response.body == b"1 False\n2 False\nbye True\n"
    client.half_close()
    assert ended.settled


def test_over_http2_as_well() -> None:
    loop = Loopback(goodbye)
    peer = loop.connect_http2()
    stream = peer.request()
    loop.advance(1.0)
    loop.application.shutdown()
    loop.settle()
    assert stream.complete
    assert bytes(stream.body) == b"1 False\nbye True\n"
    # No more requests are taken.
    assert peer.http2.goaway == 0


def test_nothing_is_kept_for_who_never_waits() -> None:
    driven = Driven(GET)
    assert driven.exchange.drain_waits is None
