"""What a handler raises, whatever class it has, is that exchange's trouble alone, on every loop."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from typing import Any

import anyio
import pytest
from tests.driver.harness import GET, Client, Received, Serving, in_thread, until
from tests.driver.net import Net

from httpng_core import GeneratorIO, Pending, Request, Router
from httpng_driver import IO, Feed
from httpng_driver.loop import EpollPoller

pytestmark = pytest.mark.anyio

BAD = b"GET /bad HTTP/1.1\r\nHost: x\r\n\r\n"


class PanicError(BaseException):
    """What extensions written in Rust raise for a panic is no Exception either."""


RAISED = [
    pytest.param(lambda: PanicError("p"), id="BaseException"),
    pytest.param(GeneratorExit, id="GeneratorExit"),
    pytest.param(asyncio.CancelledError, id="CancelledError"),
    pytest.param(lambda: BaseExceptionGroup("several", [PanicError("p"), ValueError("v")]), id="group"),
    pytest.param(lambda: StopIteration(5), id="StopIteration"),
]
each_error = pytest.mark.parametrize("error", RAISED, indirect=True)


@pytest.fixture
def error(request: pytest.FixtureRequest) -> BaseException:
    """One of its own for each test: its traceback keeps all that the handler saw."""
    made: BaseException = request.param()
    return made


def plain(error: BaseException) -> object:
    def handler(req: Request) -> str:
        if req.path == "/bad":
            raise error
        return "good"

    return handler


def generator(error: BaseException) -> object:
    def handler(req: Request, io: GeneratorIO) -> Generator[Pending, Any, str]:
        yield io.wait(0, 0)
        if req.path == "/bad":
            raise error
        return "good"

    return handler


def coroutine(error: BaseException) -> object:
    async def handler(req: Request, io: IO) -> str:
        if req.path == "/bad":
            raise error
        return "good"

    return handler


def coroutine_that_waited(error: BaseException) -> object:
    async def handler(req: Request, io: IO) -> str:
        await anyio.sleep(0.01)
        if req.path == "/bad":
            raise error
        return "good"

    return handler


def before_routes(error: BaseException) -> object:
    def before(req: Request) -> None:
        if req.path == "/bad":
            raise error

    router = Router()
    router.before(before)
    router.route("/*rest", lambda req: "good")
    return router


class Raising(Mapping[str, object]):
    """A response that raises when it is looked at."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __getitem__(self, key: str) -> object:
        raise self.error

    def __iter__(self) -> Iterator[str]:
        raise self.error

    def __len__(self) -> int:
        raise self.error


def by_what_is_returned(error: BaseException) -> object:
    return lambda req: Raising(error) if req.path == "/bad" else "good"


KINDS = [plain, generator, coroutine, coroutine_that_waited, before_routes, by_what_is_returned]


