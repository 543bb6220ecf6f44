"""Static files, from a disk that does what the test says, when it says so."""

import errno
from collections.abc import Sequence
from math import inf
from typing import Any

import pytest
from tests.core.driving import Driven

from httpng_core import Application, FileInfo, FileRead, Pending
from httpng_core.app import PIECE
from httpng_core.http import representation
from httpng_core.testing import Client, Loopback, ReceivedResponse

NOW = 1_000_000_000.0
CHANGED = 784111777
DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
LONG = bytes(range(256)) * 4096


class ScriptedFile:
    def __init__(self, disk: "Disk", name: str) -> None:
        self.opening = Pending()
        self.closed = 0
        self.name = name
        self._disk = disk
        disk.then(self.opening, self._open)

    def _open(self) -> None:
        if isinstance(found := self._disk.contents.get(self.name, FileNotFoundError()), OSError):
            raise found
        self.info = FileInfo(size=len(found), mtime_ns=self._disk.mtime_ns, opened_at=NOW)

    def read(self, offset: int, size: int) -> FileRead:
        assert not self.closed
        read = FileRead()
        self._disk.reads.append((offset, size))

        def work() -> None:
            if isinstance(found := self._disk.contents[self.name], OSError):
                raise found
            read.data = found[offset : offset + min(size, self._disk.at_once)]

        self._disk.then(read, work)
        return read

    def close(self) -> None:
        self.closed += 1


class Disk:
    """Files by directory and name.

    Attributes:
        contents: what is in them, or the error of opening or reading one.
        is_slow: what is asked waits until `answer` is called.
        reads: every read: where, and how much.
        at_once: how much a read gives at most.
    """

    def __init__(self, contents: dict[str, bytes | OSError], *, is_slow: bool = False) -> None:
        self.contents = contents
        self.is_slow = is_slow
        self.mtime_ns = CHANGED * 10**9 + 5
        self.reads: list[tuple[int, int]] = []
        self.files: list[ScriptedFile] = []
        self.at_once = PIECE
        self._asked: list[tuple[Pending, Any]] = []

    def open(self, directory: str, names: Sequence[bytes]) -> ScriptedFile:
        name = "/".join([directory, *(one.decode("latin-1") for one in names)])
        self.files.append(ScriptedFile(self, name))
        return self.files[-1]

    def then(self, pending: Pending, work: Any) -> None:
        self._asked.append((pending, work))
        if not self.is_slow:
            self.answer()

    def answer(self) -> None:
        asked, self._asked = self._asked, []
        for pending, work in asked:
            try:
                work()
            except OSError as error:
                pending.settle(None, error)
            else:
                pending.settle(None)


def serve(disk: Disk | None, app: object = "/www", **cfg: Any) -> Loopback:
    return Loopback(app, files=None if disk is None else disk.open, **cfg)


def ask(loop: Loopback, target: str, method: str = "GET", *, room: float = inf, **headers: str) -> Client:
    client = loop.connect(room)
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    client.send("\r\n".join([f"{method} {target} HTTP/1.1", "host: x", *lines, "", ""]).encode())
    return client


def answer(loop: Loopback, target: str, method: str = "GET", **headers: Any) -> ReceivedResponse:
    [response] = ask(loop, target, method, **headers).responses(method)
    assert response.complete
    return response


DISK = {"/www/a.txt": b"0123456789", "/www/sub/b": b"b", "/www/empty.css": b"", "/www/long": LONG}
ETAG = representation(FileInfo(size=10, mtime_ns=CHANGED * 10**9 + 5, opened_at=NOW)).etag


# Which file -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/x", "/x/", "/x/y"])
def test_the_path_below_the_site_is_that_below_the_directory(path: str) -> None:
    loop = serve(Disk(dict(DISK)), Application(sites=[{"path": path, "handler": "/www"}]))
    below = path.rstrip("/")
    assert answer(loop, f"{below}/a.txt").body == b"0123456789"
    assert answer(loop, f"{below}/sub/b?query=/../..").body == b"b"
    assert answer(loop, f"{below}/sub/../%61.tx%74").body == b"0123456789"
    assert answer(loop, f"{below}/sub%2Fb").body == b"b"


@pytest.mark.parametrize(
    "target",
    [
        "/x",
        "/x/",
        "/x/sub/",
        "/x//sub",
        "/x/a.txt/",
        "/x/sub/..",
        "/x/a.txt%00",
        "/x/%00",
        "/x/..%5c..%5cpasswd",
        "/x/sub%5Cb",
        "/x/sub/%5c",
    ],
)
def test_no_file_is_looked_for_where_none_can_be(target: str) -> None:
    disk = Disk({})
    response = answer(serve(disk, Application(sites=[{"path": "/x", "handler": "/www"}])), target)
    assert (response.status, response.body) == (404, b"not found")
    assert disk.files == []


