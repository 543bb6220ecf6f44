"""curl, nghttp and h2load, which know nothing of us, over HTTP/2 against each backend."""

import re
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.driver.harness import Serving, in_thread
from tests.driver.net import TRANSPORTS, Net

from httpng_core import Request
from httpng_driver import IO

pytestmark = pytest.mark.anyio

Program = Callable[[str], str]
BODY = bytes(range(256)) * 3000
over_http2 = pytest.mark.parametrize(
    "transport", [each for each in TRANSPORTS if each.http2], ids=str, indirect=True
)


async def run(program: str, *arguments: str) -> bytes:
    """What a program wrote, if it was content."""
    command = [program, *arguments]
    ran = await in_thread(lambda: subprocess.run(command, capture_output=True, timeout=60, check=False))
    assert ran.returncode == 0, ran.stderr.decode(errors="replace")
    return ran.stdout


async def echo(req: Request, io: IO) -> None:
    """Streams back what it got; says how it came."""
    io.headers["x-told"] = f"{req.method} {req.path} {req.version_major}.{req.version_minor}"
    for start in range(0, len(req.body), 100_000):
        await io.write(req.body[start : start + 100_000])


@pytest.mark.parametrize("option", ["--http2-prior-knowledge", "--http2"])
async def test_curl_gets(program: Program, serving: Serving, option: str) -> None:
    async with serving(echo, h2c_upgrade=True) as server:
        url = f"{server.addresses[0].url}/path"
        told = await run(program("curl"), "--silent", "--include", "--max-time", "30", option, url)
    assert told.endswith(b"x-told: GET /path 2.0\r\ndate: " + told.partition(b"date: ")[2])
    assert b"HTTP/2 200" in told
    assert (b"101 Switching" in told) == (option == "--http2")


async def test_curl_uploads(program: Program, serving: Serving, tmp_path: Path) -> None:
    file = tmp_path / "body"
    file.write_bytes(BODY)
    async with serving(echo) as server:
        url = server.addresses[0].url
        options = ("--silent", "--max-time", "30", "--http2-prior-knowledge")
        body = await run(program("curl"), *options, "--data-binary", f"@{file}", url)
    assert body == BODY


async def test_an_upgrade_is_ignored_without_the_setting(program: Program, serving: Serving) -> None:
    async with serving(echo) as server:
        url = server.addresses[0].url
        told = await run(program("curl"), "--silent", "--include", "--max-time", "30", "--http2", url)
    assert b"x-told: GET / 1.1" in told


async def pieces(req: Request, io: IO) -> None:
    """Ten pieces of 100 bytes each; every byte tells the path."""
    for _ in range(10):
        await io.write(bytes([int(req.path[1:])]) * 100)


async def nghttp_gets(program: Program, url: str, count: int, *options: str) -> None:
    """All of the pieces, of as many responses at once."""
    bodies = await run(program("nghttp"), "-y", *options, *(f"{url}/{number}" for number in range(count)))
    assert Counter(bodies) == dict.fromkeys(range(count), 1000)


async def test_nghttp_upgrades(program: Program, serving: Serving) -> None:
    async with serving(pieces, h2c_upgrade=True) as server:
        await nghttp_gets(program, server.addresses[0].url, 5, "-u")


# In clear text by prior knowledge, and over TLS by ALPN -------------------------------------------------


@over_http2
async def test_nghttp_gets_many(program: Program, net: Net) -> None:
    async with net.serving(pieces) as server:
        await nghttp_gets(program, server.addresses[0].url, 90)


@over_http2
@pytest.mark.parametrize("bits", ["1", "10"])
async def test_nghttp_has_small_windows(program: Program, net: Net, bits: str) -> None:
    """Of 1 and of 1023 bytes for each stream."""
    async with net.serving(pieces, default_send_window=100) as server:
        await nghttp_gets(program, server.addresses[0].url, 3, "--window-bits", bits)


@over_http2
async def test_nghttp_posts_with_trailers(program: Program, net: Net, tmp_path: Path) -> None:
    """Longer than the window that a body has at first; the trailers are taken, and ignored."""
    file = tmp_path / "body"
    file.write_bytes(BODY)
    async with net.serving(echo) as server:
        url = server.addresses[0].url
        arguments = ("-y", "-v", "--no-content-length", "--trailer", "x-sum: 1", "--data", str(file))
        told = await run(program("nghttp"), *arguments, f"{url}/put")
        body = await run(program("nghttp"), "-y", "--trailer", "x-sum: 1", "--data", str(file), url)
    assert b"x-told: POST /put 2.0" in told
    assert re.search(rb"send HEADERS frame <[^>]*>\n +; END_STREAM \| END_HEADERS[^\[]*x-sum: 1", told)
    assert body == BODY


@over_http2
@pytest.mark.parametrize("options", [("-m", "1"), ("-m", "32"), ("-m", "100", "-w", "5", "-W", "16")])
async def test_h2load_is_content(program: Program, net: Net, options: tuple[str, ...]) -> None:
    """At the end with windows of 31 bytes, too few for any body."""

    async def handler(req: Request, io: IO) -> None:
        await io.write("hello " * 20)

    async with net.serving(handler) as server:
        url = server.addresses[0].url
        told = await run(program("h2load"), "-n", "1000", "-c", "4", *options, url)
    assert b"1000 succeeded, 0 failed, 0 errored, 0 timeout" in told
    assert (b"Application protocol: h2\n" if net.transport.tls else b"Application protocol: h2c\n") in told


@over_http2
async def test_curl_sees_that_a_response_is_cut_short(program: Program, net: Net) -> None:
    async def handler(req: Request, io: IO) -> None:
        await io.write(b"a part")
        await io.wait(0)
        raise RuntimeError("the reason")

    async with net.serving(handler) as server:
        option = "--http2" if net.transport.tls else "--http2-prior-knowledge"
        command = [program("curl"), "-k", "--silent", "--max-time", "30", option, server.addresses[0].url]
        ran = await in_thread(lambda: subprocess.run(command, capture_output=True, timeout=60, check=False))
    assert ran.returncode == 92, "a stream that wasn't closed cleanly"
    assert b"a part".startswith(ran.stdout), "it drops what comes together with the reset"
