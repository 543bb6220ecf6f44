"""A server that is reloaded, shut down and cancelled while its threads are busy with something else."""

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import anyio
import pytest
from tests.driver.harness import BOUND, GET, Client, Serving, in_thread, pumps_of, until

from httpng_core import Application, ConfigError, Request, ServerState, parse_listen
from httpng_driver import IO, ListenerStatistics, Server, ServerStatistics
from httpng_driver.command import Wanted, load
from httpng_driver.loop import Accepted, Hub, make_poller
from httpng_driver.serving import Listener, open_listeners
from httpng_lua import LuaApplication

pytestmark = pytest.mark.anyio


def own_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("httpng-")]


def thread_name(req: Request) -> str:
    return threading.current_thread().name


async def forever(req: Request, io: IO) -> None:
    await io.write(b"x")
    await anyio.sleep_forever()


def stubborn(seconds: float) -> Callable[..., Any]:
    """A handler that takes a while to go when it is cancelled."""

    async def handler(req: Request, io: IO) -> None:
        try:
            await forever(req, io)
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(seconds)

    return handler


async def begun(server: Server, count: int) -> list[Client]:
    """Clients whose handlers run."""
    clients = [Client(server.addresses[0]) for _ in range(count)]
    for client in clients:
        client.send(GET)
    for client in clients:
        await in_thread(client.receive)
    return clients


def close(clients: list[Client]) -> None:
    for client in clients:
        client.close()


# Threads ------------------------------------------------------------------------------------------------


async def test_cancelling_waits_for_all_threads_though_some_have_left_before(serving: Serving) -> None:
    handler = stubborn(0.2)
    async with serving(handler, threads=3) as server:
        server.reconfigure(handler, threads=2)
        await until(lambda: not server.statistics().leaving)
        clients = await begun(server, 2)
    assert own_threads() == []
    close(clients)


async def test_threads_that_could_not_all_be_started_are_gone_when_serving_has_failed(
    serving: Serving, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    start = threading.Thread.start

    def start_some(thread: threading.Thread) -> None:
        if thread.name == "httpng-4":
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_some)
    with pytest.raises(ConfigError, match="threads is 4"):
        async with serving(thread_name, threads=4):
            pass
    assert own_threads() == []
    assert "failed" not in caplog.text


async def test_a_force_that_comes_late_leaves_the_deadline_of_a_shutdown(serving: Serving) -> None:
    app = Application(forever, threads=2, shutdown_timeout=600)
    async with serving(app, cancel=False) as server:
        clients = await begun(server, 2)
        server.reconfigure(forever, threads=1, shutdown_timeout=600)
        # In another thread, so that the first loop does it when it comes to it.
        await in_thread(app.force_decrease_threads)
        server.shutdown(0.05)
    close(clients)


async def test_a_reload_of_another_thread_that_comes_late_leaves_the_deadline_of_a_shutdown(
    serving: Serving,
) -> None:
    app = Application(forever, threads=2, shutdown_timeout=600)
    async with serving(app, cancel=False) as server:
        clients = await begun(server, 2)

        def reload() -> None:
            app.reconfigure(forever, threads=1, thread_termination_timeout=600, shutdown_timeout=600)

        thread = threading.Thread(target=reload)
        thread.start()
        thread.join(BOUND)
        server.shutdown(0.05)
    close(clients)


async def test_a_force_in_the_first_loop_waits_for_threads_that_another_has_just_told_to_go(
    serving: Serving,
) -> None:
    app = Application(forever, threads=2)
    async with serving(app) as server:
        clients = await begun(server, 2)
        thread = threading.Thread(target=lambda: app.reconfigure(forever, threads=1, shutdown_timeout=0.05))
        thread.start()
        thread.join(BOUND)
        with anyio.fail_after(BOUND):
            await server.force_decrease_threads()
        assert own_threads() == []
        server.reconfigure(forever)
        close(clients)


