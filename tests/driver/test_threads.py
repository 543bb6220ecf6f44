"""Several event loops in threads: connections spread over them, handlers in Python run in their own."""

import threading
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from tests.driver.harness import BOUND, GET, Client, Serving, in_thread, until

from httpng_core import ConfigError, Request
from httpng_driver import IO, Feed, Server
from httpng_lua import LuaApplication

pytestmark = pytest.mark.anyio


def thread_name(req: Request) -> str:
    return threading.current_thread().name


def loops(server: Server) -> int:
    return len(server.statistics().loops)


async def name_for(client: Client) -> str:
    return (await in_thread(client.ask, GET)).body.decode()


@asynccontextmanager
async def clients_of(server: Server, count: int) -> AsyncIterator[list[Client]]:
    with ExitStack() as stack:
        yield [stack.enter_context(Client(server.addresses[0])) for _ in range(count)]


async def test_each_loop_gets_as_many_connections(serving: Serving) -> None:
    async with serving(thread_name, threads=4) as server, clients_of(server, 12) as clients:
        names = [await name_for(client) for client in clients]
        assert server.connections == 12
        assert sorted(names.count(name) for name in set(names)) == [3, 3, 3, 3]
        # Those that leave make room where they were.
        gone = [client for client, name in zip(clients, names, strict=True) if name == "httpng-2"]
        for client in gone:
            client.close()
        await until(lambda: server.connections == 9)
        async with clients_of(server, 3) as others:
            assert {await name_for(client) for client in others} == {"httpng-2"}
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("httpng-")]


async def test_the_limit_of_connections_is_one_for_each_loop(serving: Serving) -> None:
    async def busy(req: Request, io: IO) -> str | None:
        name = threading.current_thread().name
        if req.path == "/done":
            return name
        await io.write(name.encode().ljust(20))
        await io.wait_cancelled()
        return None

    async with (
        serving(busy, threads=2, max_conn_per_thread=1) as server,
        clients_of(server, 3) as clients,
    ):
        for client in clients[:2]:
            client.request("/busy")
        names = {(await in_thread(client.read_body, 20)).body for client in clients[:2]}
        assert len(names) == 2
        clients[2].request("/done")
        assert server.connections == 2
        clients[0].close()
        assert (await in_thread(clients[2].read_response)).body


async def test_async_handlers_run_in_the_loop_of_their_connection(serving: Serving) -> None:
    async def handler(req: Request, io: IO) -> str:
        before = threading.current_thread().name
        await anyio.lowlevel.checkpoint()
        await io.write(b"")
        assert threading.current_thread().name == before
        return before

    async with serving(handler, threads=3) as server, clients_of(server, 6) as clients:
        assert len({await name_for(client) for client in clients}) == 3


async def test_more_threads_are_there_at_once(serving: Serving) -> None:
    async with serving(thread_name) as server:
        server.reconfigure(thread_name, threads=3)
        assert loops(server) == 3
        async with clients_of(server, 3) as clients:
            assert len({await name_for(client) for client in clients}) == 3


async def test_fewer_threads_finish_what_they_have(serving: Serving) -> None:
    goes_on, begun = threading.Event(), threading.Event()

    async def handler(req: Request, io: IO) -> str:
        if req.path == "/waits":
            begun.set()
        while req.path == "/waits" and not goes_on.is_set():  # noqa: ASYNC110 - a thread sets it
            await anyio.sleep(0.01)
        return threading.current_thread().name

    waits = b"GET /waits HTTP/1.1\r\nHost: x\r\n\r\n"
    async with serving(handler, threads=2) as server, clients_of(server, 2) as clients:
        names = [await name_for(client) for client in clients]
        busy = clients[names.index("httpng-2")]
        busy.send(waits)
        await until(begun.is_set)
        server.reconfigure(handler, threads=1)
        with pytest.raises(RuntimeError, match="Unable to reconfigure until threads will shut down"):
            server.reconfigure(handler, threads=1)
        async with clients_of(server, 3) as others:
            assert {await name_for(client) for client in others}.isdisjoint({"httpng-2"})
        goes_on.set()
        received = await in_thread(busy.read_response)
        assert received.body == b"httpng-2"
        await in_thread(busy.read_to_end)
        assert busy.ended == "fin"
        # Else the server waits for its FIN.
        busy.close()
        await until(lambda: not server.statistics().leaving)
        server.reconfigure(handler, threads=1)


async def endless(req: Request, io: IO) -> None:
    while not await io.write(b"x" * 1000):
        pass


async def test_threads_that_are_to_go_can_be_forced(serving: Serving) -> None:
    async with serving(endless, threads=2) as server, clients_of(server, 4) as clients:
        for client in clients:
            client.send(GET)
        await until(lambda: server.connections == 4)
        server.reconfigure(endless, threads=1)
        with anyio.fail_after(BOUND):
            await server.force_decrease_threads()
        assert (loops(server), server.connections) == (1, 2)
        server.reconfigure(endless, threads=1)
        # Nothing is to go: it returns at once.
        await server.force_decrease_threads()


