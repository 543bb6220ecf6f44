"""What outlives one exchange: feeds, the memory of connections that are closed, the drain."""

import gc
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from httpng_core.connection import Connection
from httpng_core.feeds.feed import Feed
from httpng_core.sending.exchange import Exchange
from httpng_core.testing.conformance.base import Suite
from httpng_core.testing.conformance.client import BOUND, Client, Protocol
from httpng_core.testing.conformance.coroutines import Steps
from httpng_core.testing.conformance.driving import NEVER, Driver, Form, Served
from httpng_core.testing.conformance.sending import BIG, RECEIVE_BUFFER

PAYLOAD = 64 * 1024
MANY = 150
"""Payloads that are published: more than any kernel takes for a client that doesn't read."""


class FeedTests(Suite):
    """A feed that several clients follow."""

    def test_a_fast_and_a_stalled_follower(self, driver: Driver, form: Form, protocol: Protocol) -> None:
        """The fast one has every payload, the other whole ones in order, and the newest as the last."""
        server = driver.serves(_feed_handler(), form)
        fast, slow = server.client(protocol), server.client(protocol, receive_buffer=RECEIVE_BUFFER)
        publisher = server.client()
        publisher.get("/publish/0")
        fast.request("/follow")
        slow.request("/follow")
        for number in range(1, MANY):
            fast.read_body(number * PAYLOAD)
            assert publisher.get(f"/publish/{number}").status == 200
        fast.read_body(MANY * PAYLOAD)
        publisher.get("/close")
        assert _numbers(fast) == list(range(MANY))
        numbers = _numbers(slow)
        assert numbers == sorted(set(numbers))
        assert numbers[-1] == MANY - 1
        assert len(numbers) < MANY

    def test_a_follower_in_step_with_others(self, driver: Driver, form: Form) -> None:
        server = driver.serves(_feed_handler(), form)
        clients, publisher = [server.client() for _ in range(10)], server.client()
        publisher.get("/publish/0")
        for client in clients:
            client.request("/follow")
            client.read_body(PAYLOAD)
        for number in range(1, 5):
            publisher.get(f"/publish/{number}")
            for client in clients:
                client.read_body((number + 1) * PAYLOAD)
        publisher.get("/close")
        assert [_numbers(client) for client in clients] == [list(range(5))] * 10

    def test_a_follower_whose_client_leaves(self, driver: Driver, form: Form, protocol: Protocol) -> None:
        """Nothing moves when it leaves, so only the kernel can tell."""
        feed = Feed(clock=time.monotonic, lock=threading.RLock())

        def handler(req: Any, io: Any) -> Steps:
            feed.publish("the only one")
            result = yield io.follow(feed)
            driver.note("cancelled", result.cancelled)

        server = driver.serves(handler, form)
        client = server.client(protocol)
        client.request()
        client.read_body(1)
        client.close()
        assert server.noted("cancelled") is True


class MemoryTests(Suite):
    """Memory goes when what it was for is over."""

    @pytest.fixture
    def counted(self, driver: Driver, form: Form) -> Iterator[tuple[Served, Callable[[], int]]]:
        """Give a server, and how many connections and exchanges it has, not counting what asks."""

        def handler(req: Any, io: Any) -> Steps:
            if req.path == "/gc/off":
                gc.collect()
                gc.disable()
                return "off"
            if req.path == "/gc/on":
                gc.enable()
                return "on"
            if req.path == "/count":
                return f"{sum(type(each) in (Connection, Exchange) for each in gc.get_objects())}"
            yield io.write(b"begun")
            if req.path == "/wait":
                yield io.wait(NEVER, BOUND)
            elif req.path == "/big":
                yield io.write(BIG, timeout=BOUND)
            return None

        server = driver.serves(handler, form)
        control = server.client()
        control.get("/gc/off")
        yield server, lambda: int(control.get("/count").body)
        control.get("/gc/on")

    def test_closed_connections_leave_nothing_to_the_cyclic_collector(
        self, counted: tuple[Served, Callable[[], int]], protocol: Protocol
    ) -> None:
        server, count = counted
        before = count()
        for _ in range(5):
            _use_and_leave(server, protocol)
        until = time.monotonic() + 3
        while (after := count()) > before and time.monotonic() < until:
            time.sleep(0.02)
        assert after <= before


class DrainTests(Suite):
    """A drain, where the driver offers it."""

    def test_a_drain_ends_what_is_idle(
        self, driver: Driver, drain: Callable[[], None], protocol: Protocol
    ) -> None:
        client = driver.serves_plain(lambda req: "").client(protocol)
        client.get()
        drain()
        assert client.read_to_end() == "fin"

    def test_a_drain_lets_exchanges_finish(
        self, driver: Driver, drain: Callable[[], None], form: Form, protocol: Protocol
    ) -> None:
        def handler(req: Any, io: Any) -> Steps:
            yield io.write(b"begun ")
            yield io.wait(NEVER, 0.3)
            yield io.write(b"and done")

        client = driver.serves(handler, form).client(protocol)
        client.request()
        client.read_body(6)
        drain()
        answer = client.read_answer()
        assert (bytes(answer.body), answer.complete) == (b"begun and done", True)
        assert client.read_to_end() == "fin"

    def test_what_does_not_finish_in_time_is_reset(
        self, driver: Driver, drain: Callable[[], None], form: Form
    ) -> None:
        def handler(req: Any, io: Any) -> Steps:
            yield io.write(b"begun")
            yield io.wait(NEVER, BOUND)

        client = driver.serves(handler, form, shutdown_timeout=0.2).client()
        client.request()
        client.read_body(5)
        drain()
        assert not client.read_answer().complete
        assert client.ended == "reset"


def _feed_handler() -> Any:
    feed = Feed(clock=time.monotonic, lock=threading.RLock())

    def handler(req: Any, io: Any) -> Steps:
        if req.path == "/follow":
            yield io.follow(feed)
            return None
        if req.path == "/close":
            feed.close()
        else:
            feed.publish(req.path.rpartition("/")[2].encode().ljust(PAYLOAD))
        return "done"

    return handler


def _numbers(client: Client) -> list[int]:
    """Read the rest of what a follower gets; which payloads those were, each of them whole."""
    answer = client.read_answer()
    assert answer.complete
    assert len(answer.body) % PAYLOAD == 0
    return [int(answer.body[at : at + PAYLOAD]) for at in range(0, len(answer.body), PAYLOAD)]


def _use_and_leave(server: Served, protocol: Protocol) -> None:
    """Open connections and end them in every way: done, in the middle of a response, with one that stalls."""
    done = server.client(protocol)
    done.get()
    done.get()
    done.close()
    for path in ("/wait", "/big"):
        client = server.client(protocol, receive_buffer=RECEIVE_BUFFER)
        client.request(path)
        client.read_body(5)
        client.reset()
