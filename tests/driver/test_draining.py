"""The drain over sockets: handlers are told and end by themselves, others are waited for, then cut."""

import logging
from typing import Any

import anyio
import pytest
from tests.driver.harness import Client, Observed, Serving, in_thread, until, within_bound
from tests.driver.net import Net

from httpng_core import Application, Request
from httpng_driver import IO, Feed

pytestmark = pytest.mark.anyio


async def test_a_stream_says_goodbye_and_the_server_ends(net: Net) -> None:
    begun = anyio.Event()

    @Observed
    async def handler(req: Request, io: IO) -> bool:
        await io.write("data: hello\n\n")
        begun.set()
        due = await io.wait_draining()
        await io.write("retry: 100\n\n")
        return due and io.draining

    async with (
        net.serving(handler, cancel=False, shutdown_timeout=3600) as server,
        net.connect(server) as client,
    ):
        client.request()
        await within_bound(begun)
        server.shutdown()
        assert await handler.outcome()
        received = await in_thread(client.read_response)
    assert received.body.endswith(b"retry: 100\n\n")


async def test_a_follow_until_then_ends_with_the_newest_value(net: Net) -> None:
    feed = Feed()

    @Observed
    async def handler(req: Request, io: IO) -> Any:
        ended = await io.follow(feed, until_draining=True)
        await io.write("bye")
        return ended

    async with net.serving(handler, cancel=False, shutdown_timeout=3600) as server:
        feed.publish("one,", "a")
        async with net.connect(server) as client:
            client.request()
            await until(lambda: feed.get_stats().delivered)
            feed.publish("two,", "a")
            server.shutdown()
            assert await handler.outcome() is None
            received = await in_thread(client.read_response)
    assert received.body == b"one,two,bye"


async def test_a_connection_without_a_request_yet_has_its_first_one_answered(net: Net) -> None:
    async with net.serving(lambda req: "hello", cancel=False) as server:
        with net.client(server) as client:
            await until(lambda: server.connections)
            server.shutdown()
            await until(lambda: not server.statistics().listeners)
            if net.transport.tls:
                await in_thread(client.shake)
            client.request()
            received = await in_thread(client.read_response)
    assert (received.status, received.body) == (200, b"hello")


async def test_a_connection_that_asks_for_nothing_holds_no_drain_up(net: Net) -> None:
    never = {"shutdown_timeout": 3600, "header_timeout": 3600, "handshake_timeout": 3600}
    async with net.serving(lambda req: "hello", cancel=False, **never) as server:
        with net.client(server):
            await until(lambda: server.connections)
            server.shutdown()
            await until(lambda: not server.connections)


async def test_what_is_waited_for_is_told_once(serving: Serving, caplog: pytest.LogCaptureFixture) -> None:
    begun, over = anyio.Event(), anyio.Event()

    async def handler(req: Request, io: IO) -> None:
        await io.write("for ever")
        begun.set()
        await io.wait_cancelled()
        over.set()

    with caplog.at_level(logging.INFO, "httpng"):
        async with serving(handler, cancel=False, shutdown_timeout=3600) as server:
            with Client(server.addresses[0]) as client:
                client.send(b"GET /endless?a=1 HTTP/1.1\r\nhost: x\r\n\r\n")
                await within_bound(begun)
                server.shutdown()
                await until(lambda: "waiting up to" in caplog.text)
                server.shutdown(0)
                await within_bound(over)
    [line] = [record.getMessage() for record in caplog.records if "waiting" in record.getMessage()]
    assert "for 1 exchange on 1 connection to end: GET /endless?a=1; a second signal" in line


async def test_an_application_is_told_in_each_loop(serving: Serving) -> None:
    class Told(Application):
        threads_told = 0

        def drained(self, runner: Any) -> None:
            self.threads_told += 1

    app = Told(lambda req: "hello", threads=2)
    async with serving(app, cancel=False) as server:
        server.shutdown()
    assert app.threads_told == 2
