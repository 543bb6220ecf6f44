"""Listening sockets that somebody else has opened: by number, as objects, of each kind."""

import os
import socket
from pathlib import Path

import pytest
from tests.certificates import make_pair, trusting
from tests.driver.harness import Client, Serving, in_thread
from tests.driver.test_tls import get_over
from tests.driver.test_unix_sockets import UnixClient

from httpng_core import ConfigError, ListenAddress, Request

pytestmark = pytest.mark.anyio


def where(req: Request) -> str:
    return f"{req.ouraddr.family} {req.https}"


def tcp(*, listens: bool = True) -> socket.socket:
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    if listens:
        sock.listen()
    return sock


async def ask(address: ListenAddress) -> bytes:
    with await in_thread(Client, address) as client:
        return (await in_thread(client.ask)).body


@pytest.mark.parametrize("listens", [True, False])
async def test_a_socket_object_stays_its_owners(serving: Serving, listens: bool) -> None:
    with tcp(listens=listens) as sock:
        for _ in range(2):
            async with serving(where, listen=[sock, "127.0.0.1:0"]) as server:
                first, second = server.addresses
                assert (first.host, first.port) == sock.getsockname()
                assert first.url == f"http://127.0.0.1:{first.port}"
                assert await ask(first) == await ask(second) == b"AF_INET False"
            assert sock.fileno() >= 0


async def test_a_descriptor_is_the_servers_from_then_on(serving: Serving) -> None:
    number = tcp().detach()
    async with serving(where, listen=f"fd:{number}") as server:
        assert await ask(server.addresses[0]) == b"AF_INET False"
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)


async def test_a_client_that_came_before_the_server_gets_its_answer(serving: Serving) -> None:
    with tcp() as sock:
        host, port = sock.getsockname()
        with Client(ListenAddress(host, port)) as client:
            client.request()
            async with serving(where, listen=sock):
                assert (await in_thread(client.read_response)).body == b"AF_INET False"


async def test_ipv6_beside_ipv4(serving: Serving) -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as sock:
        async with serving(where, listen=sock) as server:
            assert await ask(server.addresses[0]) == b"AF_INET6 False"


async def test_a_unix_socket_leaves_its_file(serving: Serving, tmp_path: Path) -> None:
    path = str(tmp_path / "a.sock")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(path)
        async with serving(where, listen=sock) as server:
            assert server.addresses[0].url == f"unix:{path}"
            with UnixClient(path) as client:
                assert (await in_thread(client.ask)).body == b"AF_UNIX False"
    assert os.path.exists(path)  # noqa: ASYNC240


async def test_tls(serving: Serving, tmp_path: Path) -> None:
    pair = make_pair(tmp_path)
    files = {"certificate_file": pair.certificate_file, "certificate_key_file": pair.certificate_key_file}
    with tcp() as sock:
        for addr in (sock, f"fd:{os.dup(sock.fileno())}"):
            async with serving(where, listen={"addr": addr, "tls": [files]}) as server:
                assert server.addresses[0].url.startswith("https://127.0.0.1:")
                told = await in_thread(get_over, trusting(pair), server.addresses[0])
                assert told.endswith(b"AF_INET True")


async def test_what_can_not_be_listened_on(serving: Serving, tmp_path: Path) -> None:
    async def refusal(listen: object) -> str:
        with pytest.raises(ConfigError) as refused:
            async with serving(where, listen=listen):
                pass
        return str(refused.value)

    assert await refusal("fd:999999") == "fd 999999: Bad file descriptor"
    with (tmp_path / "file").open("w") as file:
        assert await refusal(f"fd:{file.fileno()}") == (f"fd {file.fileno()}: Socket operation on non-socket")
        assert os.fstat(file.fileno()), "it is still open"
    with socket.socket() as unbound:
        assert await refusal(unbound) == f"fd {unbound.fileno()}: it is bound to no address"
    with socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        told = f"fd {datagrams.fileno()}: it is no stream socket, so HTTP can't be spoken there"
        assert await refusal(datagrams) == told
    with tcp() as sock:
        assert await refusal([sock, sock]) == f"Duplicate listeners for fd:{sock.fileno()} found"
        assert await refusal({"addr": sock, "port": 1}) == (
            "a socket that is open already has its port: listen.port = 1"
        )