@pytest.mark.parametrize(
    "target",
    [
        "/../etc/passwd",
        "/%2e%2e/etc/passwd",
        "/..%2fetc/passwd",
        "/.%2e%2f.%2e/etc/passwd",
        "/sub/../../../etc/passwd",
        "/%252e%252e/etc/passwd",
        "/./../.%2E/etc/passwd",
        "/....//etc/passwd",
        "http://x/../etc/passwd",
    ],
)
def test_no_target_leads_above_the_directory(target: str) -> None:
    disk = Disk({"/etc/passwd": b"secret", "/www/../etc/passwd": b"secret"})
    assert answer(serve(disk), target).status == 404
    assert all(file.name.startswith("/www/") and "/../" not in file.name for file in disk.files)


HIDDEN = [
    "/.env",
    "/.git/config",
    "/sub/.x/y",
    "/%2eenv",
    "/sub/%2E%2e%2f.env",
    "/...",
    "/..a/b",
    "/.well-known/x",
]


@pytest.mark.parametrize("target", HIDDEN)
def test_names_that_begin_with_a_dot_are_not_served(target: str) -> None:
    disk = Disk({})
    response = answer(serve(disk), target)
    assert (response.status, response.body, disk.files) == (404, b"not found", [])


@pytest.mark.parametrize("target", HIDDEN)
def test_names_that_begin_with_a_dot_are_served_if_the_site_says_so(target: str) -> None:
    disk = Disk({})
    loop = serve(disk, None, sites=[{"path": "/", "handler": "/www", "dotfiles": True}])
    assert answer(loop, target).status == 404
    name = disk.files[0].name
    disk.contents[name] = b"hidden"
    assert answer(loop, target).body == b"hidden"


def test_a_site_of_its_own_serves_a_hidden_directory() -> None:
    disk = Disk({"/www/.well-known/x": b"known", "/www/.well-known/.y": b"hidden"})
    site = {"path": "/.well-known", "handler": "/www/.well-known"}
    loop = serve(disk, None, sites=[site, {"path": "/", "handler": "/www"}])
    assert answer(loop, "/.well-known/x").body == b"known"
    assert answer(loop, "/.well-known/.y").status == 404


# An index ---------------------------------------------------------------------------------------------

INDEXED = {
    "/www/index.html": b"root",
    "/www/sub/index.html": b"sub",
    "/www/sub/a b/index.html": b"deep",
    "/www/a.txt": b"a",
}


def indexed(path: str = "/", disk: Disk | None = None, **more: Any) -> Loopback:
    site = {"path": path, "handler": "/www", "index": "index.html", **more}
    return serve(Disk(dict(INDEXED)) if disk is None else disk, None, sites=[site])


@pytest.mark.parametrize("path", ["/", "/x", "/x/"])
@pytest.mark.parametrize(
    ("target", "body"),
    [("/", b"root"), ("/?q", b"root"), ("/sub/", b"sub"), ("/sub/a%20b/", b"deep"), ("/sub/..", b"root")],
)
def test_an_index_stands_for_its_directory(path: str, target: str, body: bytes) -> None:
    response = answer(indexed(path), path.rstrip("/") + target)
    assert (response.status, response.body) == (200, body)
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert answer(indexed(path), path.rstrip("/") + "/a.txt").body == b"a"


def test_an_index_is_a_file_like_others() -> None:
    etag = answer(indexed(), "/").headers["etag"]
    assert answer(indexed(), "/", if_none_match=etag).status == 304
    assert answer(indexed(), "/", range="bytes=1-2").body == b"oo"
    assert answer(indexed(), "/", "HEAD").headers["content-length"] == "4"
    assert answer(indexed(), "/", "POST").status == 405


@pytest.mark.parametrize(
    ("path", "target", "location"),
    [
        ("/", "/sub", "/sub/"),
        ("/", "/sub?a=b&c", "/sub/?a=b&c"),
        ("/", "/sub/a%20b?", "/sub/a%20b/?"),
        ("/", "/./x/../sub", "/sub/"),
        ("/", "http://elsewhere/sub", "/sub/"),
        ("/x", "/x", "/x/"),
        ("/x", "/x?q", "/x/?q"),
        ("/x", "/x/sub", "/x/sub/"),
        ("/\xe9", "/%C3%A9/sub", "/%C3%A9/sub/"),
    ],
)
def test_without_its_slash_a_directory_with_an_index_is_elsewhere(
    path: str, target: str, location: str
) -> None:
    """Else what its page links to would be looked for one level too high."""
    for method in ("GET", "HEAD"):
        response = answer(indexed(path), target, method)
        assert (response.status, response.headers["location"]) == (301, location)


