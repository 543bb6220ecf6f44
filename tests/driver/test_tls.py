"""TLS over real sockets: mixed with plain text, by name, reloaded, ended properly, and in Lua."""

import logging
import socket
import ssl
from pathlib import Path
from time import monotonic, time

import anyio
import pytest
from tests.certificates import as_conf, make_pair, trusting
from tests.driver.harness import (
    BOUND,
    GET,
    Client,
    Observed,
    Serving,
    adopted,
    in_thread,
    kernel_accepted,
    send_queue,
    standstill,
    within_bound,
)
from tests.driver.net import Net
from tests.driver.test_unix_sockets import UnixClient
from tests.driver.tls_client import TlsClient

from httpng_core import (
    CertificateFiles,
    ConfigError,
    ListenAddress,
    Request,
    SendResult,
    TlsFiles,
)
from httpng_driver import IO
from httpng_lua import LuaApplication

pytestmark = pytest.mark.anyio


def told(req: Request) -> str:
    return f"{req.https} {req.host} {req.peer.host} {req.ouraddr.port}"


def get_over(context: ssl.SSLContext, address: ListenAddress, name: str = "localhost") -> bytes:
    """A response by Python's own client of TLS, which waits for the close_notify."""
    request = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with (
        socket.create_connection((address.host, address.port), timeout=BOUND) as plain,
        context.wrap_socket(plain, server_hostname=name, suppress_ragged_eofs=False) as sock,
    ):
        sock.sendall(request)
        received = b""
        while data := sock.recv(65536):
            received += data
        return received


def issuer_of(address: ListenAddress, name: str, context: ssl.SSLContext) -> bytes:
    """The certificate that the server shows for a name."""
    with (
        socket.create_connection((address.host, address.port), timeout=BOUND) as plain,
        context.wrap_socket(plain, server_hostname=name) as sock,
    ):
        return sock.getpeercert(binary_form=True) or b""


def der_of(pair: CertificateFiles) -> bytes:
    return ssl.PEM_cert_to_DER_cert(Path(pair.certificate_file).read_text())


def spoil(pair: CertificateFiles) -> None:
    Path(pair.certificate_file).write_text("junk")


async def test_plain_text_and_tls_in_one_server(serving: Serving, pair: CertificateFiles) -> None:
    listen = ["127.0.0.1:0", as_conf(TlsFiles((pair,)))]
    async with serving(told, listen=listen) as server:
        plain, sealed = server.addresses
        assert [plain.url, sealed.url] == [
            f"http://127.0.0.1:{plain.port}",
            f"https://127.0.0.1:{sealed.port}",
        ]
        with Client(plain) as client:
            first = await in_thread(client.ask)
        second = await in_thread(get_over, trusting(pair), sealed)
    assert first.body == f"False x 127.0.0.1 {plain.port}".encode()
    assert second.endswith(f"True x 127.0.0.1 {sealed.port}".encode())


async def test_a_python_client_gets_its_close_notify(serving: Serving, pair: CertificateFiles) -> None:
    """Without one it would raise: it doesn't suppress a ragged end."""
    async with serving(lambda req: "x" * 100_000, listen=as_conf(TlsFiles((pair,)))) as server:
        received = await in_thread(get_over, trusting(pair), server.addresses[0])
    assert received.endswith(b"x" * 100_000)


async def test_what_is_cut_short_ends_with_a_fin_and_no_close_notify(
    serving: Serving, pair: CertificateFiles
) -> None:
    async def handler(req: Request, io: IO) -> None:
        io.headers["content-length"] = 1000
        await io.write(b"half of it")
        await io.wait(0)

    async with serving(handler, listen=as_conf(TlsFiles((pair,)))) as server:
        with TlsClient(server.addresses[0], pair) as client:
            await in_thread(client.shake)
            client.send(GET)
            await in_thread(client.read_to_end)
    assert (client.ended, client.said_all) == ("fin", False)
    assert client.wire.endswith(b"half of it")


async def test_a_close_notify_while_streaming_is_a_client_that_leaves(
    serving: Serving, pair: CertificateFiles
) -> None:
    @Observed
    async def handler(req: Request, io: IO) -> SendResult | None:
        await io.write(b"begun")
        await within_bound(said)
        return await io.write(b"x" * 9_000_000, timeout=BOUND)

    said = anyio.Event()
    async with serving(handler, listen=as_conf(TlsFiles((pair,)))) as server:
        with TlsClient(server.addresses[0], pair, receive_buffer=16384) as client:
            await in_thread(client.shake)
            client.send(GET)
            await in_thread(client.read_body, 5)
            said.set()
            client.say_all()
            result = await handler.outcome()
    assert result is not None
    assert result.cancelled