async def test_a_force_that_comes_when_they_have_left_is_over_at_once(serving: Serving) -> None:
    app = Application(forever, threads=2)
    async with serving(app) as server:
        (worker,) = (thread for thread in threading.enumerate() if thread.name in own_threads())
        server.reconfigure(forever, threads=1)
        # It is idle, so it goes; the first loop learns of it in its next turn, and of this after it.
        worker.join(BOUND)
        forced: list[Any] = []
        thread = threading.Thread(target=lambda: forced.append(app.force_decrease_threads()))
        thread.start()
        thread.join(BOUND)
        await until(lambda: forced[0].settled)
        await until(lambda: not server.statistics().leaving)
        assert server.statistics().deadline is None


async def test_who_waits_for_an_end_is_told_when_serving_is_cancelled(serving: Serving) -> None:
    app = Application(stubborn(0.05), threads=2, shutdown_timeout=600)
    async with serving(app) as server:
        clients = await begun(server, 2)
        server.reconfigure(stubborn(0.05), threads=1, shutdown_timeout=600)
        pendings = [app.force_decrease_threads(), app.shutdown()]
        assert not any(pending.settled for pending in pendings)
    assert all(pending.settled for pending in pendings)
    close(clients)


async def test_a_reload_while_serving_is_being_cancelled_leaves_no_threads(serving: Serving) -> None:
    async def handler(req: Request, io: IO) -> None:
        try:
            await forever(req, io)
        finally:
            # On trio it may come in time.
            with suppress(RuntimeError):
                app.reconfigure(handler, threads=4)

    app = Application(handler)
    async with serving(app) as server:
        clients = await begun(server, 1)
    assert own_threads() == []
    close(clients)


async def test_statistics_tell_how_a_server_stands(serving: Serving) -> None:
    app = Application(forever, threads=2, shutdown_timeout=600)
    async with serving(app) as server:
        clients = await begun(server, 3)
        assert server.statistics() == ServerStatistics(
            state=ServerState.RUNNING,
            connections=3,
            loops=(2, 1),
            leaving=0,
            listeners=(ListenerStatistics(address=server.addresses[0], paused=False, shortages=0),),
            exchanges=3,
            held=None,
            ends={},
            deadline=None,
        )
        before = time.monotonic()
        server.shutdown()
        after = server.statistics()
        assert (after.state, after.connections, after.loops) == (ServerState.STOPPING, 3, (2,))
        assert (after.leaving, after.listeners) == (1, ())
        assert before + 600 <= (after.deadline or 0) <= time.monotonic() + 600
    close(clients)


# Room ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("more", [{"max_conn_per_thread": 2}, {"threads": 2, "max_conn_per_thread": 1}])
async def test_who_waits_for_room_is_let_in_when_a_reload_makes_some(serving: Serving, more: Any) -> None:
    async def busy(req: Request, io: IO) -> str | None:
        if req.path == "/":
            return thread_name(req)
        await io.wait_cancelled()
        return None

    async with serving(busy, max_conn_per_thread=1) as server:
        with Client(server.addresses[0]) as first, Client(server.addresses[0]) as second:
            first.request("/busy")
            second.send(GET)
            await until(lambda: server.statistics().listeners[0].paused)
            server.reconfigure(busy, **more)
            assert (await in_thread(second.read_response)).body
            assert first.receive_ready() == b""
            assert not first.ended


async def test_a_listener_that_stops_accepting_in_just_that_moment_goes_on() -> None:
    """A connection of another thread closes after it has been counted, before the listener has stopped."""
    (bound,) = open_listeners(list(parse_listen("127.0.0.1:0", default=())), 0)
    hub, has_room = SimpleNamespace(poller=make_poller()), iter([False, True, True, True])
    taken: list[Accepted] = []

    def take(accepted: Accepted) -> None:
        taken.append(accepted)
        accepted.socket.close()

    listener = Listener(cast(Hub, hub), bound, take, lambda: next(has_room))
    with Client(listener.address):
        hub.poller.poll()
        assert not listener.paused
        hub.poller.poll()
    listener.close()
    hub.poller.close()
    assert len(taken) == 1


