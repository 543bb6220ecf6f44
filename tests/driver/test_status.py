"""What a server tells of itself: the handler that can be mounted, and `httpng top --json`."""

import json
from typing import Any

import anyio
import pytest
from tests.driver.harness import GET, Client, Serving, in_thread, until, within_bound
from tests.driver.net import Net

import httpng
from httpng_core import Request
from httpng_driver import IO
from httpng_driver.command import top

pytestmark = pytest.mark.anyio

BIG = bytes(4_000_000)


def asking(path: str) -> bytes:
    return b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % path.encode()


class Stuck:
    """Sends more than its client takes, until it is let go."""

    def __init__(self) -> None:
        self.done = anyio.Event()
        self.io: IO | None = None

    def held(self) -> bool:
        """Whether a second has gone by."""
        return self.io is not None and self.io.get_send_stats().lag > 1.2

    async def __call__(self, req: Request, io: IO) -> None:
        self.io = io
        if req.path == "/raise":
            raise KeyError
        await io.write(b"first")
        await io.write(BIG, timeout=60)
        await within_bound(self.done)


async def asked(client: Client, path: str) -> Any:
    return await in_thread(client.ask, asking(path))


@pytest.mark.parametrize("threads", [1, 2])
async def test_a_stalled_exchange_is_told_of(serving: Serving, threads: int) -> None:
    stuck = Stuck()
    sites = [{"path": "/status", "handler": httpng.status_handler}, {"path": "/", "handler": stuck}]
    async with serving(None, sites=sites, threads=threads) as server:
        with (
            Client(server.addresses[0], receive_buffer=16384) as slow,
            Client(server.addresses[0]) as client,
        ):
            slow.send(GET)
            found: list[dict[str, Any]] = []

            async def look() -> bool:
                status = json.loads((await asked(client, "/status?format=json")).body)
                found[:] = [row for row in status["exchanges"] if row["stalled_by"] == "client"]
                return bool(found) and status["active"] == 2

            with anyio.fail_after(20):
                while not await look():  # noqa: ASYNC110 - conditions of the kernel have no event
                    await anyio.sleep(0.01)
            (row,) = found
            assert (row["target"], row["route"], row["client"]) == ("/", "/", "127.0.0.1")
            assert row["current"] > row["sent"] > 0
            assert row["lag"] > 0
            assert row["confirmed"] is None
            await asked(client, "/raise")
            status = json.loads((await asked(client, "/status?format=json&limit=0")).body)
            assert status["exchanges"] == []
            assert status["ends"] == {"handler_error": 1}
            stuck.done.set()


async def test_each_look_finds_those_that_have_begun_and_not_those_that_are_over(net: Net) -> None:
    """From the first one on what is under way is kept together."""
    stuck = Stuck()
    sites = [{"path": "/status", "handler": httpng.status_handler}, {"path": "/", "handler": stuck}]
    async with net.serving(None, sites=sites) as server, net.connect(server) as operator:

        async def told() -> list[str]:
            status = json.loads((await in_thread(operator.get, "/status?format=json")).body)
            assert status["active"] == len(status["exchanges"])
            return sorted(row["target"] for row in status["exchanges"] if "status" not in row["target"])

        async with net.connect(server) as first:
            first.request("/1")
            await until(lambda: server.statistics().exchanges == 1)
            assert await told() == ["/1"]
            async with net.connect(server) as second:
                second.request("/2")
                await until(lambda: server.statistics().exchanges == 2)
                assert await told() == ["/1", "/2"]
            await until(lambda: server.statistics().exchanges == 1)
            assert await told() == ["/1"]
        await until(lambda: server.statistics().exchanges == 0)
        assert await told() == []
        stuck.done.set()


async def test_the_access_log_tells_who_held_the_bytes(
    serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "httpng.access")
    stuck = Stuck()
    async with serving(stuck, access_log=True) as server:
        with Client(server.addresses[0], receive_buffer=16384) as slow:
            slow.send(GET)
            await until(lambda: bool(stuck.held()), "it was looked at")
        await until(lambda: bool(caplog.records), "it is over")
    entry = caplog.records[-1].access  # type: ignore[attr-defined]
    assert entry["stalled"].keys() <= {"client", "network"}
    assert sum(entry["stalled"].values()) > 0.5
    assert entry["end"] == "client_reset"


async def test_the_page_and_the_metrics(serving: Serving) -> None:
    pytest.importorskip("prometheus_client")
    sites = [{"path": "/status", "handler": httpng.status_handler}]
    async with serving(None, sites=sites) as server:
        with Client(server.addresses[0]) as client:
            page = await asked(client, "/status?<script>")
            assert b"1 exchange on 1 connection, 0 bytes in flight" in page.body
            assert b"<script>" not in page.body
            text = (await asked(client, "/status/metrics")).body.decode()
            assert 'http_server_active_requests{http_request_method="GET",url_scheme="http"} 1.0' in text
            assert "httpng_requests_total 2.0" in text
            assert (await asked(client, "/status?limit=x")).status == 400


async def test_top_prints_json_and_says_what_is_wrong(
    serving: Serving, capsys: pytest.CaptureFixture[str]
) -> None:
    sites = [{"path": "/status", "handler": httpng.status_handler}]
    async with serving(None, sites=sites) as server:
        where = f"http://127.0.0.1:{server.addresses[0].port}"
        assert await in_thread(top, ["--json", f"{where}/status"]) == 0
        assert json.loads(capsys.readouterr().out)["active"] == 1
        assert await in_thread(top, ["--json", f"{where}/other"]) == 1
        assert "is httpng.status_handler mounted there?" in capsys.readouterr().err
        await until(lambda: server.connections == 0)
    assert await in_thread(top, ["--json", where]) == 1
    assert "refused" in capsys.readouterr().err