async def test_threads_that_are_to_go_are_ended_after_a_while(serving: Serving) -> None:
    async with serving(endless, threads=2) as server, clients_of(server, 2) as clients:
        for client in clients:
            client.send(GET)
        await until(lambda: server.connections == 2)
        server.reconfigure(endless, threads=1, thread_termination_timeout=0.05)
        await until(lambda: server.connections == 1)
        await until(lambda: not server.statistics().leaving)


async def test_a_handler_that_heeds_nothing_is_given_up(serving: Serving) -> None:
    begun: list[str] = []
    ended: list[str] = []

    async def handler(req: Request, io: IO) -> None:
        begun.append(threading.current_thread().name)
        try:
            await anyio.sleep_forever()
        finally:
            ended.append(threading.current_thread().name)

    async with serving(handler, threads=2, shutdown_timeout=0.05) as server, clients_of(server, 2) as clients:
        for client in clients:
            client.send(GET)
        await until(lambda: len(begun) == 2)
        server.reconfigure(handler, threads=1, shutdown_timeout=0.05)
        with anyio.fail_after(BOUND):
            await server.force_decrease_threads()
        assert ended == ["httpng-2"]


async def test_a_shutdown_ends_all_threads(serving: Serving) -> None:
    async with serving(endless, cancel=False, threads=3) as server, clients_of(server, 6) as clients:
        for client in clients:
            client.send(GET)
        await until(lambda: server.connections == 6)
        server.shutdown(0.01)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("httpng-")]


