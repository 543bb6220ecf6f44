"""What clients confirm through nginx: a WebSocket of the library websockets, and chromium's EventSource."""

import json
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.driver.harness import BOUND, Observed, in_thread, serving_on, until
from tests.interop.chromium import browsing
from websockets.asyncio.client import connect

from httpng_core import Request, confirmations, sse_event, sse_headers
from httpng_driver import IO, Feed

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx isn't installed"),
]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@contextmanager
def nginx(folder: Path, back: int) -> Iterator[int]:
    """A proxy in its default configuration, apart from what WebSockets need; its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "nginx.conf").write_text(f"""
        daemon off; master_process off; pid {folder}/nginx.pid;
        events {{ }}
        http {{
            access_log off;
            client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
            fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
            server {{
                listen 127.0.0.1:{port};
                location / {{
                    proxy_pass http://127.0.0.1:{back};
                    proxy_http_version 1.1;
                    proxy_set_header Upgrade $http_upgrade;
                    proxy_set_header Connection $http_connection;
                }}
            }}
        }}
    """)
    command = ("nginx", "-p", str(folder), "-c", f"{folder}/nginx.conf", "-e", f"{folder}/error.log")
    with subprocess.Popen(command) as process:
        try:
            yield port
        finally:
            process.terminate()


@asynccontextmanager
async def proxied(app: Any, folder: Path, **cfg: Any) -> AsyncIterator[int]:
    async with serving_on("asyncio")(app, confirm_timeout=20, **cfg) as server:
        with nginx(folder, server.addresses[0].port) as port:
            await until(lambda: _listens(port))
            yield port


def _listens(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


async def test_a_websocket_confirms_through_it(tmp_path: Path) -> None:
    @Observed
    async def handler(req: Request, io: IO) -> tuple[int | None, bool, int | None]:
        ws = await io.accept_websocket()
        ws.window_until = "confirmed"
        await ws.send("x" * 100_000)
        before = ws.get_send_stats().confirmed
        # Its reader takes nothing until here, and answers when it has the PING.
        reading.set()
        result = await ws.wait(0, 20)
        return before, result.reached, ws.get_send_stats().confirmed

    reading = anyio.Event()
    async with proxied(handler, tmp_path) as port, connect(f"ws://127.0.0.1:{port}/") as client:
        await reading.wait()
        assert await client.recv() == "x" * 100_000
        assert await handler.outcome() == (0, True, 100_000)


@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium isn't installed")
async def test_a_page_confirms_events_through_it_by_the_script_that_is_served(tmp_path: Path) -> None:
    confirming, feed = confirmations("/confirm"), Feed()

    @Observed
    async def stream(req: Request, io: IO) -> bool:
        io.headers = dict(sse_headers())
        await io.write(confirming.event(io))
        io.window_until = "confirmed"
        await io.follow(feed)
        return (await io.wait(0, 20)).reached

    def page(req: Request) -> dict[str, Any]:
        return {"headers": {"content-type": "text/html"}, "body": PAGE}

    sites = [
        {"path": "/confirm", "handler": confirming},
        {"path": "/ticks", "handler": stream},
        {"path": "/", "handler": page},
    ]

    def browse(port: int) -> tuple[list[str], bool, list[str]]:
        chromium = shutil.which("chromium")
        assert chromium is not None
        with browsing(chromium, tmp_path / "profile", BOUND) as shown:
            shown.call("Page.navigate", url=f"http://127.0.0.1:{port}/")
            for count in range(5):
                feed.publish(sse_event(str(count)), key=str(count))
            seen = shown.evaluate(FIVE)
            feed.close()
            # The page shows the last value before its confirmation is out: it stays open until that is here.
            reached = anyio.from_thread.run(stream.outcome)
            return json.loads(seen), reached, shown.errors

    async with proxied(None, tmp_path, sites=sites) as port:
        seen, reached, errors = await in_thread(browse, port)
        assert sorted(seen) == ["0", "1", "2", "3", "4"]
        assert reached
        assert errors == []
    assert len(confirming) == 0


FIVE = """new Promise(done => {
  const look = () => window.seen && seen.length >= 5 ? done(JSON.stringify(seen)) : setTimeout(look, 20)
  look()
})"""
PAGE = """<!doctype html><title>ticks</title><script type="module">
import { confirming } from "/confirm"
window.seen = []
const events = confirming(new EventSource("/ticks"))
events.onmessage = event => window.seen.push(event.data)
events.onerror = () => events.close()
</script>"""