async def test_whoever_connects_first_is_kept_short_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """The options are set before anybody can connect: an accepted socket has those of that moment."""
    seen: list[int] = []
    listen = socket.socket.listen

    def noting(sock: socket.socket, backlog: int) -> None:
        seen.append(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT))
        listen(sock, backlog)

    monkeypatch.setattr(socket.socket, "listen", noting)
    (bound,) = open_listeners(list(parse_listen("127.0.0.1:0", default=())), 12_345)
    bound.close()
    assert seen == [12_345]


# One server for each application ------------------------------------------------------------------------


async def test_an_application_that_is_served_is_not_served_again(serving: Serving) -> None:
    app = Application(thread_name)
    async with serving(app) as server, serving(thread_name):
        control = app.control
        with pytest.raises(RuntimeError, match="served already"):
            async with serving(app):
                pass
        assert app.control is control
        server.reconfigure(thread_name, threads=2)
        assert len(server.statistics().loops) == 2
    async with serving(app) as server, serving(app.with_settings(threads=1)):
        assert len(server.statistics().loops) == 2


async def test_a_script_that_is_served_is_not_served_again(serving: Serving, tmp_path: Path) -> None:
    app = script(tmp_path, "httpng.cfg{listen = '127.0.0.1:0', handler = function() return 'here' end}")
    async with serving(app, listen=None) as server:
        with pytest.raises(RuntimeError, match="served already"):
            async with serving(app, listen=None):
                pass
        with Client(server.addresses[0]) as client:
            assert (await in_thread(client.ask, GET)).body == b"here"
        server.shutdown()
        await until(lambda: app.lifecycle.state.name != "RUNNING")
    with pytest.raises(RuntimeError, match="served once"):
        async with serving(app, listen=None):
            pass


def is_held(lock: Any) -> bool:
    """Whether another thread would have to wait for a lock."""
    got: list[bool] = []

    def take() -> None:
        if lock.acquire(blocking=False):
            lock.release()
            got.append(True)

    thread = threading.Thread(target=take)
    thread.start()
    thread.join()
    return not got


# Locks --------------------------------------------------------------------------------------------------


async def test_connections_are_drained_and_reconfigured_while_no_other_thread_is_at_them(
    serving: Serving,
) -> None:
    """Lua of another loop holds the lock of this one while it writes to a response."""
    async with serving(thread_name) as server:
        with Client(server.addresses[0]) as client:
            await in_thread(client.ask, GET)
            (pump,) = pumps_of(server)
            held: list[bool] = []
            with pytest.MonkeyPatch.context() as patch:
                for verb in ("drain", "reconfigure"):
                    patch.setattr(
                        type(pump.connection), verb, lambda *_: held.append(is_held(server.hub.lock))
                    )
                server.reconfigure(thread_name)
                server.shutdown()
            assert held == [True, True]
            # It has been told nothing.
            client.close()


# Scripts ------------------------------------------------------------------------------------------------


def script(tmp_path: Path, source: str, **cfg: object) -> Application:
    path = tmp_path / "script.lua"
    path.write_text(f"{FLAG.replace('FLAG', str(flag(tmp_path)))}{source}")
    return load(Wanted(name=str(path), settings=cfg))


# The test has a script go on by a file, which that may take away to tell how far it has come.
FLAG = """
local httpng, fiber = require 'httpng', require 'fiber'
local function take_flag() assert(os.remove('FLAG')) end
local function wait_for_flag()
  local found = io.open('FLAG')
  while not found do
    fiber.sleep(0.001)
    found = io.open('FLAG')
  end
  found:close()
end
"""


def flag(tmp_path: Path) -> Path:
    return tmp_path / "flag"


async def listening(server: Server) -> None:
    await until(lambda: server.addresses, "it listens")


async def test_a_script_may_wait_before_it_says_what_is_served(serving: Serving, tmp_path: Path) -> None:
    app = script(
        tmp_path,
        """
        wait_for_flag()
        httpng.cfg{listen = '127.0.0.1:0', threads = 2, handler = function() return 'here' end}
        """,
    )
    async with serving(app, listen=None) as server:
        assert (server.addresses, server.connections, server.uses_tls) == ([], 0, False)
        flag(tmp_path).touch()
        await listening(server)
        assert len(server.statistics().loops) == 2
        with Client(server.addresses[0]) as client:
            assert (await in_thread(client.ask, GET)).body == b"here"