@pytest.mark.parametrize(
    "target",
    [
        "//elsewhere/sub",
        "//sub",
        "/%2Felsewhere",
        "/\\sub",
        "/%5Csub",
        "/%5C%5Csub",
        "/..//sub",
        "/x/..//sub",
    ],
)
def test_no_target_is_sent_to_another_host(target: str) -> None:
    disk = Disk(
        {
            f"/www/{name}": b"x"
            for name in ("sub/index.html", "elsewhere/index.html", "elsewhere/sub/index.html")
        }
    )
    response = ask(indexed(disk=disk), target).responses("GET")[0]
    assert (response.status, "location" in response.headers) in [(404, False), (400, False)]


@pytest.mark.parametrize("target", ["/", "/none/", "/a.txt/"])
def test_where_there_is_no_index_the_answer_says_so(target: str) -> None:
    response = answer(indexed(disk=Disk({"/www/a.txt": b"a"})), target)
    assert response.status == 404
    assert response.body == b"not found: there is no index.html here, and directories are not listed"


def test_the_path_of_a_site_without_an_index_says_so_with_and_without_its_slash() -> None:
    for target in ("/x", "/x/"):
        assert b"there is no index.html here" in answer(indexed("/x", Disk({})), target).body


def test_what_is_not_there_is_not_found_and_no_file_stays_open() -> None:
    disk = Disk(dict(INDEXED))
    response = answer(indexed(disk=disk), "/none")
    assert (response.status, response.body) == (404, b"not found")
    assert answer(indexed(disk=disk), "/sub").status == 301
    assert disk.files
    assert all(file.closed for file in disk.files)


def test_an_index_that_may_not_be_read_is_forbidden() -> None:
    loop = indexed(
        disk=Disk({"/www/index.html": PermissionError(), "/www/sub/index.html": PermissionError()})
    )
    assert [answer(loop, target).status for target in ("/", "/sub/", "/sub")] == [403, 403, 403]


def test_an_index_may_be_hidden_but_not_its_directory() -> None:
    disk = Disk({"/www/.index": b"hidden", "/www/.git/.index": b"hidden"})
    loop = indexed(disk=disk, index=".index")
    assert answer(loop, "/").body == b"hidden"
    assert [answer(loop, target).status for target in ("/.git/", "/.git", "/.index")] == [404, 404, 404]


def test_without_an_index_directories_are_nothing() -> None:
    loop = serve(Disk(dict(INDEXED)))
    assert [answer(loop, target).status for target in ("/", "/sub", "/sub/")] == [404, 404, 404]


# What is answered -------------------------------------------------------------------------------------


def test_a_file() -> None:
    disk = Disk(dict(DISK))
    response = answer(serve(disk), "/a.txt")
    assert (response.status, response.body) == (200, b"0123456789")
    assert response.headers == {
        "content-type": "text/plain; charset=utf-8",
        "content-length": "10",
        "etag": ETAG,
        "last-modified": DATE,
        "accept-ranges": "bytes",
    }
    assert [file.closed for file in disk.files] == [1]


def test_the_head_of_a_file_is_that_of_a_get_and_nothing_is_read() -> None:
    disk = Disk(dict(DISK))
    loop = serve(disk)
    head = answer(loop, "/a.txt", "HEAD", range="bytes=0-1")
    assert (head.status, head.body, disk.reads) == (200, b"", [])
    assert head.headers == answer(loop, "/a.txt").headers


def test_an_empty_file() -> None:
    response = answer(serve(Disk(dict(DISK))), "/empty.css")
    assert (response.status, response.body, response.headers["content-length"]) == (200, b"", "0")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "get"])
def test_other_methods_are_not_allowed(method: str) -> None:
    disk = Disk(dict(DISK))
    response = answer(serve(disk), "/a.txt", method)
    assert (response.status, response.headers["allow"]) == (405, "GET, HEAD")
    assert disk.files == []


def test_a_part_of_a_file() -> None:
    disk = Disk(dict(DISK))
    response = answer(serve(disk), "/a.txt", range="bytes=2-5")
    assert (response.status, response.body, disk.reads) == (206, b"2345", [(2, 4)])
    assert response.headers["content-range"] == "bytes 2-5/10"
    assert (response.headers["content-length"], response.headers["etag"]) == ("4", ETAG)


