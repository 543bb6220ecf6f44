"""The life of a server: listening, accepting within limits, draining, being cancelled."""

import gc
import logging
import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import anyio
import pytest
from tests.driver.harness import (
    GET,
    Client,
    Observed,
    Serving,
    adopted,
    exchanges_of,
    in_thread,
    pumps_of,
    turns_of,
    until,
    within_bound,
)
from tests.driver.net import Net

from httpng_core import Application, ConfigError, Request, SendStats
from httpng_driver import IO

pytestmark = pytest.mark.anyio

CLOSE = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


async def hello(req: Request, io: IO) -> object:
    return {"body": f"{req.method} {req.path}"}


def open_files() -> int:
    """How many descriptors this process has, without those that only wait to be collected."""
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


# Listening --------------------------------------------------------------------------------------------


async def test_a_server_in_a_running_program_leaves_its_signals_alone(serving: Serving) -> None:
    signals = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE]
    before = [signal.getsignal(each) for each in signals]
    async with serving(hello) as server:
        assert [signal.getsignal(each) for each in signals] == before
        with Client(server.addresses[0]) as client:
            await in_thread(client.ask)
        assert [signal.getsignal(each) for each in signals] == before
    assert [signal.getsignal(each) for each in signals] == before


async def test_several_listeners(serving: Serving) -> None:
    listen = ["127.0.0.1:0", "127.0.0.2:0", "[::1]:0"]
    async with serving(hello, listen=listen) as server:
        assert [address.host for address in server.addresses] == ["127.0.0.1", "127.0.0.2", "::1"]
        assert all(address.port > 0 for address in server.addresses)
        assert server.addresses[2].url == f"http://[::1]:{server.addresses[2].port}"
        for address in server.addresses:
            with Client(address) as client:
                assert (await in_thread(client.ask)).body == b"GET /"


async def test_the_ends_of_a_connection_are_told(serving: Serving) -> None:
    async def ends(req: Request, io: IO) -> str:
        return f"{req.peer.host} {req.peer.port} {req.ouraddr.host} {req.ouraddr.port} {req.peer.family}"

    async with serving(ends, listen=["127.0.0.1:0", "[::1]:0"]) as server:
        for address, family in zip(server.addresses, ("AF_INET", "AF_INET6"), strict=True):
            with Client(address) as client:
                received = await in_thread(client.ask)
                told = f"{address.host} {client.port} {address.host} {address.port} {family}"
                assert received.body.decode() == told


async def test_an_application_brings_its_own_address(serving: Serving) -> None:
    application = Application(hello, listen="127.0.0.2:0")
    async with serving(application, listen=None) as server:
        assert [address.host for address in server.addresses] == ["127.0.0.2"]
    async with serving(application, listen="127.0.0.3:0") as server:
        assert [address.host for address in server.addresses] == ["127.0.0.3"]


async def test_an_address_in_use_is_an_error_that_leaves_nothing_open(serving: Serving) -> None:
    async with serving(hello) as server:
        taken = server.addresses[0]
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            free = probe.getsockname()[1]
        files = open_files()
        with pytest.raises(ConfigError, match=f"bind error: {taken.url}"):
            async with serving(hello, listen=[f"127.0.0.1:{free}", taken.authority]):
                pass
        assert open_files() == files


async def test_a_name_that_is_none_is_an_error(serving: Serving) -> None:
    with pytest.raises(ConfigError, match="unknown hostname"):
        async with serving(hello, listen="no-such-name.invalid:0"):
            pass