async def test_a_client_that_closes_both_ways_before_the_response_gets_it(
    serving: Serving, pair: CertificateFiles
) -> None:
    begin = anyio.Event()

    async def handler(req: Request, io: IO) -> str:
        await within_bound(begin)
        return "the whole answer"

    async with serving(handler, listen=as_conf(TlsFiles((pair,)))) as server:
        with TlsClient(server.addresses[0], pair) as client:
            await in_thread(client.shake)
            client.send(GET)
            client.say_all()
            client.socket.shutdown(socket.SHUT_WR)
            begin.set()
            await in_thread(client.read_to_end)
    assert client.wire.endswith(b"the whole answer")
    assert (client.ended, client.said_all) == ("fin", True)


async def test_what_the_kernel_holds_of_a_stalled_client_is_bounded(
    serving: Serving, pair: CertificateFiles
) -> None:
    async def handler(req: Request, io: IO) -> None:
        await io.write(b"x" * 50_000_000, timeout=BOUND)

    async with serving(handler, listen=as_conf(TlsFiles((pair,)))) as server:
        with TlsClient(server.addresses[0], pair, receive_buffer=65536) as client:
            await in_thread(client.shake)
            client.send(GET)
            pump = await adopted(server, client)
            accepted = await standstill(pump.socket)
            assert send_queue(pump.socket) < 256 * 1024
            assert accepted == kernel_accepted(pump.socket) == pump.taken
            # One record at most is sealed and not with the kernel.
            assert pump.connection.statistics().ledger - accepted <= 16384 + 22


async def test_a_handshake_that_is_not_begun_or_not_ended(serving: Serving, pair: CertificateFiles) -> None:
    begun = monotonic()
    async with serving(told, listen=as_conf(TlsFiles((pair,))), handshake_timeout=0.2) as server:
        with TlsClient(server.addresses[0], pair) as silent, TlsClient(server.addresses[0], pair) as half:
            half.tls.shake()
            half.socket.sendall(half.tls.take()[:100])
            for client in (silent, half):
                await in_thread(client.read_to_end)
                assert client.ended in ("fin", "reset")
    assert 0.2 <= monotonic() - begun < BOUND