def test_a_range_beyond_the_end() -> None:
    response = answer(serve(Disk(dict(DISK))), "/a.txt", range="bytes=10-")
    assert (response.status, response.body) == (416, b"range not satisfiable")
    assert response.headers["content-range"] == "bytes */10"


def test_what_the_client_has_is_not_sent_again() -> None:
    disk = Disk(dict(DISK))
    response = answer(serve(disk), "/a.txt", if_none_match=ETAG)
    assert (response.status, response.body, disk.reads) == (304, b"", [])
    assert (response.headers["etag"], response.headers["last-modified"]) == (ETAG, DATE)
    assert "content-length" not in response.headers
    assert disk.files[0].closed


def test_what_is_not_what_the_client_means_is_refused() -> None:
    response = answer(serve(Disk(dict(DISK))), "/a.txt", if_match='"other"')
    assert (response.status, response.body) == (412, b"precondition failed")
    assert "content-range" not in response.headers


@pytest.mark.parametrize("mtime_ns", [-1, (int(NOW) + 1) * 10**9])
def test_a_time_that_cannot_be_has_no_last_modified(mtime_ns: int) -> None:
    disk = Disk(dict(DISK))
    disk.mtime_ns = mtime_ns
    response = answer(serve(disk), "/a.txt", if_modified_since=DATE)
    assert (response.status, "last-modified" in response.headers) == (200, False)
    assert answer(serve(disk), "/a.txt", if_none_match=response.headers["etag"]).status == 304


