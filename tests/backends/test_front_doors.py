"""`run` and `serve` as a program without anyio calls them."""

import asyncio
import re
import socket
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import anyio
import pytest
import trio
from tests.driver.harness import BOUND, GET, Client

import httpng_asyncio
import httpng_trio
from httpng_core import ListenAddress, Request
from httpng_driver import IO, Server, until_signalled

LOOPBACK = "127.0.0.1:0"
RUNS = [httpng_asyncio.run, httpng_trio.run]


async def hello(req: Request, io: IO) -> str:
    return "hello"


def begun(address: ListenAddress) -> Client:
    client = Client(address)
    client.send(GET)
    assert client.read_body(5).body == b"begun"
    return client


# serve ------------------------------------------------------------------------------------------------


def test_a_task_of_asyncio_is_cancelled() -> None:
    handler_ended = False

    async def handler(req: Request, io: IO) -> None:
        nonlocal handler_ended
        await io.write(b"begun")
        try:
            await asyncio.sleep(1000)
        finally:
            await asyncio.sleep(0.01)
            handler_ended = True

    async def main() -> Client:
        listening: asyncio.Future[Server] = asyncio.get_running_loop().create_future()
        serving = asyncio.create_task(
            httpng_asyncio.serve(handler, listen=LOOPBACK, on_listening=listening.set_result)
        )
        server = await asyncio.wait_for(listening, BOUND)
        client = await asyncio.to_thread(begun, server.addresses[0])
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving
        assert handler_ended
        await asyncio.to_thread(client.read_to_end)
        return client

    with asyncio.run(main()) as client:
        assert client.ended == "reset"


def test_a_timeout_of_asyncio() -> None:
    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await httpng_asyncio.serve(hello, listen=LOOPBACK)

    asyncio.run(main())


def test_serve_ends_after_shutdown_on_asyncio() -> None:
    async def main() -> None:
        listening: asyncio.Future[Server] = asyncio.get_running_loop().create_future()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(httpng_asyncio.serve(hello, listen=LOOPBACK, on_listening=listening.set_result))
            server = await listening
            with Client(server.addresses[0]) as client:
                assert (await asyncio.to_thread(client.ask)).body == b"hello"
                server.shutdown()
        assert server.connections == 0

    asyncio.run(asyncio.wait_for(main(), BOUND))


def test_a_nursery_of_trio() -> None:
    serve = partial(httpng_trio.serve, hello, listen=LOOPBACK)

    async def main() -> None:
        with trio.fail_after(BOUND):
            async with trio.open_nursery() as nursery:
                server: Server = await nursery.start(serve)
                with Client(server.addresses[0]) as client:
                    assert (await trio.to_thread.run_sync(client.ask)).body == b"hello"
                    server.shutdown()
            assert server.connections == 0
            async with trio.open_nursery() as nursery:
                server = await nursery.start(serve)
                with Client(server.addresses[0]) as client:
                    assert (await trio.to_thread.run_sync(client.ask)).body == b"hello"
                    nursery.cancel_scope.cancel()

    trio.run(main)


# run --------------------------------------------------------------------------------------------------


def test_uvloop_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    with pytest.raises(httpng_asyncio.ConfigError) as raised:
        httpng_asyncio.run(hello, listen=LOOPBACK, uvloop=True)
    assert str(raised.value) == "uvloop is not installed: pip install 'httpng-asyncio[uvloop]'"


def test_serve_can_not_choose_the_loop_that_runs_already() -> None:
    async def main(serve: Callable[..., Any], uvloop: bool) -> None:
        await serve(hello, listen=LOOPBACK, uvloop=uvloop, on_listening=lambda server: server.shutdown())

    asyncio.run(main(httpng_asyncio.serve, False))
    with pytest.raises(httpng_asyncio.ConfigError) as raised:
        asyncio.run(main(httpng_asyncio.serve, True))
    assert str(raised.value) == "uvloop is True, but the loop that runs already is one of asyncio"
    trio.run(main, httpng_trio.serve, False)
    with pytest.raises(httpng_trio.ConfigError, match="uvloop is for asyncio"):
        trio.run(main, httpng_trio.serve, True)


