"""curl, nghttp and h2load, which know nothing of us, over HTTP/2 in clear text against each backend."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.driver.harness import Serving, in_thread

from httpng_core import Request
from httpng_driver import IO

pytestmark = pytest.mark.anyio

Program = Callable[[str], str]
BODY = bytes(range(256)) * 3000


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


@pytest.mark.parametrize("options", [(), ("-u",)])
async def test_nghttp_gets_many(program: Program, serving: Serving, options: tuple[str, ...]) -> None:
    async def handler(req: Request, io: IO) -> object:
        return req.path * 1000

    async with serving(handler, h2c_upgrade=True) as server:
        urls = [f"{server.addresses[0].url}/{number}" for number in range(5)]
        bodies = await run(program("nghttp"), *options, *urls)
    for number in range(5):
        assert b"/%d" % number * 1000 in bodies


async def test_h2load_is_content(program: Program, serving: Serving) -> None:
    async def handler(req: Request, io: IO) -> object:
        return "hello"

    async with serving(handler) as server:
        told = await run(program("h2load"), "-n", "2000", "-c", "4", "-m", "32", server.addresses[0].url)
    assert b"2000 succeeded, 0 failed, 0 errored, 0 timeout" in told