async def test_plain_http_on_an_https_port(
    serving: Serving, pair: CertificateFiles, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(told, listen=as_conf(TlsFiles((pair,)))) as server:
        with caplog.at_level(logging.INFO), Client(server.addresses[0]) as client:
            received = await in_thread(client.ask)
            await in_thread(client.read_to_end)
    assert (received.status, client.ended) == (400, "fin")
    assert received.body == b"this is an HTTPS port: the request came without TLS"
    assert [record.getMessage() for record in caplog.records] == [
        "TLS with 127.0.0.1 failed: plain HTTP on an HTTPS port"
    ]


async def test_junk_gets_an_alert_and_a_line_in_the_log(
    serving: Serving, pair: CertificateFiles, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(told, listen=as_conf(TlsFiles((pair,)))) as server:
        with caplog.at_level(logging.INFO), Client(server.addresses[0]) as client:
            client.send(b"\x16\x03\x01\x00\x05hello" + b"junk" * 1000)
            await in_thread(client.read_to_end)
        assert client.ended == "fin"
        assert client.wire[:1] == b"\x15", "an alert"
        assert [record.getMessage() for record in caplog.records] == [
            "TLS with 127.0.0.1 failed: unexpected message"
        ]
        assert await in_thread(get_over, trusting(pair), server.addresses[0])


async def test_certificates_by_name(serving: Serving, tmp_path: Path) -> None:
    pairs = make_pair(tmp_path, ["a.test"], stem="a"), make_pair(tmp_path, ["*.b.test"], stem="b")
    context = trusting(*pairs)
    async with serving(told, listen=as_conf(TlsFiles(pairs, uses_sni=True))) as server:
        for name, pair in (("a.test", pairs[0]), ("x.b.test", pairs[1])):
            shown = await in_thread(issuer_of, server.addresses[0], name, context)
            assert shown == der_of(pair)
        for name in ("other.test", "b.test"):
            with pytest.raises(ssl.SSLError, match="UNRECOGNIZED_NAME"):
                await in_thread(issuer_of, server.addresses[0], name, context)


# Reloading --------------------------------------------------------------------------------------------


async def test_new_handshakes_use_reloaded_certificates(serving: Serving, tmp_path: Path) -> None:
    old = make_pair(tmp_path)
    trusts_old = trusting(old)
    async with serving(told, listen=as_conf(TlsFiles((old,)))) as server:
        address = server.addresses[0]
        with TlsClient(address, old) as client:
            await in_thread(client.shake)
            trusts_new = trusting(make_pair(tmp_path))
            assert await in_thread(get_over, trusts_old, address)
            server.reload_certificates()
            assert await in_thread(get_over, trusts_new, address)
            with pytest.raises(ssl.SSLError, match="certificate verify failed"):
                await in_thread(get_over, trusts_old, address)
            assert (await in_thread(client.ask)).status == 200, "an open connection goes on"


async def test_a_broken_file_changes_nothing(serving: Serving, tmp_path: Path) -> None:
    good, other = make_pair(tmp_path, stem="good"), make_pair(tmp_path, stem="other")
    trusts = trusting(good)
    listen = [as_conf(TlsFiles((good,))), as_conf(TlsFiles((other,)))]
    async with serving(told, listen=listen) as server:
        make_pair(tmp_path, stem="good")
        spoil(other)
        with pytest.raises(ConfigError, match=f"{other.certificate_file}: no certificate in it"):
            server.reload_certificates()
        assert await in_thread(get_over, trusts, server.addresses[0])


async def test_nothing_to_reload(serving: Serving) -> None:
    async with serving(told) as server:
        assert not server.uses_tls
        server.reload_certificates()


async def test_certificates_are_read_before_anything_listens(serving: Serving, tmp_path: Path) -> None:
    missing = CertificateFiles(str(tmp_path / "no.pem"), str(tmp_path / "no.key"))
    with pytest.raises(ConfigError, match=r"can't bind certificate file to ssl_ctx: .*/no.pem"):
        async with serving(told, listen=[f"unix:{tmp_path}/sock", as_conf(TlsFiles((missing,)))]):
            pass
    assert not (tmp_path / "sock").exists()


# Timeouts ---------------------------------------------------------------------------------------------


async def test_a_write_that_times_out_reports_what_the_client_will_open(net: Net) -> None:
    """To the byte, with records of many sizes."""

    @Observed
    async def handler(req: Request, io: IO) -> int:
        accepted = 0
        for size in (1, 100, 5_000, 16_384, 40_000, 3_000_000):
            result = await io.write(b"x" * size, timeout=0.2)
            accepted += size if result is None else result.body_bytes_sent
        await io.close()
        return accepted

    async with (
        net.serving(handler, default_send_window=0) as server,
        net.connect(server, receive_buffer=65536) as client,
    ):
        client.request()
        accepted = await handler.outcome()
        received = await in_thread(client.read_response)
    assert accepted > 61_485
    assert len(received.body) == accepted
    assert received.complete


# Lua --------------------------------------------------------------------------------------------------

SCRIPT = """
local pair = {{certificate_file = {certificate:?}, certificate_key_file = {key:?}}}
require 'httpng'.cfg{{
  listen = {{
    {{addr = '127.0.0.1', port = 0, tls = {{pair}}}},
    '127.0.0.1:0',
    {{addr = 'unix:{folder}/lua.sock', mode = '600'}},
  }},
  min_proto_version = 'tls1.3',
  openssl_security_level = 2,
  handler = function(req, io)
    local peer = req.peer
    return ('%s %s %s %s'):format(tostring(req.https), req.host, peer.family, peer.protocol)
  end,
}}
"""


@pytest.mark.parametrize("lua", ["luajit21", "lua54"])
async def test_lua_over_tls(serving: Serving, pair: CertificateFiles, tmp_path: Path, lua: str) -> None:
    script = tmp_path / "app.lua"
    text = SCRIPT.replace("{certificate:?}", f"'{pair.certificate_file}'")
    text = text.replace("{key:?}", f"'{pair.certificate_key_file}'").replace("{folder}", str(tmp_path))
    script.write_text(text.replace("{{", "{").replace("}}", "}"))
    app = LuaApplication(script, clock=monotonic, wall_clock=time, lua=lua)
    old = trusting(pair)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    async with serving(app, listen=None) as server:
        sealed, plain, unix = server.addresses
        first = await in_thread(get_over, trusting(pair), sealed)
        with Client(plain) as client:
            second = await in_thread(client.ask)
        assert unix.path is not None
        with UnixClient(unix.path) as other:
            third = await in_thread(other.ask)
        with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
            await in_thread(get_over, old, sealed)
    assert first.endswith(b"true x AF_INET tcp")
    assert second.body == b"nil x AF_INET tcp"
    assert third.body == b"nil x AF_UNIX unix"
