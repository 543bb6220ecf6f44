"""Static files over sockets: exact positions, bounded memory, threads that never hold the loop."""

import os
import resource
import threading
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from tests.driver.harness import (
    GET,
    Client,
    Serving,
    adopted,
    in_thread,
    kernel_accepted,
    standstill,
    until,
)
from tests.driver.http1_client import Decoder, Received
from tests.driver.net import TRANSPORTS, Net
from tests.driver.test_directories import open_files

from httpng_core import Application, ConfigError, Exchange, Request
from httpng_core.app import PIECE, DirectoryHandler
from httpng_driver.handlers import DiskFiles
from httpng_lua import LuaApplication

pytestmark = pytest.mark.anyio

HTTP1 = pytest.mark.parametrize(
    "transport", [each for each in TRANSPORTS if not each.http2], ids=str, indirect=True
)
"""The client here writes its requests itself."""

BIG = bytes(range(251)) * (9_000_000 // 251)


def decode(wire: bytes) -> Received:
    """The response that wire bytes begin, as far as they go."""
    decoder = Decoder()
    decoder.feed(wire)
    return decoder.response


def get(path: str, method: str = "GET", **headers: str) -> bytes:
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([f"{method} {path} HTTP/1.1", "host: x", *lines, "", ""]).encode()


@pytest.fixture
def www(tmp_path: Path) -> Path:
    (tmp_path / "a.txt").write_bytes(b"0123456789")
    (tmp_path / "big").write_bytes(BIG)
    (tmp_path / "out").symlink_to("/etc/passwd")
    return tmp_path


def not_in_place(*args: object) -> int:
    """A kernel that has nothing in memory, or can't tell."""
    raise BlockingIOError


@pytest.fixture(params=["in-place", "by-threads"])
def reading(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to read: what is in memory in place, or everything by threads."""
    if request.param == "by-threads":
        monkeypatch.setattr(os, "preadv", not_in_place, raising=False)
    return str(request.param)


@pytest.fixture
def exchanges(monkeypatch: pytest.MonkeyPatch) -> list[Exchange]:
    """Every exchange that a directory answers."""
    started: list[Exchange] = []
    start = DirectoryHandler.start

    def noting(self: DirectoryHandler, exchange: Exchange, runner: Any) -> None:
        started.append(exchange)
        start(self, exchange, runner)

    monkeypatch.setattr(DirectoryHandler, "start", noting)
    return started


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """A disk that hangs: reads by threads wait until this is set."""
    monkeypatch.setattr(os, "preadv", not_in_place, raising=False)
    go_on, pread = threading.Event(), os.pread

    def held(*args: int) -> bytes:
        go_on.wait(20)
        return pread(*args)

    monkeypatch.setattr(os, "pread", held)
    yield go_on
    go_on.set()


@HTTP1
async def test_a_connection_gets_several_files_and_what_is_none(net: Net, www: Path, reading: str) -> None:
    async with net.serving(str(www)) as server, net.connect(server) as client:
        told = [
            await in_thread(client.ask, get(path, **headers))
            for path, headers in [
                ("/a.txt", {}),
                ("/out", {}),
                ("/big", {}),
                ("/missing", {}),
                ("/big", {"range": f"bytes={PIECE - 5}-{PIECE + 4}"}),
                ("/a.txt", {"range": "bytes=99-"}),
            ]
        ]
        etag = (told[0].headers or {})["etag"]
        unchanged = await in_thread(client.ask, get("/a.txt", if_none_match=etag))
        head = await in_thread(client.ask, get("/big", "HEAD"), "HEAD")
    assert [one.status for one in told] == [200, 404, 200, 404, 206, 416]
    assert all(one.complete for one in told)
    assert [told[0].body, told[2].body == BIG, told[4].body] == [
        b"0123456789",
        True,
        BIG[PIECE - 5 : PIECE + 5],
    ]
    assert (unchanged.status, unchanged.body, head.status, head.body) == (304, b"", 200, b"")
    assert (head.headers or {})["content-length"] == str(len(BIG))
    assert open_files(www) == []


async def test_what_is_not_in_memory_is_read_by_threads(
    serving: Serving, www: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk would have to be asked, or the file system can't tell."""
    monkeypatch.setattr(os, "preadv", not_in_place)
    async with serving(www) as server:
        with Client(server.addresses[0]) as client:
            assert (await in_thread(client.ask, get("/big"))).body == BIG


async def test_a_changed_file_is_another(serving: Serving, www: Path) -> None:
    async with serving(www) as server:
        with Client(server.addresses[0]) as client:
            first = await in_thread(client.ask, get("/a.txt"))
            etag = (first.headers or {})["etag"]
            (www / "new").write_bytes(b"abcdefghij")
            (www / "new").rename(www / "a.txt")
            second = await in_thread(
                client.ask, get("/a.txt", if_none_match=etag, range="bytes=0-1", if_range=etag)
            )
    assert (second.status, second.body) == (200, b"abcdefghij")


@pytest.mark.parametrize("way", ["copied", "renamed", "written in place"])
async def test_a_file_of_the_same_size_and_mtime_is_another(net: Net, www: Path, way: str) -> None:
    """As rsync -t, Nix and Bazel make them: at once, within the same second."""
    name = www / "a.txt"
    os.utime(name, (1, 1))
    async with net.serving(www) as server, net.connect(server) as client:
        first = await in_thread(client.get, "/a.txt")
        told = first.headers or {}
        other = name if way == "written in place" else www / "other"
        if way == "copied":
            name.unlink()
            other = name
        other.write_bytes(b"abcdefghij")
        os.utime(other, (1, 1))
        other.rename(name)
        assert (name.stat().st_size, name.stat().st_mtime) == (10, 1)
        for headers in (
            [("if-none-match", told["etag"])],
            [("if-modified-since", told["last-modified"])],
            [("range", "bytes=5-"), ("if-range", told["etag"])],
            [("range", "bytes=5-"), ("if-range", told["last-modified"])],
        ):
            second = await in_thread(client.get, "/a.txt", "GET", headers)
            assert (second.status, second.body) == (200, b"abcdefghij"), headers
        assert (second.headers or {})["etag"] != told["etag"]
        same = [("range", "bytes=5-"), ("if-range", (second.headers or {})["etag"])]
        assert (await in_thread(client.get, "/a.txt", "GET", same)).body == b"fghij"


@HTTP1
async def test_sent_of_a_file_is_what_the_kernel_has_accepted(
    net: Net, www: Path, reading: str, exchanges: list[Exchange]
) -> None:
    told: list[tuple[int, int]] = []
    async with net.serving(www) as server, net.connect(server, receive_buffer=16384) as client:
        client.send(get("/big"))
        pump = await adopted(server, client)
        for _ in range(3):
            await standstill(pump.socket)
            stats = exchanges[0].stats(0.0)
            told.append((kernel_accepted(pump.socket), stats.sent))
            assert 0 < stats.current - stats.sent <= 2 * PIECE
            await in_thread(client.read_wire, client.read + 100_000)
        carried = [client.carried(accepted) for accepted, _ in told[:2]]
        assert [sent for _, sent in told[:2]] == [len(decode(wire).body) for wire in carried]
        received = await in_thread(client.read_response)
    assert (received.body, received.complete) == (BIG, True)
    assert len({sent for _, sent in told}) > 1
    assert exchanges[0].stats(0.0).sent == len(BIG)


async def test_clients_that_do_not_read_pin_no_file_in_memory(serving: Serving, www: Path) -> None:
    clients: list[Client] = []
    async with serving(www) as server:
        try:
            tracemalloc.start()
            for _ in range(20):
                clients.append(Client(server.addresses[0], receive_buffer=4096))
                clients[-1].send(get("/big"))
            pumps = [await adopted(server, client) for client in clients]
            for pump in pumps:
                await standstill(pump.socket)
            assert len(open_files(www)) == 20
            assert tracemalloc.get_traced_memory()[0] < 20 * (3 * PIECE + 100_000)
        finally:
            tracemalloc.stop()
            for client in clients:
                client.close()
        await until(lambda: not open_files(www), "the files are closed")


@HTTP1
async def test_a_file_that_shrinks_is_cut_short_in_the_middle(net: Net, www: Path) -> None:
    async with net.serving(www) as server, net.connect(server, receive_buffer=16384) as client:
        client.send(get("/big"))
        await standstill((await adopted(server, client)).socket)
        os.truncate(www / "big", 1_000_000)
        received = await in_thread(client.read_response)
    assert not received.complete
    assert client.was_cut_short
    assert BIG.startswith(received.body)
    assert open_files(www) == []


async def test_a_disk_that_hangs_holds_up_nobody_else(
    serving: Serving, www: Path, held: threading.Event
) -> None:
    def plain(req: Request) -> str:
        return "at once"

    app = Application(plain, sites=[{"path": "/files", "handler": www}])
    async with serving(app) as server:
        with Client(server.addresses[0]) as waiting, Client(server.addresses[0]) as other:
            waiting.send(get("/files/a.txt"))
            await until(lambda: open_files(www), "the file is open")
            assert (await in_thread(other.ask, GET)).body == b"at once"
            assert waiting.receive_ready() == b""
            held.set()
            assert (await in_thread(waiting.read_response)).body == b"0123456789"


async def test_a_client_that_leaves_while_the_disk_hangs_leaves_no_file_open(
    serving: Serving, www: Path, held: threading.Event
) -> None:
    async with serving(www) as server:
        with Client(server.addresses[0]) as client:
            client.send(get("/big"))
            await until(lambda: open_files(www), "the file is open")
            client.reset()
            await until(lambda: not server.connections)
        held.set()
        await until(lambda: not open_files(www), "the file is closed")


@pytest.mark.parametrize("hangs", ["opening", "reading"])
async def test_a_server_that_ends_while_the_disk_hangs_leaves_no_file_open(
    serving: Serving, www: Path, held: threading.Event, monkeypatch: pytest.MonkeyPatch, hangs: str
) -> None:
    begun = threading.Event()

    fstat = os.fstat

    def slow_fstat(fd: int) -> os.stat_result:
        """What is asked for when a file has been opened."""
        begun.set()
        if hangs == "opening":
            held.wait(20)
        return fstat(fd)

    monkeypatch.setattr(os, "fstat", slow_fstat)
    async with serving(www, cancel=False) as server:
        with Client(server.addresses[0]) as client:
            client.send(get("/big"))
            await until(begun.is_set)
            server.shutdown(0)
            await in_thread(client.read_to_end)
        held.set()
    await until(lambda: not open_files(www), "the file is closed")


async def test_what_was_not_begun_is_left_undone(serving: Serving, www: Path) -> None:
    """A file that is given up before a thread was free for it is never opened."""
    opened: list[object] = []

    class Reactor:
        def spawn(self, function: Any, *args: Any) -> None:
            self.task = function, args

    reactor: Any = Reactor()
    file = DiskFiles(reactor, lambda: 0.0).open(str(www), [b"a.txt"])
    file.opening.on_settle = lambda: opened.append(file)
    file.close()
    function, args = reactor.task
    await function(*args)
    assert opened == [file]
    assert open_files(www) == []


async def test_what_the_kernel_has_in_memory_needs_one_thread_to_be_opened_and_none_to_be_read(
    serving: Serving, www: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fd = os.open(www / "big", os.O_RDONLY)
    try:
        if not hasattr(os, "RWF_NOWAIT") or not os.preadv(fd, [bytearray(5)], 0, os.RWF_NOWAIT):
            pytest.skip("no reads in place here")
    except OSError:
        pytest.skip("no reads in place on this file system")
    finally:
        os.close(fd)
    asked: list[object] = []
    in_thread_before = DiskFiles.in_thread

    def counting(self: DiskFiles, *args: Any) -> None:
        asked.append(args)
        in_thread_before(self, *args)

    monkeypatch.setattr(DiskFiles, "in_thread", counting)
    async with serving(www) as server:
        with Client(server.addresses[0]) as client:
            assert (await in_thread(client.ask, get("/big"))).body == BIG
    assert len(asked) == 1


async def test_an_index_and_hidden_files_on_disk(net: Net, www: Path) -> None:
    (www / "sub").mkdir()
    (www / "sub" / "index.html").write_bytes(b"sub")
    (www / ".env").write_bytes(b"secret")
    (www / "shown").symlink_to(".env")
    plain = {"path": "/plain", "handler": str(www)}
    sites = [plain, {"path": "/", "handler": str(www), "index": "index.html", "dotfiles": True}]
    async with net.serving(None, sites=sites) as server, net.connect(server) as client:
        told = [
            await in_thread(client.get, path)
            for path in ("/sub/", "/sub", "/", "/.env", "/plain/.env", "/plain/sub/", "/plain/shown")
        ]
    assert [one.status for one in told] == [200, 301, 404, 200, 404, 404, 200]
    assert (told[1].headers or {})["location"] == "/sub/"
    assert [told[0].body, told[3].body, told[6].body] == [b"sub", b"secret", b"secret"]
    assert open_files(www) == []


async def test_what_stands_for_a_directory_may_change_while_it_is_served(serving: Serving, www: Path) -> None:
    (www / "index.html").write_bytes(b"index")
    site = {"path": "/", "handler": str(www)}
    async with serving(None, sites=[site]) as server:
        with Client(server.addresses[0]) as client:
            assert (await in_thread(client.ask, get("/"))).status == 404
            server.reconfigure(sites=[{**site, "index": "index.html"}])
            assert (await in_thread(client.ask, get("/"))).body == b"index"


@contextmanager
def no_descriptor_is_free() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken: list[int] = []
    # Few, yet not fewer than are open: that many poll() can still look at.
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, before[1]))
    try:
        with suppress(OSError):
            while True:
                taken.append(os.dup(0))
        yield
    finally:
        for fd in taken:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def test_without_a_free_descriptor_the_answer_is_503_and_it_passes(
    serving: Serving, www: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(www) as server:
        with Client(server.addresses[0]) as client:
            assert (await in_thread(client.ask, get("/a.txt"))).status == 200
            with no_descriptor_is_free():
                refused = await in_thread(client.ask, get("/a.txt"))
            assert (refused.status, (refused.headers or {})["retry-after"]) == (503, "1")
            assert (await in_thread(client.ask, get("/a.txt"))).status == 200
    assert "Too many open files" in caplog.text


async def test_a_directory_that_is_not_there_cannot_be_served(serving: Serving, www: Path) -> None:
    with pytest.raises(ConfigError, match="missing: No such file or directory"):
        async with serving(www / "missing"):
            pass


@pytest.mark.parametrize("lua", ["luajit21", "lua54"])
async def test_index_and_dotfiles_in_lua(serving: Serving, www: Path, tmp_path: Path, lua: str) -> None:
    (www / "index.html").write_bytes(b"index")
    (www / ".env").write_bytes(b"hidden")
    script = tmp_path / "script.lua"
    script.write_text(f"""
        local told = {{}}
        for _, more in ipairs{{ {{index = 5}}, {{dotfiles = 1}}, {{handler = print, index = 'a'}} }} do
          more.path, more.handler = '/', more.handler or '{www}'
          local _, message = pcall(require 'httpng'.cfg, {{sites = {{more}}}})
          table.insert(told, (tostring(message):match('sites.*')))
        end
        require 'httpng'.cfg{{
          sites = {{
            {{path = '/all', handler = '{www}', index = 'index.html', dotfiles = true}},
            {{path = '/told', handler = function() return table.concat(told, '; ') end}},
          }},
          handler = '{www}',
        }}""")
    app = LuaApplication(script, clock=time.monotonic, lua=lua)
    async with serving(app) as server:
        with Client(server.addresses[0]) as client:
            paths = ("/all/", "/all/.env", "/all", "/", "/.env", "/told")
            asked = [await in_thread(client.ask, get(path)) for path in paths]
    assert [one.status for one in asked] == [200, 200, 301, 404, 404, 200]
    assert asked[5].body.decode() == (
        "sites[].index is not a string; sites[].dotfiles is not a boolean; "
        "sites[].index is for directories, and the handler of this site is a function"
    )


@pytest.mark.parametrize("lua", ["luajit21", "lua54"])
async def test_directories_of_a_lua_script(serving: Serving, www: Path, tmp_path: Path, lua: str) -> None:
    script = tmp_path / "script.lua"
    script.write_text(f"""
        local files = '{www}'
        require 'httpng'.cfg{{
          sites = {{
            {{path = '/files', handler = files}},
            {{path = '/told', handler = function(req) return req.path end}},
          }},
          handler = files,
        }}""")
    app = LuaApplication(script, clock=time.monotonic, lua=lua)
    assert app.directories == [str(www), str(www)]
    async with serving(app) as server:
        with Client(server.addresses[0]) as client:
            asked = [
                await in_thread(client.ask, get(path))
                for path in ("/files/a.txt", "/told", "/a.txt", "/files")
            ]
    assert [one.status for one in asked] == [200, 200, 200, 404]
    assert [one.body for one in asked[:3]] == [b"0123456789", b"/told", b"0123456789"]


async def test_a_fast_client_and_a_slow_one_of_the_same_file(serving: Serving, www: Path) -> None:
    async with serving(www) as server:
        with Client(server.addresses[0], receive_buffer=4096) as slow, Client(server.addresses[0]) as fast:
            slow.send(get("/big"))
            await standstill((await adopted(server, slow)).socket)
            assert (await in_thread(fast.ask, get("/big"))).body == BIG
            assert not slow.wire
