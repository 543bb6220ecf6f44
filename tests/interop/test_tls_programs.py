"""curl and openssl, which know nothing of us, over TLS, against each backend."""

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.certificates import as_conf
from tests.driver.harness import Serving, in_thread

from httpng_core import CertificateFiles, Request, SendStats, TlsFiles
from httpng_driver import IO

pytestmark = pytest.mark.anyio

Program = Callable[[str], str]
GET = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
BODY = bytes(range(256)) * 4_000


async def handler(req: Request, io: IO) -> None:
    """Streams, in pieces that are no multiple of a record."""
    io.headers["x-told"] = f"{req.method} {req.https} {len(req.body)}"
    for start in range(0, len(BODY), 50_001):
        await io.write(BODY[start : start + 50_001])


def run(command: list[str], data: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(command, input=data, capture_output=True, timeout=60, check=False)


@pytest.mark.parametrize(("option", "protocol"), [("--http1.1", "http/1.1"), ("--http2", "h2")])
async def test_curl_gets_and_posts(
    program: Program, serving: Serving, pair: CertificateFiles, tmp_path: Path, option: str, protocol: str
) -> None:
    (tmp_path / "body").write_bytes(BODY)
    async with serving(handler, listen=as_conf(TlsFiles((pair,)))) as server:
        curl = [program("curl"), "-k", option, "--silent", "--show-error", "--verbose", "--max-time", "30"]
        url = server.addresses[0].url
        ran = await in_thread(run, [*curl, url, url, "--data-binary", f"@{tmp_path}/body"])
    told = ran.stderr.decode(errors="replace").replace("\r", "")
    assert ran.returncode == 0, told
    assert ran.stdout == BODY * 2
    assert f"ALPN: server accepted {protocol}" in told
    assert told.count(f"< x-told: POST True {len(BODY)}\n") == 2
    assert "Re-using existing connection" in told


async def test_curl_checks_the_certificate(
    program: Program, serving: Serving, pair: CertificateFiles
) -> None:
    async with serving(handler, listen=as_conf(TlsFiles((pair,)))) as server:
        port = server.addresses[0].port
        arguments = ["--resolve", f"localhost:{port}:127.0.0.1", f"https://localhost:{port}"]
        curl = [program("curl"), "--silent", "--max-time", "30", *arguments]
        trusted = await in_thread(run, [*curl, "--cacert", pair.certificate_file])
        unknown = await in_thread(run, curl)
        plain = await in_thread(run, [program("curl"), "--silent", f"http://127.0.0.1:{port}"])
    assert trusted.stdout == BODY
    assert unknown.returncode == 60
    assert plain.stdout == b"this is an HTTPS port: the request came without TLS"


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
async def test_openssl_gets_a_response_and_a_close_notify(
    program: Program, serving: Serving, pair: CertificateFiles, version: str
) -> None:
    async with serving(handler, listen=as_conf(TlsFiles((pair,)))) as server:
        where = f"127.0.0.1:{server.addresses[0].port}"
        command = [program("openssl"), "s_client", "-connect", where, "-servername", "localhost", version]
        checked = ["-CAfile", pair.certificate_file, "-verify_return_error", "-ign_eof", "-msg"]
        ran = await in_thread(run, [*command, *checked], GET)
    told = ran.stdout.decode("latin-1")
    assert "Verify return code: 0 (ok)" in told
    assert "Compression: NONE" in told
    assert re.search(r"<<< TLS 1\.\d, Alert \[length 0002\], warning close_notify", told)


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
async def test_openssl_resumes_its_session(
    program: Program, serving: Serving, pair: CertificateFiles, tmp_path: Path, version: str
) -> None:
    async with serving(lambda req: "short", listen=as_conf(TlsFiles((pair,)))) as server:
        where = f"127.0.0.1:{server.addresses[0].port}"
        command = [program("openssl"), "s_client", "-connect", where, version, "-ign_eof"]
        first = await in_thread(run, [*command, "-sess_out", f"{tmp_path}/session"], GET)
        second = await in_thread(run, [*command, "-sess_in", f"{tmp_path}/session"], GET)
    assert b"New, TLSv1." in first.stdout
    assert b"Reused, TLSv1." in second.stdout
    assert b"short" in second.stdout


@pytest.mark.parametrize(
    ("offer", "agreed"),
    [("h2,http/1.1", "h2"), ("http/1.1", "http/1.1"), ("http/1.0", "http/1.0"), ("acme-tls/1", None)],
)
async def test_openssl_agrees_on_a_protocol(
    program: Program, serving: Serving, pair: CertificateFiles, offer: str, agreed: str | None
) -> None:
    async with serving(lambda req: "short", listen=as_conf(TlsFiles((pair,)))) as server:
        where = f"127.0.0.1:{server.addresses[0].port}"
        ran = await in_thread(run, [program("openssl"), "s_client", "-connect", where, "-alpn", offer])
    told = ran.stdout.decode("latin-1")
    assert (f"ALPN protocol: {agreed}" if agreed else "No ALPN negotiated") in told
    assert (b"no application protocol" in ran.stderr) == (agreed is None)


async def test_openssl_may_not_renegotiate(
    program: Program, serving: Serving, pair: CertificateFiles
) -> None:
    """`R` on a line of its own makes s_client ask for it."""
    async with serving(lambda req: "short", listen=as_conf(TlsFiles((pair,)))) as server:
        where = f"127.0.0.1:{server.addresses[0].port}"
        command = [program("openssl"), "s_client", "-connect", where, "-tls1_2"]
        ran = await in_thread(run, command, b"R\n" + GET)
    told = (ran.stdout + ran.stderr).decode("latin-1")
    assert "RENEGOTIATING" in told
    assert "no renegotiation" in told


def read_until(process: "subprocess.Popen[bytes]", mark: bytes) -> bytes:
    assert process.stdout is not None
    read = b""
    while mark not in read and (data := os.read(process.stdout.fileno(), 65536)):
        read += data
    return read


def update_keys(command: list[str]) -> bytes:
    """`K` on a line of its own makes s_client update its keys, and ask for new ones of ours."""
    process = subprocess.Popen(
        command, bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    with process:
        assert process.stdin is not None
        try:
            told = read_until(process, b"read R BLOCK")
            process.stdin.write(b"K\n")
            told += read_until(process, b"KEYUPDATE")
            process.stdin.write(GET)
            return told + read_until(process, b"closed")
        finally:
            process.kill()


async def test_openssl_updates_its_keys(program: Program, serving: Serving, pair: CertificateFiles) -> None:
    """Our answer to that are sealed bytes that carry no plaintext: what follows counts as ever."""
    stats: list[SendStats] = []

    async def counted(req: Request, io: IO) -> None:
        await handler(req, io)
        await io.wait(0)
        stats.append(io.get_send_stats())

    async with serving(counted, listen=as_conf(TlsFiles((pair,)))) as server:
        where = f"127.0.0.1:{server.addresses[0].port}"
        told = await in_thread(
            update_keys, [program("openssl"), "s_client", "-connect", where, "-tls1_3", "-msg"]
        )
    assert b">>> TLS 1.3, Handshake [length 0005], KeyUpdate" in told
    assert b"<<< TLS 1.3, Handshake [length 0005], KeyUpdate" in told
    assert b"HTTP/1.1 200 OK" in told
    assert [(each.current, each.sent) for each in stats] == [(len(BODY), len(BODY))]
