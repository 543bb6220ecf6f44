"""The admin listener: what it tells, what operators do with it, and who may not."""

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.driver.harness import GET, Client, Serving, in_thread, until, within_bound
from tests.driver.operator_client import Answer, ask

from httpng_core import ConfigError, ListenAddress, Request, cancelled
from httpng_driver import IO, Server
from httpng_driver.command import top

pytestmark = pytest.mark.anyio

HERE = {"addr": "127.0.0.1", "port": 0}
BIG = bytes(4_000_000)


class Stuck:
    """Sends more than its client takes."""

    def __init__(self, window: int | None = None) -> None:
        self.window = window
        self.written = self.ended = 0
        self.was_cancelled = False
        self.done = anyio.Event()

    async def __call__(self, req: Request, io: IO) -> None:
        if self.window is not None:
            io.send_window = self.window
        self.was_cancelled = bool(cancelled(await io.write(BIG, timeout=60)))
        self.written += 1
        if not self.was_cancelled:
            self.was_cancelled = bool(cancelled(await io.wait(1 << 40, timeout=60)))
        self.ended += 1


async def asked(server: Server, *args: Any, **options: Any) -> Answer:
    assert server.admin is not None
    return await in_thread(lambda place: ask(place, *args, **options), server.admin)


async def told(server: Server, condition: Callable[[Any], object]) -> Any:
    """What is told once it is so."""
    with anyio.fail_after(30):
        while not condition(status := (await asked(server)).data):  # noqa: ASYNC110 - it has no event
            await anyio.sleep(0.01)
    return status


async def the_row(server: Server) -> dict[str, Any]:
    """What is told of the only exchange, once it waits for its client."""
    status = await told(
        server, lambda status: [row["stalled_by"] for row in status["exchanges"]] == ["client"]
    )
    return dict(status["exchanges"][0])


@pytest.mark.parametrize("threads", [1, 2])
async def test_an_exchange_is_killed_and_nothing_else(serving: Serving, tmp_path: Path, threads: int) -> None:
    stuck, place = Stuck(), tmp_path / "admin.sock"
    async with serving(stuck, admin=f"unix:{place}", threads=threads) as server:
        assert stat.S_IMODE(place.stat().st_mode) == 0o600
        address = server.addresses[0]
        with Client(address, receive_buffer=16384) as slow, Client(address, receive_buffer=16384) as other:
            slow.send(GET)
            row = await the_row(server)
            other.send(GET)
            assert (await asked(server, "/kill", {"exchange": row["id"]})).data == {"done": row["id"]}
            await until(lambda: stuck.ended == 1, "the handler learns it")
            assert stuck.was_cancelled
            await in_thread(slow.read_to_end)
            assert slow.ended == "reset"
            await told(server, lambda left: left["ends"] == {"killed": 1} and left["active"] == 1)
            again = await asked(server, "/kill", {"exchange": row["id"]})
            assert again.status == 404
            assert "is over, or never was" in again.data["error"]
            row = await the_row(server)
            assert (await asked(server, "/kill", {"connection": row["connection"]})).status == 200
            await until(lambda: server.connections == 0, "the connections are closed")
            await told(server, lambda left: left["ends"] == {"killed": 2})
    assert not place.exists()


async def test_the_window_of_an_exchange_is_set(serving: Serving) -> None:
    stuck = Stuck(window=1000)
    async with serving(stuck, admin=HERE) as server:
        with Client(server.addresses[0], receive_buffer=16384) as slow:
            slow.send(GET)
            row = await the_row(server)
            assert stuck.written == 0
            wide = {"exchange": row["id"], "bytes": len(BIG)}
            assert (await asked(server, "/window", wide)).status == 200
            await until(lambda: stuck.written == 1, "the write fits now")
            assert (await the_row(server))["current"] == len(BIG)
            for wrong in ("x", -1, True, 1.5, None):
                answer = await asked(server, "/window", {"exchange": row["id"], "bytes": wrong})
                assert answer.status == 400
                assert "window" in answer.data["error"]


async def test_it_goes_on_while_the_server_drains(serving: Serving) -> None:
    stuck = Stuck()
    async with serving(stuck, admin=HERE, cancel=False, shutdown_timeout=60) as server:
        with Client(server.addresses[0], receive_buffer=16384) as slow:
            slow.send(GET)
            row = await the_row(server)
            server.shutdown()
            status = (await asked(server)).data
            assert status["state"] == "stopping"
            assert status["workers"][0]["active"] == 1
            assert (await asked(server, "/kill", {"exchange": row["id"]})).status == 200


