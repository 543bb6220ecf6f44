"""Each short example, served by the command line, answers what its first lines say."""

import json
import re
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from http.client import HTTPConnection
from http.client import HTTPResponse as Answer
from pathlib import Path
from threading import Thread

import pytest
from tests.certificates import make_pair
from tests.interop.test_examples import BOUND, EXAMPLES, connect, read_to_end, running
from tests.interop.test_examples import ask as send_request

PUBLIC = EXAMPLES / "public"
TEXT = "text/plain; charset=utf-8"


class Asker:
    """Asks a server that runs, a connection a request.

    Attributes:
        process: the server's.
        port: where it listens.
    """

    def __init__(self, process: "subprocess.Popen[str]", port: int) -> None:
        self.process, self.port = process, port

    @contextmanager
    def open(
        self, path: str, method: str = "GET", body: str | None = None, **headers: str
    ) -> Iterator[Answer]:
        """A response whose body has not been read."""
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=BOUND)) as connection:
            given = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, given)
            with connection.getresponse() as response:
                yield response

    def __call__(self, path: str, *args: str, **headers: str) -> tuple[int, str]:
        """The status and the body of an answer."""
        with self.open(path, *args, **headers) as response:
            return response.status, response.read().decode()

    def log_line(self, pattern: str) -> "re.Match[str]":
        """The next line of the server's log that has something in it; waits for it."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            found = re.search(pattern, line)
            if found:
                return found
        raise AssertionError(f"the log ended without {pattern}")


def check_router(ask: Asker) -> None:
    assert ask("/") == (200, "hello guest\n")
    assert ask("/users/ada") == (200, "Ada Lovelace\n")
    assert ask("/users/nobody") == (404, "no such user\n")
    assert ask("/files/2024/report.txt") == (200, "you want 2024/report.txt\n")
    assert ask("/users/ada", "DELETE") == (403, "no token\n")
    assert ask("/users/ada", "DELETE", x_token="secret") == (204, "")
    assert ask("/users/ada")[0] == 404
    with ask.open("/users/ada", "PUT", x_token="secret") as refused:
        assert (refused.status, refused.headers["allow"]) == (405, "GET, HEAD, DELETE")
    assert ask("/nothing")[0] == 404


def check_sites(ask: Asker) -> None:
    with ask.open("/static/about.txt") as answer:
        assert answer.headers["content-type"] == TEXT
        assert answer.read() == (PUBLIC / "about.txt").read_bytes()
    with ask.open("/static/css/main.css", "HEAD") as answer:
        assert answer.headers["content-type"].startswith("text/css")
        assert int(answer.headers["content-length"]) == (PUBLIC / "css" / "main.css").stat().st_size
    assert re.fullmatch(r"\d{10,}\.\d{3}\n", ask("/api/time")[1])
    assert ask("/api/other") == (404, "no such call\n")
    assert ask("/static/none.txt")[0] == 404
    assert ask("/elsewhere") == (200, "nothing at /elsewhere, try /static/about.txt\n")


def check_chat(ask: Asker) -> None:
    with ask.open("/") as one, ask.open("/") as other:
        for listener in (one, other):
            assert listener.readline() == b"welcome\n"
        while ask("/say", "POST", "are you there?") != (202, "2 listen\n"):
            pass  # A listener has its welcome before it follows.
        assert ask("/say?as=ada", "POST", "hello\r\nall") == (202, "2 listen\n")
        for listener in (one, other):
            lines = iter(listener.readline, b"")
            said = next(line for line in lines if not line.startswith(b"somebody: "))
            assert said == b"ada: hello  all\n"
    assert ask("/say", "POST", "") == (400, "say something\n")
    assert ask("/say", "POST", "x" * 1001)[0] == 413
    assert ask("/say")[0] == 405


def check_jobs(ask: Asker) -> None:
    assert ask("/12") == (200, "144\n")
    assert ask("/twelve") == (400, "not a number\n")
    answers: dict[int, tuple[int, str]] = {}

    def put(number: int) -> None:
        answers[number] = ask(f"/{number}")

    crowd = [Thread(target=put, args=(number,)) for number in range(12)]
    for each in crowd:
        each.start()
    for each in crowd:
        each.join(BOUND)
    done = {number for number, (status, _) in answers.items() if status == 200}
    assert all(answers[number] == (200, f"{number**2}\n") for number in done)
    assert all(answers[number] == (503, "too many jobs\n") for number in answers.keys() - done)
    assert len(done) >= 6
    assert ask.log_line(r"INFO httpng\.lua: worker (\d) has done job (\d+)")[2] == "1"


def check_todo(ask: Asker) -> None:
    assert ask("/todos") == (200, "[]")
    status, made = ask("/todos", "POST", '{"title":"write"}')
    assert (status, json.loads(made)) == (201, {"id": 1, "title": "write", "done": False})
    status, changed = ask("/todos/1", "PATCH", '{"done":true}')
    assert (status, json.loads(changed)) == (200, {"id": 1, "title": "write", "done": True})
    with ask.open("/todos") as answer:
        assert answer.headers["content-type"] == "application/json"
        assert json.load(answer) == [json.loads(changed)]
    for body, expected in (('{"title":', 400), ("1", 400), ('{"title":1}', 422)):
        status, told = ask("/todos", "POST", body)
        assert (status, list(json.loads(told))) == (expected, ["error"])
    assert ask("/todos/1", "PATCH", "[")[0] == 400
    assert ask("/todos/1", "DELETE") == (204, "")
    assert ask("/todos/1", "DELETE")[0] == 404
    assert ask("/todos") == (200, "[]")


def check_log(ask: Asker) -> None:
    assert ask("/") == (200, "read the log\n")
    status, wrong = ask("/", "POST", "not JSON")
    assert (status, wrong) == (400, "json.decode: expected a value at byte 1\n")
    assert ask("/", "POST", '{"a":[1]}')[0] == 200
    assert ask("/mistake") == (500, "Path handler execution error")
    ask.log_line(r"WARNING httpng\.lua: json\.decode: expected a value at byte 1$")
    ask.log_line(r'INFO httpng\.lua: \{"a":\[1\]\}$')
    ask.log_line(r"code=42, why=\"a table is shown with its fields\"")
    ask.log_line(r"stack traceback:")


def check_original(ask: Asker) -> None:
    with ask.open("/lines") as answer:
        assert answer.headers["content-type"] == TEXT
        assert answer.read() == b"the first line\nline 2\nline 3\nline 4\nthe last line\n"
    with ask.open("/echo", "POST", "some text", content_type="text/x-test") as answer:
        assert answer.headers["content-type"] == "text/x-test"
        assert answer.read() == b"some text"
    with ask.open("/") as answer:
        assert (answer.headers["x-peer"], answer.headers["x-version"]) == ("127.0.0.1", "1.1")
        assert answer.read() == b"hello, 127.0.0.1\n"


def check_patience(server: Asker) -> None:
    with connect(server.port) as slow:
        send_request(slow, "/drop", "1.0")
        told = server.log_line(r"dropped all but (\d+) bytes")[1]
        body = read_to_end(slow).partition(b"\r\n\r\n")[2]
    dots, line, end = body.split(b"\n")
    assert line.decode() == f"only {told} of 64000000 bytes in time"
    assert (set(dots), len(dots), end) == (set(b"."), int(told), b"")
    with server.open("/go-on") as answer:
        assert len(answer.read()) == 64_000_000
    server.log_line(r"all of it, in \d+ calls")
    with connect(server.port) as still:
        send_request(still, "/go-on")
        gave_up = int(server.log_line(r"gave up after (\d+) bytes")[1])
        assert gave_up < 64_000_000
        # Cut short: what was accepted arrives, and the length tells that it isn't all.
        head, _, body = read_to_end(still).partition(b"\r\n\r\n")
        assert b"content-length: 64000000" in head
        assert len(body) == gave_up
    assert server("/")[0] == 404


def check_reload(ask: Asker) -> None:
    assert ask("/") == (200, "the first version\n")
    assert ask("/switch") == (200, "switched\n")
    assert ask("/") == (200, "the second version\n")
    status, refused = ask("/mistake")
    assert (status, refused.partition(": ")[2]) == (200, "threads is 1000, must be an integer, 1 .. 16\n")
    assert ask("/") == (200, "the second version\n")
    assert ask("/switch") == (200, "switched\n")
    assert ask("/") == (200, "the first version\n")


def check_threads_in_lua(ask: Asker) -> None:
    with ask.open("/prices") as prices:
        assert prices.readline() == b"1\n"
        assert ask("/compute") == (200, "computed\n")
        assert prices.read().endswith(b"\n49\n50\n")
    assert ask("/") == (200, "streams so far: 1\n")
    assert ask("/threads?2") == (200, "threads: 2\n")
    status, told = ask("/threads?4")
    assert (status, told) in (
        (200, "threads: 4\n"),
        (200, "Unable to reconfigure until threads will shut down\n"),
    )


def check_threads_in_python(ask: Asker) -> None:
    with ExitStack() as stack:
        names = {stack.enter_context(ask.open("/")).read() for _ in range(4)}
    assert len(names) > 1
    with ask.open("/prices") as prices:
        first = int(prices.readline())
        assert ask("/block") == (200, "blocked\n")
        numbers = [int(line) for line in prices]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] > first


CHECKS: dict[str, Callable[[Asker], None]] = {
    "chat.lua": check_chat,
    "chat.py:app": check_chat,
    "jobs.lua": check_jobs,
    "log.lua": check_log,
    "original.lua": check_original,
    "patience.lua": check_patience,
    "patience.py:handler": check_patience,
    "reload.lua": check_reload,
    "reload.py:app": check_reload,
    "router.lua": check_router,
    "router.py:router": check_router,
    "sites.lua": check_sites,
    "sites.py:app": check_sites,
    "threads.lua": check_threads_in_lua,
    "threads.py:app": check_threads_in_python,
    "todo.lua": check_todo,
    "todo.py:router": check_todo,
}
WAITING = ("chat.lua", "threads.lua", "threads.py:app", "jobs.lua", "patience.py:handler")
RUNS = [*(("httpng_asyncio", app) for app in CHECKS), *(("httpng_trio", app) for app in WAITING)]


@pytest.mark.parametrize(("backend", "app"), RUNS)
def test_an_example_answers(backend: str, app: str) -> None:
    with running("-m", backend, str(EXAMPLES / app), "--listen", "127.0.0.1:0") as (process, port):
        CHECKS[app](Asker(process, port))


# Names and certificates --------------------------------------------------------------------------------


def get_by_name(port: int, name: str, trusted: Path) -> bytes:
    context = ssl.create_default_context(cafile=str(trusted))
    with (
        socket.create_connection(("127.0.0.1", port), BOUND) as plain,
        context.wrap_socket(plain, server_hostname=name) as sock,
    ):
        sock.sendall(f"GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
        return read_to_end(sock).partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize("app", ["names.lua", "names.py:app"])
def test_the_example_with_two_names(app: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("one", "two"):
        make_pair(tmp_path, [f"{name}.test"], stem=name)
    for name, value in (("CERTIFICATES", str(tmp_path)), ("TLS_PORT", "0"), ("PLAIN_PORT", "0")):
        monkeypatch.setenv(name, value)
    with running("-m", "httpng_asyncio", str(EXAMPLES / app)) as (process, port):
        assert get_by_name(port, "one.test", tmp_path / "one.pem") == b"this is the first\n"
        assert get_by_name(port, "two.test", tmp_path / "two.pem") == b"this is the second\n"
        with pytest.raises(ssl.SSLError):
            get_by_name(port, "three.test", tmp_path / "one.pem")
        server = Asker(process, port)
        server.port = int(server.log_line(r"listening on http://127\.0\.0\.1:(\d+)")[1])
        with server.open("/path", host="two.test") as answer:
            assert (answer.status, answer.headers["location"]) == (308, "https://two.test:0/path")


def test_every_example_is_tested_and_told() -> None:
    told = (EXAMPLES.parent / "docs" / "examples.md").read_text()
    others = {"chat_ws.py", "demo.py", "embed_selectors.py", "embed_threads.py", "names.lua", "names.py"} | {
        f"{name}.{end}" for name in ("ticker", "ticker_feed") for end in ("lua", "py")
    }
    there = {each.name for each in EXAMPLES.glob("*.*")}
    assert there == {app.partition(":")[0] for app in CHECKS} | others
    assert [name for name in sorted(there) if f"examples/{name})" not in told] == []
