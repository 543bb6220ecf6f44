"""Who holds what is on its way: right in each scripted stall, on each loop."""

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import pytest
from tests.driver.harness import GET, Client, Serving, in_thread, until, within_bound
from tests.driver.net import CLOSED_WINDOWS, HTTP1, Net, Transport

from httpng_core import Request
from httpng_driver import IO

pytestmark = pytest.mark.anyio

BIG = bytes(4_000_000)


class Handler:
    """Writes; what holds it is asked of the `io` that it leaves here."""

    def __init__(self, body: bytes, *, window: int | None = None, until_acked: bool = False) -> None:
        self.body = body
        self.window = window
        self.until_acked = until_acked
        self.io: IO | None = None
        self.done = anyio.Event()

    async def __call__(self, req: Request, io: IO) -> None:
        if self.window is not None:
            io.send_window = self.window
        if self.until_acked:
            io.window_until = "acked"
        self.io = io
        await io.write(b"first")
        if self.body:
            await io.write(self.body, timeout=60)
        await within_bound(self.done)

    def held_by(self) -> str | None:
        return None if self.io is None else self.io.get_send_stats().stalled_by


@pytest.mark.parametrize(
    "transport", [HTTP1, Transport(http2=True, tls=True), *CLOSED_WINDOWS], ids=str, indirect=True
)
async def test_a_client_that_has_stopped_or_gives_no_room(net: Net) -> None:
    expected = {"socket": "client", "stream": "stream_window", "connection": "connection_window"}
    handler = Handler(BIG)
    async with (
        net.serving(handler) as server,
        net.connect(server, receive_buffer=16384) as client,
    ):
        client.request()
        await in_thread(client.stall)
        await until(lambda: handler.held_by() == expected[net.transport.stall], "it is held")
        handler.done.set()


async def test_an_idle_handler(serving: Serving) -> None:
    handler = Handler(b"")
    async with serving(handler) as server:
        with Client(server.addresses[0]) as client:
            client.send(GET)
            await until(lambda: handler.held_by() == "handler", "nothing is on its way")
            handler.done.set()
            await in_thread(client.read_response)


async def test_a_unix_client_that_has_stopped(serving: Serving, tmp_path: Path) -> None:
    handler = Handler(BIG)
    async with serving(handler, listen=f"unix:{tmp_path}/s"):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(f"{tmp_path}/s")
            client.sendall(GET)
            await until(lambda: handler.held_by() == "client", "it is held")
            handler.done.set()


def _run(*commands: str) -> None:
    for command in commands:
        subprocess.run(command.split(), check=True, capture_output=True)


def _try_to(*commands: str) -> None:
    for command in commands:
        subprocess.run(command.split(), capture_output=True, check=False)


NAMESPACE = "httpng-held"


@pytest.fixture
def shaped() -> Iterator[Callable[[str], str]]:
    """`shaped(qdisc)`: an address of ours, from which what is sent to the namespace goes through `qdisc`."""
    inside = f"ip netns exec {NAMESPACE}"
    try:
        _run(
            f"ip netns add {NAMESPACE}",
            "ip link add held0 type veth peer name held1",
            f"ip link set held1 netns {NAMESPACE}",
            "ip addr add 10.213.7.1/24 dev held0",
            "ip link set held0 up",
            f"{inside} ip addr add 10.213.7.2/24 dev held1",
            f"{inside} ip link set held1 up",
        )
    except (OSError, subprocess.CalledProcessError):
        _try_to(f"ip netns del {NAMESPACE}")
        pytest.skip("no network namespace can be made here")
    try:

        def shape(qdisc: str) -> str:
            try:
                _run(f"tc qdisc add dev held0 root {qdisc}")
            except subprocess.CalledProcessError:
                pytest.skip(f"this kernel has no {qdisc}")
            return "10.213.7.1"

        yield shape
    finally:
        _try_to("ip link del held0", f"ip netns del {NAMESPACE}")


CLIENT = """
import socket, sys
sock = socket.create_connection((sys.argv[1], int(sys.argv[2])))
sock.sendall(b"GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
while sock.recv(65536):
    pass
"""


def client_in_namespace(host: str, port: int) -> "subprocess.Popen[bytes]":
    command = ["ip", "netns", "exec", NAMESPACE, sys.executable, "-c", CLIENT]
    return subprocess.Popen([*command, host, str(port)])


@pytest.mark.parametrize(
    ("qdisc", "handler", "holder"),
    [
        ("tbf rate 64kbit burst 2kb latency 2s", lambda: Handler(BIG), "network"),
        (
            "tbf rate 64kbit burst 2kb latency 2s",
            lambda: Handler(BIG, window=2000, until_acked=True),
            "send_window",
        ),
    ],
    ids=["a slow link", "a small window on a long link"],
)
async def test_on_a_link(
    serving: Serving,
    shaped: Callable[[str], str],
    qdisc: str,
    handler: Callable[[], Handler],
    holder: str,
) -> None:
    host, one = shaped(qdisc), handler()
    async with serving(one, listen=f"{host}:0") as server:
        with client_in_namespace(host, server.addresses[0].port) as client:
            try:
                told: list[str | None] = []

                def is_held() -> bool:
                    told.append(one.held_by())
                    return told[-20:].count(holder) >= 10

                await until(is_held, f"{holder}: {told[-20:]}")
                one.done.set()
            finally:
                client.kill()