async def test_what_is_asked_for_is_told(serving: Serving) -> None:
    entered = anyio.Event()

    async def handler(req: Request, io: IO) -> None:
        await io.write(b"x" * (10 if req.path == "/short" else 1000))
        await within_bound(entered)

    async with serving(handler, admin=HERE) as server:
        with Client(server.addresses[0]) as one, Client(server.addresses[0]) as two:
            for client, path in ((one, b"/long"), (two, b"/short")):
                client.send(b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % path)
                await in_thread(client.read_body, 10)

            async def targets(query: str) -> list[str]:
                return [row["target"] for row in (await asked(server, f"/status?{query}")).data["exchanges"]]

            assert await targets("sort=age") == ["/long", "/short"]
            assert await targets("sort=sent&limit=1") == ["/long"]
            assert await targets("part=shor") == ["/short"]
            assert await targets("limit=0") == []
            assert (await asked(server, "/status?sort=target")).status == 400
            page = await asked(server, "/")
            assert b"2 exchanges on 2 connections" in page.body
            assert page.headers["content-security-policy"].startswith("default-src 'none'")
            assert (await asked(server, "/?format=json")).data["active"] == 2
            entered.set()


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"headers": {"host": "evil.example"}}, 403),
        ({"headers": {"host": "127.0.0.1.evil.example"}}, 403),
        ({"headers": {"origin": "http://evil.example"}}, 403),
        ({"headers": {"origin": "null"}}, 403),
        ({"headers": {"sec-fetch-site": "cross-site"}}, 403),
        ({"said": {}, "headers": {"origin": "http://evil.example"}}, 403),
        ({"said": {}, "headers": {"content-type": "text/plain"}}, 415),
        ({"said": {}, "headers": {"content-type": "application/x-www-form-urlencoded"}}, 415),
        ({"said": [1]}, 400),
        ({"said": {"exchange": "1", "other": 2}}, 400),
        ({"said": {"exchange": 1}}, 400),
        ({"said": {"exchange": "1.1-0"}}, 404),
        ({"method": "OPTIONS"}, 405),
        ({"method": "GET"}, 405),
    ],
)
@pytest.mark.parametrize("anyio_backend", [("asyncio", {"use_uvloop": False})])
async def test_no_page_of_another_site_does_anything(
    serving: Serving, options: dict[str, Any], status: int
) -> None:
    async with serving(lambda req: "hello", admin=HERE) as server:
        target = "/status" if status == 403 and "said" not in options else "/kill"
        answer = await asked(server, target, **options)
        assert answer.status == status
        assert "access-control-allow-origin" not in answer.headers
        assert "error" in answer.data
        assert (await asked(server, "/status", headers={"sec-fetch-site": "same-origin"})).status == 200
        assert (await asked(server, "/status", headers={"host": "[::1]:9"})).status == 200


async def test_its_requests_count_for_nothing(serving: Serving, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "httpng.access")
    async with serving(lambda req: "hello", admin=HERE, access_log=True) as server:
        for _ in range(3):
            status = (await asked(server)).data
        assert (status["begun"], status["connections"], server.connections) == (0, 0, 0)
    assert not caplog.records


async def test_where_it_cannot_listen_nothing_is_served(serving: Serving, tmp_path: Path) -> None:
    place = tmp_path / "taken"
    place.write_text("a file")
    with pytest.raises(ConfigError, match="bind error: unix:"):
        async with serving(lambda req: "hello", admin=f"unix:{place}"):
            pass
    assert place.read_text() == "a file"


async def test_top_asks_there(serving: Serving, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with serving(lambda req: "hello", admin=f"unix:{tmp_path}/a") as server:
        assert server.admin == ListenAddress("", 0, path=f"{tmp_path}/a", mode=0o600)
        assert await in_thread(top, ["--json", f"unix:{tmp_path}/a"]) == 0
        assert json.loads(capsys.readouterr().out)["state"] == "running"
    async with serving(lambda req: "hello", admin=HERE) as server:
        assert server.admin is not None
        assert await in_thread(top, ["--json", server.admin.url]) == 0
        assert json.loads(capsys.readouterr().out)["active"] == 0