@pytest.fixture
def polls(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """One for each time that a loop has looked at its sockets."""
    polls: list[None] = []
    poll = EpollPoller.poll

    def counting(self: EpollPoller) -> int:
        polls.append(None)
        return poll(self)

    monkeypatch.setattr(EpollPoller, "poll", counting)
    return polls


async def is_at_rest(polls: list[None]) -> bool:
    """Whether the loop sleeps; one that spins looks thousands of times."""
    before = len(polls)
    await anyio.sleep(0.1)
    return len(polls) - before < 10


@asynccontextmanager
async def several(serving: Serving, handler: object, count: int) -> AsyncIterator[list[Client]]:
    async with serving(handler) as server:
        with ExitStack() as stack:
            yield [stack.enter_context(Client(server.addresses[0])) for _ in range(count)]


@pytest.mark.parametrize("kind", KINDS)
@each_error
async def test_what_a_handler_raises_touches_nobody_else(
    serving: Serving,
    kind: Callable[[BaseException], object],
    error: BaseException,
    polls: list[None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Requests of one turn, those that fail among them, all get their answers, and so do later ones."""
    caplog.set_level(logging.ERROR, "httpng")
    async with several(serving, kind(error), 6) as clients:
        for number, client in enumerate(clients):
            client.send(BAD if number % 2 else GET)
        answers: list[Received] = [await in_thread(client.read_response) for client in clients]
        assert [answer.status for answer in answers] == [200, 500] * 3
        assert all(answer.complete for answer in answers)
        for client in clients:
            assert (await in_thread(client.ask)).body == b"good"
        assert await is_at_rest(polls)
    assert [record.getMessage() for record in caplog.records] == [
        "handler error on GET /bad of 127.0.0.1 (answered with 500)"
    ] * 3


@each_error
async def test_what_is_raised_late_cuts_that_response_short_alone(net: Net, error: BaseException) -> None:
    async def handler(req: Request, io: IO) -> None:
        await io.write(b"begun")
        await io.wait(0)
        if req.path == "/bad":
            raise error

    async with net.serving(handler) as server, net.connect(server) as client, net.connect(server) as other:
        client.request("/bad")
        other.request()
        bad = await in_thread(client.read_response)
        assert (bad.body, bad.complete) == (b"begun", False)
        good = await in_thread(other.read_response)
        assert (good.body, good.complete) == (b"begun", True)


@each_error
async def test_what_on_gap_raises_is_raised_by_follow(
    serving: Serving, error: BaseException, polls: list[None]
) -> None:
    """It runs when the payload's turn comes, in the middle of our own work."""
    feed, raised = Feed(), list[BaseException]()

    def on_gap(lost: int) -> str:
        raise error

    async def handler(req: Request, io: IO) -> str | None:
        if req.path != "/follow":
            return "good"
        await io.write(b"first")
        try:
            await io.follow(feed, on_gap=on_gap if not raised else None)
        except Exception as told:
            raised.append(told)
            return "failed"
        return None

    async with serving(handler) as server:
        with Client(server.addresses[0]) as ill, Client(server.addresses[0]) as other:
            ill.send(b"GET /follow HTTP/1.1\r\nHost: x\r\n\r\n")
            await in_thread(ill.read_body, 5)
            for number in range(2):
                feed.publish(f"{number}")
            received = await in_thread(ill.read_response)
            assert (received.body[-6:], received.complete) == (b"failed", True)
            assert raised[0] is error or raised[0].__cause__ is error
            assert (await in_thread(other.ask)).body == b"good"
            assert await is_at_rest(polls)


@pytest.mark.parametrize("kind", ["coroutine", "generator"])
@pytest.mark.parametrize("by_thread", [False, True], ids=["in the loop", "from a thread"])
async def test_what_a_filter_of_keys_raises_is_raised_by_its_follow_alone(
    serving: Serving, kind: str, by_thread: bool, polls: list[None]
) -> None:
    """It runs in the loop of its follower, in the middle of somebody else's publishing."""
    feed = Feed()

    def wanted(key: str) -> bool:
        raise PanicError(key)

    async def coroutine(req: Request, io: IO) -> str | None:
        try:
            await io.follow(feed, keys=wanted if req.path == "/follow" else None)
        except RuntimeError as told:
            return str(told)
        return None

    def generator(req: Request, io: GeneratorIO) -> Generator[Pending, Any, str | None]:
        try:
            yield io.follow(feed, keys=wanted if req.path == "/follow" else None)
        except RuntimeError as told:
            return str(told)
        return None

    async with serving(coroutine if kind == "coroutine" else generator) as server:
        with Client(server.addresses[0]) as ill, Client(server.addresses[0]) as well:
            ill.send(b"GET /follow HTTP/1.1\r\nHost: x\r\n\r\n")
            well.send(GET)
            await until(lambda: feed.get_stats().followers == 2)
            if by_thread:
                await in_thread(feed.publish_threadsafe, "first", "k")
            else:
                feed.publish("first", "k")
            assert (await in_thread(ill.read_response)).body == b"keys raised PanicError"
            feed.publish("second", "l")
            feed.close()
            assert (await in_thread(well.read_response)).body == b"firstsecond"
            assert await is_at_rest(polls)
