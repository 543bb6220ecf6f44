"""Applications of the frameworks, unchanged: one server of each for each transport, and all checks on it."""

import json
import re
import signal
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from tests.driver.harness import BOUND, Client, in_thread, serving_on, until
from tests.driver.net import HTTP1, Net, Transport
from tests.driver.ws_client import WsClient

from httpng_core import ListenAddress

ROOT = Path(__file__).parent.parent.parent
_SLOW = "Executing <"
"""What asyncio says in its debug mode of a step that took more than 0.1 s: that depends on the machine."""
pytestmark = pytest.mark.anyio

HTTP2 = Transport(http2=True)
FRAMEWORKS = ["starlette", "fastapi", "quart", "litestar", "blacksheep", "falcon", "django"]
ON_TRIO = ["starlette", "fastapi"]
WITHOUT = {"django": {"/background", "/state", "/ws"}}

ASYNCIO: Any = ("asyncio", {"use_uvloop": False})
UVLOOP: Any = ("asyncio", {"use_uvloop": True})
TRIO: Any = ("trio", {})
CASES = [
    pytest.param(name, transport, loop, id=f"{name}-{transport}-{loop_name}", marks=marks)
    for name in FRAMEWORKS
    for transport, loop, loop_name, marks in (
        (HTTP1, ASYNCIO, "asyncio", ()),
        (HTTP2, UVLOOP, "uvloop", ()),
        (HTTP2, ASYNCIO, "asyncio", pytest.mark.soak),
        (HTTP1, UVLOOP, "uvloop", pytest.mark.soak),
        (HTTP1, TRIO, "trio", ()),
        (HTTP2, TRIO, "trio", pytest.mark.soak),
    )
    if loop is not TRIO or name in ON_TRIO
]

BOUNDARY = "a-boundary"
FILE = b"\x00\xff\r\n" * 2000
MULTIPART = (
    (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\n'
        f"Content-Type: application/octet-stream\r\n\r\n"
    ).encode()
    + FILE
    + f"\r\n--{BOUNDARY}--\r\n".encode()
)


@pytest.fixture
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return request.getfixturevalue("loop")


async def post(net: Net, client: Any, path: str, content_type: str, data: bytes) -> Any:
    """Sends a body, reads the response."""
    headers = [("content-type", content_type), ("content-length", str(len(data)))]
    if net.transport.http2:
        client.post(headers, data, path)
    else:
        client.send(client.prepare(path, "POST", headers) + data)
    return await in_thread(client.read_response, "POST")


async def check(net: Net, client: Any, name: str, module: Any) -> None:
    async def get(path: str, method: str = "GET") -> Any:
        return await in_thread(client.get, path, method)

    hello = await get("/hello")
    assert (hello.status, hello.body, hello.headers["content-length"]) == (200, b"hello", "5")
    head = await get("/hello", "HEAD")
    assert head.body == b""
    assert json.loads((await get("/json")).body) == {"a": [1, 2]}
    stream = await get("/stream")
    assert (stream.body, stream.complete) == (b"one,two,three", True)
    sse = await get("/sse")
    assert (sse.body, sse.headers["content-type"].partition(";")[0]) == (
        b"data: 0\n\ndata: 1\n\ndata: 2\n\n",
        "text/event-stream",
    )
    form = await post(net, client, "/form", "application/x-www-form-urlencoded", b"name=a+b%20c")
    assert (form.status, form.body) == (200, b"a b c")
    upload = await post(net, client, "/upload", f"multipart/form-data; boundary={BOUNDARY}", MULTIPART)
    assert (upload.status, upload.body) == (200, f"a.bin {len(FILE)}".encode())
    assert (await get("/nothing")).status == 404
    assert (await get("/error")).status == 500
    without = WITHOUT.get(name, set())
    if "/state" not in without:
        assert (await get("/state")).body == b"state"
    if "/background" not in without:
        before = module.done.count
        assert (await get("/background")).body == b"accepted"
        await until(lambda: module.done.count == before + 1)


async def check_websocket(client: Any, path: str) -> None:
    ws = WsClient(client)
    await in_thread(ws.shake, path)
    for text in ("hello", "again"):
        await in_thread(ws.say, text)
        assert await in_thread(ws.read) == f"{text} back"
    await in_thread(ws.close)
    assert await in_thread(ws.read) is None


@pytest.mark.parametrize(("name", "transport", "loop"), CASES)
async def test_a_framework(name: str, transport: Transport, loop: Any, anyio_backend_name: str) -> None:
    module = import_module(f"tests.frameworks.apps.{name}_app")
    net = Net(serving_on(anyio_backend_name), transport, None)  # type: ignore[arg-type]
    async with (
        net.serving(module.app, cancel=False) as server,
        net.connect(server) as client,
    ):
        await check(net, client, name, module)
        if "/ws" not in WITHOUT.get(name, ()):
            async with net.connect(server) as other:
                # Falcon has one resource for its paths; any will do.
                await check_websocket(other, "/hello" if name == "falcon" else "/ws")
        server.shutdown()


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name == "fastapi" else pytest.mark.soak) for name in FRAMEWORKS]
)
def test_the_command_serves_it_without_a_warning(name: str) -> None:
    """As a user does, and with all that Python can find to say."""
    command = [sys.executable, "-X", "dev", "-W", "error", "-m", "httpng_asyncio", "--listen", "127.0.0.1:0"]
    if name == "django":
        # It knows no lifespan, which is worth a line of the log.
        command += ["--lifespan", "off"]
    app = f"tests.frameworks.apps.{name}_app:app"
    with subprocess.Popen([*command, app], stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stderr is not None
        try:
            said = process.stderr.readline()
            while _SLOW in said:
                said = process.stderr.readline()
            found = re.fullmatch(r"httpng: listening on http://127.0.0.1:(\d+)\n", said)
            assert found, said
            port = int(found[1])
            for path, body in (
                ("/hello", b"hello"),
                ("/stream", b"one,two,three"),
                ("/background", b"accepted"),
            ):
                if path in WITHOUT.get(name, ()):
                    continue
                with Client(ListenAddress("127.0.0.1", port)) as client:
                    assert client.get(path).body == body
        finally:
            process.send_signal(signal.SIGTERM)
        rest = [line for line in process.stderr if _SLOW not in line]
        assert (process.wait(BOUND), rest) == (0, [])