def resolves_to(monkeypatch: pytest.MonkeyPatch, *hosts: str) -> None:
    """Every name means all of these."""
    look_up = socket.getaddrinfo

    def found(host: str, port: int, **options: Any) -> list[Any]:
        return [place for host in hosts for place in look_up(host, port, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", found)


@pytest.mark.parametrize("unavailable", ["2001:db8::1", "192.0.2.1"])
async def test_of_a_name_the_addresses_that_are_not_ours_are_left_out(
    serving: Serving, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, unavailable: str
) -> None:
    resolves_to(monkeypatch, unavailable, "127.0.0.1")
    async with serving(hello, listen="some.name:0") as server:
        assert [address.host for address in server.addresses] == ["127.0.0.1"]
        with Client(server.addresses[0]) as client:
            assert (await in_thread(client.ask)).status == 200
    reason = f"Cannot assign requested address: so {unavailable} is left out"
    assert f"bind error: http://some.name:0: {reason}" in caplog.text


async def test_a_family_that_the_machine_lacks_is_left_out(
    serving: Serving, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    lacking = [(254, socket.SOCK_STREAM, 0, "", ("::1", 0, 0, 0))]
    places = lacking + socket.getaddrinfo("127.0.0.1", 0, type=socket.SOCK_STREAM)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: places)
    async with serving(hello, listen="some.name:0") as server:
        assert [address.host for address in server.addresses] == ["127.0.0.1"]
    assert "Address family not supported by protocol: so ::1 is left out" in caplog.text
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: lacking)
    with pytest.raises(ConfigError, match=r"bind error: http://\[::1\]:0: Address family not supported"):
        async with serving(hello, listen="[::1]:0"):
            pass


async def test_all_addresses_are_those_of_ipv4_where_there_is_no_ipv6(
    serving: Serving, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    look_up = socket.getaddrinfo

    def found(host: str, port: int, **options: Any) -> list[Any]:
        """As where the kernel has no IPv6; and this test is no server for others."""
        if ":" in host:
            return [(254, socket.SOCK_STREAM, 0, "", (host, port, 0, 0))]
        return look_up("127.0.0.1", port, **options)

    monkeypatch.setattr(socket, "getaddrinfo", found)
    async with serving(hello, listen=0) as server:
        assert [address.host for address in server.addresses] == ["127.0.0.1"]
    assert "bind error: http://[::]:0: Address family not supported by protocol: so ::" in caplog.text
    for listen in ("[::]:0", ["[::]:0", "0.0.0.0:1"], ["[::1]:0", "0.0.0.0:0"]):
        with pytest.raises(ConfigError, match=r"bind error: http://\[::1?\]:0: Address family not supported"):
            async with serving(hello, listen=listen):
                pass


async def test_a_name_of_which_no_address_is_ours_is_an_error(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolves_to(monkeypatch, "2001:db8::1", "192.0.2.1")
    with pytest.raises(ConfigError, match=r"bind error: http://some\.name:0: Cannot assign"):
        async with serving(hello, listen="some.name:0"):
            pass


async def test_an_address_of_a_name_that_is_taken_is_an_error(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(hello, listen="127.0.0.2:0") as server:
        resolves_to(monkeypatch, "127.0.0.1", "127.0.0.2")
        files = open_files()
        with pytest.raises(ConfigError, match="Address already in use"):
            async with serving(hello, listen=f"some.name:{server.addresses[0].port}"):
                pass
        assert open_files() == files


async def test_nothing_stays_open(serving: Serving) -> None:
    """Neither sockets nor the poller's descriptor, however the server ended."""
    async with serving(hello) as server:
        with Client(server.addresses[0]) as client:
            await in_thread(client.ask)
    files = open_files()
    for drains in (True, False, True, False):
        async with serving(hello, listen=["127.0.0.1:0", "[::1]:0"]) as server:
            with Client(server.addresses[0]) as client:
                await in_thread(client.ask)
            if drains:
                server.shutdown()
    assert open_files() == files


WILDCARD = """
import socket
import urllib.request
from functools import partial
import anyio
import {module}

async def main():
    async with anyio.create_task_group() as tasks:
        serve = partial({module}.serve, lambda req: "from anywhere", listen={listen})
        server = await tasks.start(serve)
        print(*(address.host for address in server.addresses))
        for url in {urls}:
            port = server.addresses[-1 if "[" in url else 0].port
            read = partial(urllib.request.urlopen, url.format(port), timeout=20)
            print((await anyio.to_thread.run_sync(read)).read().decode())
        tasks.cancel_scope.cancel()

anyio.run(main, backend="{backend}")
"""


@pytest.mark.parametrize(
    ("listen", "hosts", "urls"),
    [
        ('"0.0.0.0:0"', "0.0.0.0", ["http://127.0.0.1:{}"]),
        ('"[::]:0"', "::", ["http://[::1]:{}"]),
        ('[":8765"]', "0.0.0.0 ::", ["http://127.0.0.1:{}", "http://[::1]:{}"]),
        ("8765", "0.0.0.0 ::", ["http://127.0.0.1:{}", "http://[::1]:{}"]),
        ('{"port": 8765}', "0.0.0.0 ::", ["http://127.0.0.1:{}", "http://[::1]:{}"]),
        ('[{"addr": "::", "port": 8765}, "127.0.0.1:8765"]', ":: 127.0.0.1", ["http://[::1]:{}"]),
    ],
)
async def test_wildcards_in_a_network_of_their_own(
    program: Callable[[str], str], anyio_backend_name: str, listen: str, hosts: str, urls: list[str]
) -> None:
    script = WILDCARD.format(
        module=f"httpng_{anyio_backend_name}", backend=anyio_backend_name, listen=listen, urls=urls
    )
    command = [program("unshare"), "-rn", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
    ran = await in_thread(_run, [*command, sys.executable, "-c", script])
    if "unshare" in ran.stderr:
        pytest.skip(f"no network of one's own here: {ran.stderr}")
    assert ran.stderr == ""
    assert ran.stdout.splitlines() == [hosts] + ["from anywhere"] * len(urls)


def _run(command: list[str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


# Accepting --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("workers", "at_once"), [(1, 8), (2, 1)])
async def test_a_burst_is_accepted_in_several_turns_and_left_to_other_workers_too(
    serving: Serving, workers: int, at_once: int
) -> None:
    async with serving(hello, workers=workers) as server:
        with ExitStack() as stack:
            for _ in range(24):
                # The loop stands still meanwhile: all wait in the kernel when it goes on.
                stack.enter_context(Client(server.addresses[0]))
            before, most = turns_of(server), 0.0
            for known in range(24):
                await until(lambda known=known: server.connections > known)  # type: ignore[misc]
                most = max(most, server.connections / (turns_of(server) - before))
    assert most == at_once


async def test_no_more_connections_than_allowed(serving: Serving) -> None:
    async def busy(req: Request, io: IO) -> None:
        await io.write(b"begun")
        await io.wait_cancelled()

    async with serving(busy, max_conn_per_thread=2) as server:
        with ExitStack() as stack:
            clients = [stack.enter_context(Client(server.addresses[0])) for _ in range(4)]
            for client in clients:
                client.send(GET)
            for client in clients[:2]:
                assert (await in_thread(client.read_body, 5)).status == 200
            assert server.connections == 2
            assert all(client.receive_ready() == b"" and not client.ended for client in clients[2:])
            for number, client in enumerate(clients[2:]):
                clients[number].close()
                assert (await in_thread(client.read_body, 5)).status == 200
                assert server.connections == 2


async def test_running_out_of_files_pauses_with_one_warning(
    serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(hello) as server:

        def shortages() -> int:
            (listening,) = server.statistics().listeners
            return listening.shortages

        with Client(server.addresses[0]) as before, Client(server.addresses[0]) as waiting:
            await in_thread(before.ask)
            await until(lambda: server.connections == 2)
            with ExitStack() as stack:
                clients = [stack.enter_context(socket.socket()) for _ in range(3)]
                with no_more_files():
                    for client in clients:
                        client.connect((server.addresses[0].host, server.addresses[0].port))
                    await until(lambda: shortages() >= 3, "accepting was tried again and again")
                    # Those that are open are served all the while.
                    assert (await in_thread(before.ask)).status == 200
                    assert (await in_thread(waiting.ask)).status == 200
                await until(lambda: server.connections == 5, "accepting goes on")
    warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert warnings == [f"can't accept connections on {server.addresses[0].url} for now: Too many open files"]


@contextmanager
def no_more_files() -> Iterator[None]:
    """No file can be opened in this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.dup(0)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# Draining ---------------------------------------------------------------------------------------------


async def test_shutdown_lets_running_exchanges_finish(net: Net) -> None:
    """And closes at once what is idle: kept alive, or without a request so far."""
    begun, release = anyio.Event(), anyio.Event()

    async def handler(req: Request, io: IO) -> object:
        if req.path == "/idle":
            return {"body": "idle"}
        begun.set()
        await within_bound(release)
        await io.write(b"whole")
        return None

    async with (
        net.serving(handler, cancel=False) as server,
        net.connect(server) as idle,
        net.connect(server) as silent,
        net.connect(server) as running,
    ):
        await in_thread(idle.get, "/idle")
        running.request()
        await within_bound(begun)
        await until(lambda: server.connections == 3)
        server.shutdown()
        for client in (idle, silent):
            await in_thread(client.read_to_end)
            assert (client.ended, client.surplus) == ("fin", b"")
            client.close()
        with pytest.raises(ConnectionRefusedError):
            net.client(server)
        await until(lambda: server.connections == 1)
        release.set()
        received = await in_thread(running.read_response)
        await in_thread(running.read_to_end)
    assert received.body == b"whole"
    assert received.headers is not None
    assert received.headers.get("connection") == (None if net.transport.http2 else "close")
    assert (running.ended, running.surplus) == ("fin", b"")


async def test_shutdown_flushes_what_slow_clients_have_not_read(net: Net) -> None:
    body = bytes(range(256)) * 4000

    @Observed
    async def handler(req: Request, io: IO) -> None:
        await io.write(body)

    async with (
        net.serving(handler, cancel=False) as server,
        net.connect(server, receive_buffer=65536) as client,
    ):
        client.request()
        await handler.outcome()
        server.shutdown()
        received = await in_thread(client.read_response)
    assert received.body == body
    assert received.complete


@pytest.mark.parametrize(("shutdown_timeout", "argument"), [(0.1, None), (60, 0.1), (60, 0)])
async def test_endless_handlers_are_cancelled_in_the_end(
    net: Net, shutdown_timeout: float, argument: float | None
) -> None:
    ended: list[str] = []

    async def handler(req: Request, io: IO) -> None:
        try:
            await io.write(b"begun")
            while True:
                await io.wait_cancelled() if req.path == "/idle" else await io.write(b"x" * 1000)
                await anyio.sleep(0.001)
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.01)
                ended.append(req.path)

    async with (
        net.serving(handler, cancel=False, shutdown_timeout=shutdown_timeout) as server,
        net.connect(server) as idle,
        net.connect(server) as busy,
    ):
        idle.request("/idle")
        busy.request("/busy")
        for client in (idle, busy):
            await in_thread(client.read_body, 5)
        server.shutdown(argument)
        for client in (idle, busy):
            await in_thread(client.read_to_end)
            assert client.ended == "reset"
    assert sorted(ended) == ["/busy", "/idle"], "serve() waits for what handlers do at their end"


async def test_a_second_shutdown_may_be_shorter(net: Net) -> None:
    begun = anyio.Event()

    async def handler(req: Request, io: IO) -> None:
        begun.set()
        await anyio.sleep_forever()

    async with (
        net.serving(handler, cancel=False, shutdown_timeout=60) as server,
        net.connect(server) as client,
    ):
        client.request()
        await within_bound(begun)
        server.shutdown()
        await until(lambda: pumps_of(server)[0].connection.statistics().draining)
        server.shutdown(0)
        await in_thread(client.read_to_end)
    assert client.ended == "reset"


async def test_an_application_can_shut_its_server_down(net: Net) -> None:
    async def handler(req: Request, io: IO) -> object:
        application.shutdown()
        return {"body": "the last one"}

    application = Application(handler)
    async with net.serving(application, cancel=False) as server, net.connect(server) as client:
        received = await in_thread(client.get)
    assert received.body == b"the last one"


async def test_cancelling_serve_resets_everything_and_waits_for_the_handlers(net: Net) -> None:
    ended: list[SendStats] = []
    begun = anyio.Event()

    async def handler(req: Request, io: IO) -> None:
        await io.write(b"begun")
        begun.set()
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.01)
                ended.append(io.get_send_stats())

    async with net.serving(handler) as server:
        running, idle = net.client(server), net.client(server)
        for client in (running, idle):
            await in_thread(client.shake)
        running.request()
        await in_thread(running.read_body, 5)
        await until(lambda: server.connections == 2)
    assert [stats.cancelled for stats in ended] == [True]
    assert server.connections == 0
    with running, idle:
        await in_thread(running.read_to_end)
        assert running.ended == "reset"
        with pytest.raises(ConnectionRefusedError):
            net.client(server)


async def test_a_client_that_reads_nothing_of_the_end_is_given_up(net: Net) -> None:
    @Observed
    async def handler(req: Request, io: IO) -> None:
        await io.write(bytes(1_000_000))

    async with (
        net.serving(handler, stall_timeout=0.1) as server,
        net.connect(server, receive_buffer=65536) as client,
    ):
        client.request()
        await handler.outcome()
        (pump,) = pumps_of(server)
        await until(lambda: not exchanges_of(pump), "it doesn't pin memory for ever")
        received = await in_thread(client.read_response)
        # Where no frame of HTTP/2 is left half done, it is the stream alone that is reset.
        await until(lambda: net.transport.http2 or server.connections == 0)
    assert client.was_reset
    assert not received.complete


# HTTP/1.1 ---------------------------------------------------------------------------------------------


async def test_keep_alive_and_pipelining(serving: Serving) -> None:
    paths = [f"/{number}" for number in range(50)]
    requests = [f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode() for path in paths]
    async with serving(hello) as server:
        with Client(server.addresses[0]) as client:
            one_by_one = [await in_thread(client.ask, request) for request in requests]
            client.send(b"".join(requests))
            pipelined = [await in_thread(client.read_response) for _ in requests]
            assert server.connections == 1
            last = await in_thread(client.ask, CLOSE)
            await in_thread(client.read_to_end)
    assert [each.body.decode() for each in one_by_one] == [f"GET {path}" for path in paths]
    assert [each.body.decode() for each in pipelined] == [f"GET {path}" for path in paths]
    assert last.complete
    assert client.ended == "fin"


async def test_shutdown_serves_no_request_that_was_sent_ahead(serving: Serving) -> None:
    begun, release = anyio.Event(), anyio.Event()

    async def handler(req: Request, io: IO) -> str:
        begun.set()
        await within_bound(release)
        return "whole"

    async with serving(handler, cancel=False) as server:
        with Client(server.addresses[0]) as client:
            client.send(GET * 2)
            await within_bound(begun)
            server.shutdown()
            await until(lambda: pumps_of(server)[0].connection.statistics().draining)
            release.set()
            received = await in_thread(client.read_response)
            await in_thread(client.read_to_end)
    assert received.body == b"whole"
    assert (client.ended, client.surplus) == ("fin", b"")


async def test_more_requests_ahead_than_are_read(serving: Serving) -> None:
    """Reading ahead is bounded; what was not read waits in the kernel."""
    count = 1_000
    begun, release = anyio.Event(), anyio.Event()

    async def handler(req: Request, io: IO) -> str:
        begun.set()
        await within_bound(release)
        return "ok"

    def read_all(client: Client) -> int:
        return sum(client.read_response().complete for _ in range(count))

    async with serving(handler, shuttle_size=4096) as server:
        with Client(server.addresses[0]) as client:
            client.send(GET)
            await within_bound(begun)
            client.send(GET * (count - 1))
            connection = (await adopted(server, client)).connection
            await until(lambda: not connection.wants_read)
            release.set()
            assert await in_thread(read_all, client) == count


@pytest.mark.parametrize("status", [200, 204, 304])
@pytest.mark.parametrize("method", ["HEAD", "GET"])
async def test_responses_without_a_body(serving: Serving, method: str, status: int) -> None:
    @Observed
    async def handler(req: Request, io: IO) -> SendStats:
        io.headers["content-length"] = 100_000
        await io.write_header(status)
        for _ in range(10):
            # Complete on the wire is over: where there is no body, that may be before all is written.
            result = await io.write(bytes(10_000))
            if result is not None:
                assert req.method == "HEAD" or status != 200
                break
        await io.wait(0)
        return io.get_send_stats()

    request = f"{method} / HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    async with serving(handler) as server:
        with Client(server.addresses[0]) as client:
            received = [await in_thread(client.ask, request, method) for _ in range(2)]
            assert not client.wire
        stats = await handler.outcome()
    expected = bytes(100_000) if (method, status) == ("GET", 200) else b""
    for each in received:
        assert (each.status, each.body, each.complete) == (status, expected, True)
        assert each.headers is not None
        assert ("content-length" in each.headers) == (status != 204)
    assert stats.current == stats.sent
    assert stats.current == 100_000 or not expected


@pytest.mark.parametrize("keep_alive", [True, False])
@pytest.mark.parametrize("length", [True, False])
async def test_http_1_0(serving: Serving, keep_alive: bool, length: bool) -> None:
    """Its clients know no chunks: without a length the end of the connection is the end of the body."""

    async def handler(req: Request, io: IO) -> None:
        if length:
            io.headers["content-length"] = 20
        await io.write(b"one record")
        await io.write(b"and a half")

    header = b"Connection: keep-alive\r\n" if keep_alive else b""
    async with serving(handler) as server:
        with Client(server.addresses[0]) as client:
            received = await in_thread(client.ask, b"GET / HTTP/1.0\r\n" + header + b"\r\n")
            if keep_alive and length:
                received = await in_thread(client.ask, b"GET / HTTP/1.0\r\n\r\n")
            await in_thread(client.read_to_end)
    assert received.body == b"one record" + b"and a half"
    assert received.complete
    assert received.headers is not None
    assert "transfer-encoding" not in received.headers
    assert client.ended == "fin"


async def test_expect_100_continue(serving: Serving) -> None:
    async def echo(req: Request, io: IO) -> object:
        return {"body": req.body}

    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
    interim = b"HTTP/1.1 100 Continue\r\n\r\n"
    async with serving(echo, max_body_len=5) as server:
        with Client(server.addresses[0]) as client:
            client.send(head)
            assert await in_thread(client.read_wire, len(interim)) == interim
            received = await in_thread(client.ask, b"hello")
            assert received.body == b"hello"
            # Whoever doesn't wait isn't told to go on.
            client.send(head + b"again")
            assert (await in_thread(client.read_response)).body == b"again"
            client.send(head.replace(b"5", b"6"))
            assert (await in_thread(client.read_response)).status == 413