async def test_threads_for_which_there_is_no_room(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async with serving(thread_name) as server:
        before = threading.Thread.start
        monkeypatch.setattr(
            threading.Thread, "start", lambda t: start(t) if t.name.startswith("httpng-") else before(t)
        )
        with pytest.raises(ConfigError, match="threads is 3: can't start another thread"):
            server.reconfigure(thread_name, threads=3)
        assert loops(server) == 1
        async with clients_of(server, 1) as clients:
            assert await name_for(clients[0]) == threading.current_thread().name


async def test_a_feed_has_followers_in_every_loop(serving: Serving) -> None:
    feed = Feed()

    async def handler(req: Request, io: IO) -> None:
        await io.follow(feed)

    async with serving(handler, threads=4) as server, clients_of(server, 8) as clients:
        feed.publish(b"<first>")
        for client in clients:
            client.send(GET)
        await until(lambda: feed.get_stats().followers == 8)
        for number in range(50):
            feed.publish(b"<%d>" % number, key=number)
        await in_thread(lambda: feed.publish(b"<from a thread>", key="thread"))
        feed.close()
        bodies = [(await in_thread(client.read_response)).body for client in clients]
        wanted = b"<first>" + b"".join(b"<%d>" % number for number in range(50)) + b"<from a thread>"
        assert bodies == [wanted] * 8
        stats = feed.get_stats()
        assert (stats.published, stats.delivered, stats.skipped, stats.followers) == (52, 8 * 52, 0, 0)


# Lua ------------------------------------------------------------------------------------------------


def lua_application(tmp_path: Path, script: str, **cfg: object) -> LuaApplication:
    path = tmp_path / "script.lua"
    path.write_text(f"local httpng, fiber = require 'httpng', require 'fiber'\n{script}")
    return LuaApplication(path, clock=time.monotonic, wall_clock=time.time, overrides=cfg)


async def asked(client: Client, path: str) -> bytes:
    client.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    return (await in_thread(client.read_response)).body


async def test_handlers_in_lua_share_one_state(serving: Serving, tmp_path: Path) -> None:
    script = """
    local count = 0
    httpng.cfg{threads = 4, handler = function(req, io)
      local before = count
      fiber.yield()
      count = count + 1
      return ('%d'):format(count)
    end}"""
    app = lua_application(tmp_path, script)
    async with serving(app) as server, clients_of(server, 8) as clients:
        counts: list[int] = []

        async def ask(client: Client) -> None:
            for _ in range(50):
                counts.append(int(await asked(client, "/")))

        async with anyio.create_task_group() as tasks:
            for client in clients:
                tasks.start_soon(ask, client)
        assert sorted(counts) == list(range(1, 401))


async def test_lua_that_computes_stalls_no_other_loop(serving: Serving, tmp_path: Path) -> None:
    """What is accepted goes on being sent, and files are served, while another loop is in the Lua state."""
    script = f"""
    httpng.cfg{{threads = 3, sites = {{
      {{path = '/files', handler = {str(tmp_path)!r}}},
      {{path = '/', handler = function(req)
        if req.path == '/busy' then
          assert(io.open({str(tmp_path / "begun")!r}, 'w')):close()
          local latest = fiber.clock() + 20
          while not io.open({str(tmp_path / "served")!r}) do
            assert(fiber.clock() < latest, 'nothing is served while Lua computes')
          end
        end
        return 'done'
      end}},
    }}}}"""
    app = lua_application(tmp_path, script)
    (tmp_path / "big").write_bytes(b"x" * 3_000_000)
    async with serving(app) as server, clients_of(server, 3) as clients:
        for client in clients:
            await asked(client, "/")
        clients[2].send(b"GET /busy HTTP/1.1\r\nHost: x\r\n\r\n")
        await until((tmp_path / "begun").exists)
        assert len(await asked(clients[1], "/files/big")) == 3_000_000
        assert server.statistics().loops == (1, 1, 1)
        # One that needs Lua waits its turn, and no longer.
        clients[1].send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert len(await asked(clients[0], "/files/big")) == 3_000_000
        assert clients[1].receive_ready() == b""
        (tmp_path / "served").touch()
        assert (await in_thread(clients[1].read_response)).body == b"done"
        assert (await in_thread(clients[2].read_response)).body == b"done"


async def test_fibers_reach_responses_of_other_loops(serving: Serving, tmp_path: Path) -> None:
    script = """
    local ios, told, is_done = {}, {}, {}
    httpng.cfg{threads = 4, handler = function(req, io)
      if req.path == '/join' then
        ios[#ios + 1] = io
        io:write('')
        while not is_done[io] do fiber.sleep(0.001) end
        return
      elseif req.path == '/count' then
        return ('%d'):format(#ios)
      end
      for _, one in ipairs(ios) do
        for n = 1, 200 do
          local result = one:write(('%d,'):format(n), 10)
          if result then return 'failed' end
        end
        local waited = one:wait(0, 10)
        told[#told + 1] = ('%d'):format(one:get_send_stats().current)
        is_done[one] = true
      end
      return table.concat(told, ' ')
    end}"""
    app = lua_application(tmp_path, script, default_send_window=300)
    async with serving(app) as server, clients_of(server, 9) as clients:
        *members, speaker = clients
        for client in members:
            client.send(b"GET /join HTTP/1.1\r\nHost: x\r\n\r\n")
        with anyio.fail_after(BOUND):
            while await asked(speaker, "/count") != b"8":
                pass
        wanted = b"".join(b"%d," % number for number in range(1, 201))
        assert await asked(speaker, "/speak") == b" ".join([b"%d" % len(wanted)] * 8)
        for client in members:
            assert (await in_thread(client.read_response)).body == wanted


async def test_a_feed_of_lua_tells_gaps_in_every_loop(serving: Serving, tmp_path: Path) -> None:
    script = """
    local feed = httpng.feed()
    httpng.cfg{threads = 4, handler = function(req, io)
      if req.path == '/follow' then
        return tostring(io:follow(feed, {on_gap = function(n) return ('[%d]'):format(n) end}))
      elseif req.path == '/publish' then
        for n = 1, 2000 do
          feed:publish(('<%d>'):format(n) .. ('.'):rep(1000))
          if n % 100 == 0 then fiber.sleep(0.001) end
        end
        feed:close()
      end
      return ('%d'):format(feed:get_stats().followers)
    end}"""
    app = lua_application(tmp_path, script)
    async with serving(app) as server, clients_of(server, 9) as clients:
        *followers, publisher = clients
        for client in followers:
            client.send(b"GET /follow HTTP/1.1\r\nHost: x\r\n\r\n")
        with anyio.fail_after(BOUND):
            while await asked(publisher, "/") != b"8":
                pass
        await asked(publisher, "/publish")
        for client in followers:
            body = (await in_thread(client.read_response)).body
            assert body.endswith(b"<2000>" + b"." * 1000 + b"nil")
            gaps = sum(int(part.partition(b"]")[0]) for part in body.split(b"[")[1:])
            assert gaps + body.count(b"<") == 2000


async def test_channels_and_cancelling_work_across_loops(serving: Serving, tmp_path: Path) -> None:
    script = """
    local jobs, fibers = fiber.channel(0), {}
    httpng.cfg{threads = 4, handler = function(req, io)
      if req.path == '/get' then
        return tostring(jobs:get(10))
      elseif req.path:match('^/put') then
        return tostring(jobs:put(req.query, 10))
      elseif req.path == '/sleep' then
        fibers[#fibers + 1] = fiber.self()
        local ok, why = pcall(fiber.sleep, 100)
        return tostring(why)
      elseif req.path:match('^/cancel') then
        while #fibers < tonumber(req.query) do fiber.sleep(0.001) end
        for _, one in ipairs(fibers) do one:cancel() end
      end
      return 'cancelled'
    end}"""
    app = lua_application(tmp_path, script)
    async with serving(app) as server, clients_of(server, 8) as clients:
        for client in clients[:4]:
            client.send(b"GET /get HTTP/1.1\r\nHost: x\r\n\r\n")
        for number, client in enumerate(clients[4:]):
            assert await asked(client, f"/put?{number}") == b"true"
        got = {(await in_thread(client.read_response)).body for client in clients[:4]}
        assert got == {b"0", b"1", b"2", b"3"}
        for client in clients[:7]:
            client.send(b"GET /sleep HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await asked(clients[7], "/cancel?7") == b"cancelled"
        for client in clients[:7]:
            assert (await in_thread(client.read_response)).body == b"fiber is cancelled"