@pytest.mark.parametrize("ending", ["", "error('boom')"])
async def test_a_script_that_waited_and_made_no_cfg_fails_to_be_served(
    serving: Serving, tmp_path: Path, ending: str
) -> None:
    app = script(tmp_path, f"fiber.sleep(0) {ending}")
    with pytest.raises(ConfigError, match=r"script.lua: No handlers specified: the script ended without"):
        async with serving(app, listen=None, cancel=False):
            pass


async def test_a_shutdown_from_outside_ends_a_server_whose_script_has_made_no_cfg(
    serving: Serving, tmp_path: Path
) -> None:
    app = script(tmp_path, "fiber.sleep(1000)")
    async with serving(app, listen=None, cancel=False) as server:
        with pytest.raises(RuntimeError, match="Server is not launched"):
            app.shutdown()
        server.shutdown()


@pytest.mark.parametrize("wait", ["", "fiber.sleep(0)"])
async def test_where_to_listen_can_be_said_to_whoever_serves_the_script(
    serving: Serving, tmp_path: Path, wait: str
) -> None:
    """Also if it had opened another place already, and again after its own shutdown."""
    app = script(
        tmp_path,
        f"""
        {wait}
        local cfg = {{listen = 'unix:{tmp_path}/a.sock', handler = function() return 'here' end}}
        httpng.cfg(cfg)
        wait_for_flag()
        httpng.shutdown()
        httpng.cfg(cfg)
        take_flag()
        """,
    )
    async with serving(app) as server:
        await listening(server)
        assert not (tmp_path / "a.sock").exists()
        flag(tmp_path).touch()
        await until(lambda: not flag(tmp_path).exists(), "it has started again")
        assert server.addresses[0].host == "127.0.0.1"
        with Client(server.addresses[0]) as client:
            assert (await in_thread(client.ask, GET)).body == b"here"


async def test_a_script_that_nobody_prepared_listens_when_it_says_so(
    serving: Serving, tmp_path: Path
) -> None:
    path = tmp_path / "script.lua"
    path.write_text("require 'fiber'.sleep(0) require 'httpng'.cfg{handler = function() return 'here' end}")
    async with serving(LuaApplication(path, clock=time.monotonic)) as server:
        await listening(server)
        with Client(server.addresses[0]) as client:
            assert (await in_thread(client.ask, GET)).body == b"here"


