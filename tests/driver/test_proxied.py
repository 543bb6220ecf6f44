"""Behind a proxy, over sockets: the PROXY protocol in clear text and over TLS; the log follows."""

import logging
import ssl
from pathlib import Path

import pytest
from tests.certificates import as_conf, make_pair, trusting
from tests.driver.harness import BOUND, Client, Serving, in_thread

from httpng_core import ListenAddress, Request, TlsFiles

pytestmark = pytest.mark.anyio
HEADER = b"PROXY TCP4 192.0.2.7 192.0.2.8 4711 443\r\n"
GET = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def where(req: Request) -> str:
    return f"{req.peer.host} {req.peer.port} {req.ouraddr.host} {req.https}"


def ask(address: ListenAddress, data: bytes, context: ssl.SSLContext | None = None) -> bytes:
    with Client(address) as client:
        client.socket.settimeout(BOUND)
        if context is not None:
            client.socket.sendall(HEADER)
            client.socket = context.wrap_socket(client.socket, server_hostname="localhost")
        client.socket.sendall(data)
        received = b""
        while piece := client.socket.recv(65536):
            received += piece
        return received


@pytest.mark.parametrize("threads", [1, 2])
async def test_the_proxy_protocol(
    serving: Serving, tmp_path: Path, caplog: pytest.LogCaptureFixture, threads: int
) -> None:
    caplog.set_level(logging.INFO)
    pair = make_pair(tmp_path)
    files = TlsFiles((pair,))
    place = {"addr": "127.0.0.1", "port": 0, "proxy_protocol": True}
    listen = [place, {**place, "tls": as_conf(files)["tls"]}, "127.0.0.1:0"]
    async with serving(where, listen=listen, access_log=True, threads=threads) as server:
        plain, sealed, direct = server.addresses
        told = await in_thread(ask, plain, HEADER + GET)
        assert told.endswith(b"192.0.2.7 4711 192.0.2.8 False")
        told = await in_thread(ask, sealed, GET, trusting(pair))
        assert told.endswith(b"192.0.2.7 4711 192.0.2.8 True")
        assert (await in_thread(ask, direct, GET)).endswith(b" 127.0.0.1 False")
    assert len([line for line in caplog.messages if line.startswith("192.0.2.7")]) == 2
