"""What a handler is told of its request: query, version, host, encryption."""

import socket
import ssl
from pathlib import Path

import pytest
from tests.certificates import make_pair
from tests.driver.harness import BOUND, Client, in_thread
from tests.driver.net import HTTP1, Transport
from tests.lua.requirements.scripts import (
    HTTP1_TLS,
    HTTP2,
    HTTP2_TLS,
    Run,
    Served,
    each,
    on_four,
    on_three,
)

from httpng_core import CertificateFiles
from httpng_core.testing import Http2Client, ReceivedStream

pytestmark = pytest.mark.anyio

QUERY = """
httpng.cfg{listen = both, handler = function(req)
  if req.method ~= 'GET' then return {status = 500, body = 'Unsupported HTTP method'} end
  return {body = type(req.query) .. ' ' .. tostring(req.query) .. ' ' .. req.path}
end}
"""


@pytest.mark.parametrize("number", [2, 3])
@on_four
async def test_the_query_is_what_follows_the_question_mark(run: Run, over: Transport, number: int) -> None:
    async with run(QUERY) as served:
        assert await served.body(over, f"/?id={number}") == f"string id={number} /?id={number}"


@on_three
async def test_without_a_question_mark_there_is_no_query(run: Run, over: Transport) -> None:
    async with run(QUERY) as served:
        assert await served.body(over) == "nil nil /"


# The version --------------------------------------------------------------------------------------------

VERSION = """
httpng.cfg{listen = both, h2c_upgrade = true, handler = function(req)
  return req.version_major .. '.' .. req.version_minor
end}
"""


@each(HTTP1, HTTP1_TLS)
async def test_a_request_of_http_1(run: Run, over: Transport) -> None:
    async with run(VERSION) as served:
        assert await served.body(over) == "1.1"


@each(HTTP2, HTTP2_TLS)
async def test_a_request_of_http_2(run: Run, over: Transport) -> None:
    async with run(VERSION) as served:
        assert await served.body(over) == "2.0"


UPGRADE = (
    b"GET / HTTP/1.1\r\nhost: x\r\nconnection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\n"
    b"http2-settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n"
)
"""As curl says it with --http2."""


def get_by_upgrade(client: Client) -> bytes:
    """The body of the response on stream 1 of a connection that began as HTTP/1.1."""
    client.send(UPGRADE)
    while b"\r\n\r\n" not in client.wire and client.receive():
        pass
    head, _, rest = bytes(client.wire).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 ")
    http2 = Http2Client(preface=False)
    http2.h2.initiate_upgrade_connection()
    stream = http2.streams[1] = ReceivedStream()
    client.send(http2.take())
    http2.receive(rest)
    while not stream.complete and (data := client.receive()):
        http2.receive(data)
    return bytes(stream.body)


async def test_a_request_that_is_upgraded_is_of_http_2(run: Run) -> None:
    async with run(VERSION) as served:
        with served.client() as client:
            assert await in_thread(get_by_upgrade, client) == b"2.0"


# The host -----------------------------------------------------------------------------------------------

HOST = """
httpng.cfg{listen = %s, handler = function(req) return req.host end}
"""
NAMES = ("foo.tarantool.io", "bar.tarantool.io")


@each(HTTP1, HTTP2)
async def test_the_host_is_told_without_its_port(run: Run, over: Transport) -> None:
    async with run(HOST % "plain") as served:
        for name in (*NAMES, "localhost"):
            with served.client(over, name=name) as client:
                assert (await in_thread(client.get)).body == name.encode()


@pytest.fixture
def named(tmp_path: Path) -> dict[str, CertificateFiles]:
    """Certificates for two names."""
    return {name: make_pair(tmp_path, [name], common=name, stem=name) for name in NAMES}


def sni_source(named: dict[str, CertificateFiles]) -> str:
    files = [(pair.certificate_file, pair.certificate_key_file) for pair in named.values()]
    pairs = [f"{{certificate_file = {one!r}, certificate_key_file = {other!r}}}" for one, other in files]
    return HOST % f"{{addr = '127.0.0.1', port = 0, uses_sni = true, tls = {{{', '.join(pairs)}}}}}"


@each(HTTP1_TLS, HTTP2_TLS)
async def test_of_two_names_each_is_served_and_an_unknown_one_is_not(
    run: Run, named: dict[str, CertificateFiles], over: Transport
) -> None:
    """Each with the certificate that only its clients trust."""
    async with run(sni_source(named)) as served:
        for name in NAMES:
            with served.client(over, named[name], name) as client:
                await in_thread(client.shake)
                assert (await in_thread(client.get)).body == name.encode()
        with pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name"):
            await in_thread(shake_hands, served, "localhost")
        with pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name"):
            await in_thread(shake_hands, served, None)


def shake_hands(served: Served, name: str | None) -> None:
    """A handshake of a client that trusts whatever it gets."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    address = served.server.addresses[-1]
    with (
        socket.create_connection((address.host, address.port), timeout=BOUND) as plain,
        context.wrap_socket(plain, server_hostname=name),
    ):
        pass


# Encryption ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/2"])
async def test_a_handler_knows_by_which_listener_of_its_cfg_a_request_came(run: Run, version: str) -> None:
    source = """
        httpng.cfg{listen = both, handler = function(req)
          return {body = (req.https and 'encrypted' or 'insecure') .. ' ' .. tostring(req.https)}
        end}
    """
    ways = (HTTP2, HTTP2_TLS) if version == "HTTP/2" else (HTTP1, HTTP1_TLS)
    async with run(source) as served:
        assert [await served.body(way) for way in ways] == ["insecure nil", "encrypted true"]
