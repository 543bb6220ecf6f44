"""curl, wrk and h2load, which know nothing of us, against each backend."""

import re
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from tests.driver.harness import Serving, in_thread

from httpng_core import Request
from httpng_driver import IO

pytestmark = pytest.mark.anyio

Program = Callable[[str], str]
BODY = bytes(range(256)) * 12_000


@pytest.fixture
def body_file(tmp_path: Path) -> Path:
    """A body to upload: long enough that curl asks first whether it may."""
    file = tmp_path / "body"
    file.write_bytes(BODY)
    return file


async def echo(req: Request, io: IO) -> None:
    """Streams back what it got; says how it came."""
    io.headers["x-told"] = f"{req.method} {req.path} {req.headers.get('transfer-encoding', 'length')}"
    io.headers["x-port"] = req.peer.port
    for start in range(0, len(req.body), 100_000):
        await io.write(req.body[start : start + 100_000])
        await anyio.lowlevel.checkpoint()


def run(command: Sequence[str]) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(command, capture_output=True, timeout=60, check=False)


async def curl(program: Program, *arguments: str) -> tuple[bytes, str]:
    """What curl got and what it says of it."""
    command = [program("curl"), "--silent", "--show-error", "--verbose", "--max-time", "30", *arguments]
    ran = await in_thread(run, command)
    told = ran.stderr.decode(errors="replace").replace("\r", "")
    assert ran.returncode == 0, told
    return ran.stdout, told


async def test_curl_gets(program: Program, serving: Serving) -> None:
    async def handler(req: Request, io: IO) -> object:
        return {"body": f"{req.host} {req.path} {req.query}", "headers": {"x-list": ["a", "b"]}}

    async with serving(handler) as server:
        url = f"{server.addresses[0].url}/path?query=%20"
        body, told = await curl(program, url)
    assert body == b"127.0.0.1 /path?query=%20 query=%20"
    assert "< HTTP/1.1 200 OK\n" in told
    assert "< x-list: a\n< x-list: b\n" in told


async def test_curl_asks_for_the_head(program: Program, serving: Serving) -> None:
    async def handler(req: Request, io: IO) -> object:
        return {"body": b"x" * 12345}

    async with serving(handler) as server:
        head, _ = await curl(program, "--head", server.addresses[0].url)
    assert b"HTTP/1.1 200 OK\r\n" in head
    assert b"content-length: 12345\r\n" in head


async def test_curl_posts(program: Program, serving: Serving, body_file: Path) -> None:
    """With `Expect: 100-continue`, as curl does for bodies of this length."""
    url_arguments = ["--data-binary", f"@{body_file}", "--header", "Expect: 100-continue"]
    async with serving(echo, max_body_len=10_000_000) as server:
        body, told = await curl(program, *url_arguments, server.addresses[0].url)
    assert body == BODY
    assert "< x-told: POST / length\n" in told
    assert "HTTP/1.1 100 Continue\n" in told
    assert "< transfer-encoding: chunked\n" in told


async def test_curl_uploads_in_chunks(program: Program, serving: Serving, body_file: Path) -> None:
    arguments = ["--upload-file", str(body_file), "--header", "Transfer-Encoding: chunked"]
    async with serving(echo, max_body_len=10_000_000) as server:
        body, told = await curl(program, *arguments, f"{server.addresses[0].url}/put")
    assert body == BODY
    assert "< x-told: PUT /put chunked\n" in told


async def test_curl_is_told_that_its_body_is_too_long(
    program: Program, serving: Serving, body_file: Path
) -> None:
    """Whether it waits for a 100 or not, it reads the answer."""
    async with serving(echo, max_body_len=1000) as server:
        for expect in ("Expect: 100-continue", "Expect:"):
            arguments = ["--data-binary", f"@{body_file}", "--header", expect]
            _, told = await curl(program, *arguments, server.addresses[0].url)
            assert re.search("< HTTP/1.1 413 ", told)


async def test_curl_keeps_its_connection(program: Program, serving: Serving) -> None:
    async with serving(echo) as server:
        url = server.addresses[0].url
        _, told = await curl(program, "--data", "one", url, "--next", "--verbose", "--data", "two", url)
    ports = re.findall(r"< x-port: (\d+)\n", told)
    assert len(ports) == 2
    assert ports[0] == ports[1]


async def test_curl_speaks_http_1_0(program: Program, serving: Serving, body_file: Path) -> None:
    arguments = ["--http1.0", "--data-binary", f"@{body_file}"]
    async with serving(echo, max_body_len=10_000_000) as server:
        body, told = await curl(program, *arguments, server.addresses[0].url)
    assert body == BODY
    assert "transfer-encoding" not in told


async def test_curl_sees_that_a_response_is_cut_short(program: Program, serving: Serving) -> None:
    """The whole point of an abort: no client takes what it has for complete."""

    async def handler(req: Request, io: IO) -> None:
        if req.path == "/length":
            io.headers["content-length"] = 1000
        await io.write(b"a part")
        await io.wait(0)
        raise RuntimeError("the reason")

    async with serving(handler) as server:
        for path in ("/length", "/chunked"):
            ran = await in_thread(run, [program("curl"), "--silent", f"{server.addresses[0].url}{path}"])
            assert ran.returncode in (18, 56), "partial file, or a failure in receiving"
            assert b"a part".startswith(ran.stdout), "the reset may overtake it"


async def hello(req: Request, io: IO) -> object:
    return {"body": "hello"}


async def stream(req: Request, io: IO) -> None:
    for _ in range(20):
        await io.write(b"x" * 1000)


@pytest.mark.parametrize("handler", [hello, stream])
async def test_wrk(program: Program, serving: Serving, handler: object) -> None:
    async with serving(handler) as server:
        command = [program("wrk"), "--threads", "1", "--connections", "20", "--duration", "1s"]
        ran = await in_thread(run, [*command, server.addresses[0].url])
    told = ran.stdout.decode()
    assert ran.returncode == 0, told
    requests = re.search(r"(\d+) requests in", told)
    assert requests is not None
    assert int(requests[1]) > 50
    assert "Socket errors" not in told
    assert "Non-2xx" not in told


@pytest.mark.parametrize("handler", [hello, stream])
async def test_h2load_over_http_1(program: Program, serving: Serving, handler: object) -> None:
    """Pipelined: ten requests at once on each connection."""
    async with serving(handler) as server:
        command = [program("h2load"), "--h1", "-n", "1000", "-c", "10", "-m", "10"]
        ran = await in_thread(run, [*command, server.addresses[0].url])
    told = ran.stdout.decode()
    assert "1000 succeeded, 0 failed, 0 errored, 0 timeout" in told