async def test_a_shutdown_from_outside_is_the_last_word_though_the_script_would_start_again(
    serving: Serving, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    app = script(
        tmp_path,
        """
        local cfg = {listen = '127.0.0.1:0', shutdown_timeout = 0.05, handler = function(req, io)
          io:write('x')
          fiber.sleep(1000)
        end}
        httpng.cfg(cfg)
        wait_for_flag()
        httpng.shutdown()
        httpng.cfg(cfg)
        """,
    )
    async with serving(app, listen=None, cancel=False) as server:
        clients = await begun(server, 1)
        flag(tmp_path).touch()
        await until(lambda: app.lifecycle.state.name == "STOPPING")
        server.shutdown()
    assert "shutdown is in progress" in caplog.text
    close(clients)


async def test_a_script_that_fails_after_its_shutdown_ends_the_server(
    serving: Serving, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    app = script(
        tmp_path,
        """
        httpng.cfg{listen = '127.0.0.1:0', handler = function() end}
        fiber.sleep(0)
        httpng.shutdown()
        error('at the end')
        """,
    )
    async with serving(app, listen=None, cancel=False):
        pass
    assert "at the end" in caplog.text


async def test_a_shutdown_from_outside_ends_a_server_that_its_script_has_shut_down(
    serving: Serving, tmp_path: Path
) -> None:
    app = script(
        tmp_path,
        """
        httpng.cfg{listen = '127.0.0.1:0', handler = function() end}
        fiber.sleep(0)
        httpng.shutdown()
        while true do fiber.sleep(1000) end
        """,
    )
    async with serving(app, listen=None, cancel=False) as server:
        await until(lambda: app.lifecycle.state.name == "STOPPED")
        server.shutdown()


async def test_the_file_of_a_unix_socket_is_there_while_the_script_serves(
    serving: Serving, tmp_path: Path
) -> None:
    app = script(
        tmp_path,
        f"""
        local cfg = {{listen = 'unix:{tmp_path}/a.sock', handler = function() end}}
        for _ = 1, 3 do
          httpng.cfg(cfg)
          httpng.shutdown()
        end
        httpng.cfg(cfg)
        wait_for_flag()
        httpng.shutdown()
        httpng.cfg(cfg)
        take_flag()
        """,
    )
    path = tmp_path / "a.sock"
    async with serving(app, listen=None) as server:
        before = server.addresses
        assert path.exists()
        flag(tmp_path).touch()
        await until(lambda: not flag(tmp_path).exists(), "it has started again")
        assert server.addresses == before
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
    assert not path.exists()


FEWER = """
local cfg = {listen = '127.0.0.1:0', threads = 2, shutdown_timeout = 0.05, sites = {
  {path = '/fewer', handler = function(req, io)
    cfg.threads, cfg.listen = 1, nil
    httpng.cfg(cfg)
    FORCE
    return 'fewer'
  end},
  {path = '/', handler = function() return 'here' end},
}}
httpng.cfg(cfg)
""".replace("local cfg", "cfg")


async def asked_in_the_second_loop(server: Server) -> Client:
    """A client whose request for fewer threads is on its way, in the thread that is to go."""
    first = Client(server.addresses[0])
    await in_thread(first.ask, GET)
    assert server.statistics().loops == (1, 0)
    other = Client(server.addresses[0])
    await in_thread(other.ask, GET)
    assert server.statistics().loops == (1, 1)
    first.close()
    other.request("/fewer")
    return other


async def test_a_handler_may_end_the_thread_that_it_runs_in(serving: Serving, tmp_path: Path) -> None:
    app = script(tmp_path, FEWER.replace("FORCE", ""))
    async with serving(app, listen=None) as server:
        with await asked_in_the_second_loop(server) as client:
            assert (await in_thread(client.read_response)).body == b"fewer"
            await until(lambda: len(server.statistics().loops) == 1 and not server.statistics().leaving)
            assert app.lifecycle.state.name == "RUNNING"


async def test_a_handler_that_forces_its_own_thread_is_given_up(serving: Serving, tmp_path: Path) -> None:
    app = script(tmp_path, FEWER.replace("FORCE", "httpng.force_decrease_threads()"))
    async with serving(app, listen=None) as server:
        with await asked_in_the_second_loop(server) as client:
            await in_thread(client.read_to_end)
            assert client.was_reset
            await until(lambda: app.lifecycle.state.name == "RUNNING" and len(server.statistics().loops) == 1)


async def test_a_handler_may_stop_the_server(
    serving: Serving, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    app = script(
        tmp_path,
        """
        httpng.cfg{listen = '127.0.0.1:0', handler = function(req, io)
          httpng.shutdown()
          assert(httpng.cancelled(io:write('x')))
        end}""",
    )
    async with serving(app, listen=None) as server:
        with Client(server.addresses[0]) as client:
            client.send(GET)
            await in_thread(client.read_to_end)
            assert client.was_reset
        await until(lambda: app.lifecycle.state.name == "STOPPED")
    assert not caplog.records


async def test_a_server_that_a_script_starts_again_says_so(serving: Serving, tmp_path: Path) -> None:
    app = script(
        tmp_path,
        """
        local cfg = {listen = '127.0.0.1:0', handler = function() return 'here' end}
        httpng.cfg(cfg)
        wait_for_flag()
        httpng.shutdown()
        httpng.cfg(cfg)
        """,
    )
    ports: list[list[int]] = []

    def listening(server: Server) -> None:
        ports.append([address.port for address in server.addresses])

    async with serving(app, listen=None, on_listening=listening) as server:
        first = server.addresses[0].port
        flag(tmp_path).touch()
        await until(lambda: len(ports) == 2)
        assert ports == [[first], [server.addresses[0].port]]
        with Client(server.addresses[0]) as client:
            assert (await in_thread(client.ask, GET)).body == b"here"