@pytest.mark.parametrize("run", RUNS)
def test_run_raises_what_can_not_be_started_as_it_is(run: Callable[..., None]) -> None:
    """Not in a group of exceptions."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(httpng_asyncio.ConfigError, match="bind error"):
            run(hello, listen=address)
    with pytest.raises(httpng_asyncio.ConfigError, match="unknown parameter max_body_length"):
        run(hello, listen=LOOPBACK, max_body_length=5)
    with pytest.raises(TypeError, match="an Application has its own settings"):
        run(httpng_asyncio.Application(hello), listen=LOOPBACK, max_body_len=5)
    with pytest.raises(httpng_asyncio.ConfigError, match="handler is not a function"):
        run(5, listen=LOOPBACK)


def optional(req: Request, io: object = None) -> str:
    return "hello"


@pytest.mark.parametrize("run", RUNS)
def test_run_refuses_what_it_could_not_await(run: Callable[..., None]) -> None:
    router = httpng_asyncio.Router()
    router.route("/", optional)
    told = re.escape(
        "handler optional(req, io=None) isn't async, yet takes io: write 'async def optional(req, io)'"
    )
    for app in (optional, router, httpng_asyncio.Application(optional)):
        with pytest.raises(httpng_asyncio.ConfigError, match=told):
            run(app, listen=LOOPBACK)
    with pytest.raises(httpng_asyncio.ConfigError, match=told):
        run(None, sites=[{"path": "/", "handler": optional}], listen=LOOPBACK)


def test_serve_and_reconfigure_refuse_what_they_could_not_await() -> None:
    async def main(serve: Callable[..., Any]) -> None:
        with pytest.raises(httpng_trio.ConfigError, match="isn't async, yet takes io"):
            await serve(optional, listen=LOOPBACK)
        async with anyio.create_task_group() as tasks:
            server = await tasks.start(partial(serve, hello, listen=LOOPBACK))
            with pytest.raises(httpng_trio.ConfigError, match="isn't async, yet takes io"):
                server.reconfigure(optional)
            with Client(server.addresses[0]) as client:
                assert (await anyio.to_thread.run_sync(client.ask)).body == b"hello"
            server.shutdown()

    asyncio.run(main(httpng_asyncio.serve))
    trio.run(main, httpng_trio.serve)


@pytest.mark.parametrize("run", RUNS)
def test_run_outside_of_the_main_thread_says_so(run: Callable[..., None]) -> None:
    told: list[BaseException] = []

    def start() -> None:
        try:
            run(hello, listen=LOOPBACK)
        except BaseException as error:
            told.append(error)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    [error] = told
    assert isinstance(error, RuntimeError)
    assert str(error) == "run is for the main thread, which gets the signals: elsewhere use serve"


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_run_of_what_is_served_already_says_so(backend: str) -> None:
    """Not in a group of exceptions."""

    async def serve(*, on_listening: Callable[[Server], None]) -> None:
        raise RuntimeError("the application is served already")

    with pytest.raises(RuntimeError, match="served already"):
        anyio.run(until_signalled, serve, backend=backend)


@pytest.mark.parametrize("run", RUNS)
def test_run_returns_once_the_application_shuts_down(
    run: Callable[..., None], capfd: pytest.CaptureFixture[str]
) -> None:
    received: list[bytes] = []

    async def last(req: Request, io: IO) -> str:
        application.shutdown()
        return "the last one"

    application = httpng_asyncio.Application(last, listen=f"127.0.0.1:{free_port()}")

    def ask() -> None:
        with patient_client(ListenAddress("127.0.0.1", application.listen[0].port)) as client:
            received.append(client.ask().body)

    thread = threading.Thread(target=ask)
    thread.start()
    run(application)
    thread.join()
    assert received == [b"the last one"]
    assert capfd.readouterr().err == f"httpng: listening on {application.listen[0].url}\n"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


def patient_client(address: ListenAddress) -> Client:
    """A client, as soon as somebody listens."""
    for _ in range(int(BOUND / 0.01)):
        try:
            return Client(address)
        except ConnectionRefusedError:
            threading.Event().wait(0.01)
    raise AssertionError("nobody listens")