@pytest.mark.parametrize(
    ("error", "status", "body"),
    [
        (FileNotFoundError(), 404, b"not found"),
        (PermissionError(), 403, b"forbidden"),
        (OSError(errno.EIO, "broken"), 500, b"Path handler execution error"),
        (OSError(errno.EMFILE, "broken"), 503, b"the server has too much to do just now"),
        (OSError(errno.ENFILE, "broken"), 503, b"the server has too much to do just now"),
        (OSError(errno.ENOMEM, "broken"), 503, b"the server has too much to do just now"),
    ],
)
@pytest.mark.parametrize("target", ["/a", "/a/"])
def test_what_cannot_be_opened(
    target: str, error: OSError, status: int, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    disk = Disk({"/www/a": error, "/www/a/index.html": error})
    response = answer(indexed(disk=disk), target)
    if not (status == 404 and target.endswith("/")):
        assert (response.status, response.body) == (status, body)
    assert ("retry-after" in response.headers) is (status == 503)
    assert ("broken" in caplog.text) is (status >= 500)
    assert all(file.closed for file in disk.files)


def test_without_a_driver_that_reads_files_the_log_says_so(caplog: pytest.LogCaptureFixture) -> None:
    assert answer(serve(None), "/a").status == 500
    assert "static files need a driver that reads them" in caplog.text


def test_a_disk_that_fails_at_once_is_told(caplog: pytest.LogCaptureFixture) -> None:
    disk = Disk(dict(DISK), is_slow=True)
    loop = serve(disk)
    client = ask(loop, "/a.txt")
    disk.answer()
    disk.contents["/www/a.txt"] = OSError(5, "Input/output error")
    loop.settle()
    disk.answer()
    loop.settle()
    [response] = client.responses()
    assert (response.status, response.body) == (500, b"Path handler execution error")
    assert "Input/output error" in caplog.text
    assert disk.files[0].closed


# How it is sent ---------------------------------------------------------------------------------------


def test_a_long_file_goes_out_in_pieces_whatever_a_read_gives() -> None:
    disk = Disk(dict(DISK))
    assert answer(serve(disk), "/long").body == LONG
    assert disk.reads == [(at, PIECE) for at in range(0, len(LONG), PIECE)]
    disk.at_once, disk.reads = 50_000, []
    assert answer(serve(disk), "/long", range="bytes=10-").body == LONG[10:]
    assert disk.reads[:2] == [(10, PIECE), (50_010, PIECE)]


@pytest.mark.parametrize("window", [0, 1000, 100_000, 1 << 20, "auto"])
def test_of_a_file_for_a_client_that_is_slow_two_pieces_are_in_memory(window: object) -> None:
    disk = Disk(dict(DISK))
    loop = serve(disk, default_send_window=window)
    client = ask(loop, "/long", room=100_000)
    exchange = loop.exchanges[0]
    for _ in range(8):
        stats = exchange.stats(loop.clock())
        read = sum(size for _, size in disk.reads)
        assert stats.sent <= len(client.received)
        assert stats.current - stats.sent <= 2 * PIECE
        assert read - stats.sent <= 3 * PIECE
        loop.advance(1)
        client.give_room(100_000)
    client.give_room()
    [response] = client.responses()
    assert response.body == LONG
    assert response.complete
    assert exchange.stats(loop.clock()).sent == len(LONG)


@pytest.mark.parametrize("at", [0, 70_000])
def test_a_file_that_shrinks_is_no_whole_response(at: int) -> None:
    disk = Disk(dict(DISK), is_slow=True)
    loop = serve(disk)
    client = ask(loop, "/long")
    disk.answer()
    loop.settle()
    disk.contents["/www/long"] = LONG[:at]
    for _ in range(4):
        disk.answer()
        loop.settle()
    assert (client.closed, client.gone) == (True, False)
    assert disk.files[0].closed
    assert loop.exchanges[0].stats(loop.clock()).cancelled
    assert LONG[:at].startswith(bytes(client.received).partition(b"\r\n\r\n")[2])


def test_of_a_file_that_grows_goes_out_what_was_told_at_first() -> None:
    disk = Disk(dict(DISK), is_slow=True)
    loop = serve(disk)
    client = ask(loop, "/a.txt")
    disk.answer()
    loop.settle()
    disk.contents["/www/a.txt"] = b"0123456789abc"
    disk.answer()
    loop.settle()
    [response] = client.responses()
    assert (response.body, response.complete, client.closed) == (b"0123456789", True, False)


def test_a_disk_that_fails_in_the_middle_cuts_it_short(caplog: pytest.LogCaptureFixture) -> None:
    disk = Disk(dict(DISK))
    loop = serve(disk)
    client = ask(loop, "/long", room=100_000)
    disk.contents["/www/long"] = OSError(5, "Input/output error")
    client.give_room()
    assert (client.closed, client.gone) == (True, False)
    assert len(client.received) < len(LONG)
    assert "Input/output error" in caplog.text
    assert disk.files[0].closed


def test_a_client_that_leaves_closes_the_file() -> None:
    disk = Disk(dict(DISK))
    loop = serve(disk)
    client = ask(loop, "/long", room=100_000)
    assert not disk.files[0].closed
    client.reset()
    assert disk.files[0].closed


def test_a_server_that_ends_closes_the_file() -> None:
    disk = Disk(dict(DISK), is_slow=True)
    loop = serve(disk)
    ask(loop, "/long")
    loop.runner.close()
    assert disk.files[0].closed


def test_a_client_of_which_nothing_moves_is_given_up_after_stall_timeout() -> None:
    disk = Disk(dict(DISK))
    loop = serve(disk, stall_timeout=7, default_send_timeout=1)
    client = ask(loop, "/long", room=100_000)
    loop.advance(6)
    client.give_room(1)
    loop.advance(6.5)
    assert not client.gone
    loop.advance(1)
    assert client.gone
    assert disk.files[0].closed


def test_a_client_that_acknowledges_is_not_given_up() -> None:
    loop = serve(Disk(dict(DISK)), stall_timeout=7)
    client = ask(loop, "/long", room=0)
    client.acknowledges = False
    client.give_room(100_000)
    for part in range(1, 6):
        loop.advance(6)
        client.acknowledge(part * 10_000)
    loop.advance(6)
    assert not client.gone
    loop.advance(2)
    assert client.gone


def test_a_disk_that_is_slow_is_no_stall_of_the_client() -> None:
    disk = Disk(dict(DISK), is_slow=True)
    loop = serve(disk, stall_timeout=7)
    client = ask(loop, "/long")
    for _ in range(len(LONG) // PIECE + 1):
        loop.advance(20)
        disk.answer()
        loop.settle()
    [response] = client.responses()
    assert (response.body, response.complete) == (LONG, True)


def test_on_http2_two_files_go_out_side_by_side() -> None:
    disk = Disk(dict(DISK))
    loop = serve(disk)
    client = loop.connect_http2()
    files = [client.request("/long"), client.request("/a.txt")]
    assert [bytes(one.body) for one in files] == [LONG, b"0123456789"]
    assert [file.closed for file in disk.files] == [1, 1]


def test_a_directory_reads_no_body() -> None:
    class Served(Driven):
        def application(self, **settings: Any) -> Application:
            return Application("/www", **settings)

    head = b"PUT /a.txt HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\n"
    driven = Served(head, stream_bodies=True)
    assert driven.exchanges == [], "nobody wants it by pieces"
    driven.receive(b"12345")
    assert driven.exchange.request.body == b"12345"
