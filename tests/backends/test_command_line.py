"""`python -m httpng_BACKEND APP`: what it prints, how it ends."""

import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest
from tests.driver.harness import BOUND, Client

from httpng_core import COMPILED, ListenAddress
from httpng_driver import __version__

LISTENING = re.compile(r"httpng: listening on https?://(.+):(\d+)\n")
APP = '''
"""An application in Python."""
import anyio
import neighbour

async def hello(req, io):
    return {"body": f"hello from {neighbour.NAME}"}

def plain(req):
    return "a plain function"

class Namespace:
    @staticmethod
    async def inner(req, io):
        await io.write(b"an attribute of an attribute")

async def slow(req, io):
    await io.write(b"begun")
    await anyio.sleep(0.3)
    await io.write(b", done")

async def endless(req, io):
    while True:
        await io.write(b"tick")
        await anyio.sleep(0.01)

number = 5
directory = "missing"

def takes_three(one, two, three):
    pass

def optional(req, io=None):
    return "hello"

def plain_io(req, io):
    pass

def anything(*args):
    pass
'''


@pytest.fixture(params=["httpng_asyncio", "httpng_trio"])
def module(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the programs of these tests lie."""
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "neighbour.py").write_text('NAME = "the neighbour"\n')
    (tmp_path / "broken.py").write_text("def handler(req):\n    return (\n")
    (tmp_path / "raises.py").write_text("def handler(req):\n    pass\n\nprint(1 / 0)\n")
    (tmp_path / "wrong.py").write_text(
        "from httpng_core import Application\n\ndef make():\n"
        "    return Application(lambda req: '', thread=2)\n\napp = make()\n"
    )
    (tmp_path / "library.py").write_text("import json\n\nconfig = json.loads('{')\n")
    (tmp_path / "imports.py").write_text("import no_such_module_at_all\n")
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "web.py").write_text('async def app(req, io):\n    await io.write(b"from a package")\n')
    return tmp_path


def command(module: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", module, *arguments]


class Running:
    """A server in a process of its own, and where it said that it listens."""

    def __init__(self, process: "subprocess.Popen[str]", listeners: int) -> None:
        self.process = process
        self.lines = [self.line() for _ in range(listeners)]
        matches = [LISTENING.fullmatch(line) for line in self.lines]
        assert all(matches), self.lines
        self.addresses = [ListenAddress(match[1].strip("[]"), int(match[2])) for match in matches if match]

    def line(self) -> str:
        assert self.process.stderr is not None
        return self.process.stderr.readline()

    def ask(self, listener: int = 0) -> bytes:
        with Client(self.addresses[listener]) as client:
            return client.ask().body

    def stop(self, number: int = signal.SIGTERM) -> str:
        """Signals; gives what else it wrote to stderr. It must have ended with 0."""
        self.process.send_signal(number)
        return self.ended()

    def ended(self) -> str:
        out, err = self.process.communicate(timeout=BOUND)
        assert (self.process.returncode, out) == (0, "")
        return err


@contextmanager
def running(
    arguments: Sequence[str], folder: Path, listeners: int = 1, pass_fds: Sequence[int] = ()
) -> Iterator[Running]:
    process = subprocess.Popen(
        arguments,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        pass_fds=pass_fds,
        preexec_fn=heed_signals,
    )
    with process:
        try:
            yield Running(process, listeners)
        finally:
            process.kill()


def heed_signals() -> None:
    """Also where who runs the tests ignores some, as nohup and shells do for what is in the background."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def run(arguments: Sequence[str], folder: Path) -> tuple[int, str, str]:
    ran = subprocess.run(arguments, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    return ran.returncode, ran.stdout, ran.stderr


# Serving ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("app", "body"),
    [
        ("app.py:hello", b"hello from the neighbour"),
        ("./app.py:plain", b"a plain function"),
        ("app.py:Namespace.inner", b"an attribute of an attribute"),
        ("app:plain", b"a plain function"),
        ("package.web:app", b"from a package"),
    ],
)
def test_the_forms_of_app(module: str, folder: Path, app: str, body: bytes) -> None:
    with running(command(module, app, "--listen", "127.0.0.1:0"), folder) as server:
        assert server.ask() == body
        assert server.stop() == ""


@pytest.mark.parametrize(
    ("options", "application", "loop"),
    [
        (["--uvloop"], "{}", b"uvloop"),
        (["--no-uvloop"], "{}", b"asyncio"),
        ([], "{'uvloop': False}", b"asyncio"),
        (["--uvloop"], "{'uvloop': False}", b"uvloop"),
        (["--no-uvloop"], "{'uvloop': True}", b"asyncio"),
    ],
)
def test_the_loop_can_be_chosen(folder: Path, options: list[str], application: str, loop: bytes) -> None:
    (folder / "loop.py").write_text(
        "import asyncio\nfrom httpng_core import Application\n"
        "async def handler(req, io):\n    return type(asyncio.get_running_loop()).__module__\n"
        f"app = Application(handler, **{application})\n"
    )
    arguments = command("httpng_asyncio", "loop.py:app", *options, "--listen", "127.0.0.1:0")
    with running(arguments, folder) as server:
        assert server.ask().startswith(loop)
        assert server.stop() == ""


def test_several_listeners(module: str, folder: Path) -> None:
    listen = ["--listen", "127.0.0.1:0", "--listen", "127.0.0.2:0", "--listen=[::1]:0"]
    with running(command(module, "app.py:plain", *listen), folder, listeners=3) as server:
        assert [address.host for address in server.addresses] == ["127.0.0.1", "127.0.0.2", "::1"]
        assert [server.ask(listener) for listener in range(3)] == [b"a plain function"] * 3
        assert server.stop() == ""


def test_settings(module: str, folder: Path) -> None:
    settings = ["--max-body-len", "10", "--send-window", "1000", "--access-log"]
    arguments = command(module, "app.py:plain", "--listen", "127.0.0.1:0", *settings)
    with running(arguments, folder) as server:
        with Client(server.addresses[0]) as client:
            refused = client.ask(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\n")
        assert refused.status == 413
        assert server.ask() == b"a plain function"
        log = server.stop()
    assert '"GET / HTTP/1.1" status=200 ' in log
    assert " current=16 sent=16 " in log


# Ending -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_let_the_running_exchange_finish(module: str, folder: Path, number: int) -> None:
    with running(command(module, "app.py:slow", "--listen", "127.0.0.1:0"), folder) as server:
        with Client(server.addresses[0]) as client, Client(server.addresses[0]):
            client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            client.read_body(5)
            server.process.send_signal(number)
            received = client.read_response()
        assert received.body == b"begun, done"
        assert received.complete
        # It takes about as long as a server waits before it tells for what.
        assert [line for line in server.ended().splitlines() if "waiting up to" not in line] == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_at_once(module: str, folder: Path, number: int) -> None:
    arguments = command(module, "app.py:endless", "--listen", "127.0.0.1:0", "--shutdown-timeout", "1000")
    with running(arguments, folder) as server:
        with Client(server.addresses[0]) as client:
            client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            client.read_body(4)
            server.process.send_signal(number)
            until_refused(server.addresses[0])
            server.process.send_signal(number)
            client.read_to_end()
            assert client.ended == "reset"
        assert '"GET /" was cancelled: the server was shut down' in server.ended()


def test_endless_handlers_end_after_shutdown_timeout(module: str, folder: Path) -> None:
    arguments = command(module, "app.py:endless", "--listen", "127.0.0.1:0", "--shutdown-timeout", "0.2")
    with running(arguments, folder) as server, Client(server.addresses[0]) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        client.read_body(4)
        assert '"GET /" was cancelled: the server was shut down' in server.stop()


def until_refused(address: ListenAddress) -> None:
    """Waits until nobody listens there any more."""
    give_up = time.monotonic() + BOUND
    while time.monotonic() < give_up:
        try:
            Client(address).close()
        except ConnectionRefusedError:
            return
        except ConnectionResetError:
            # It stopped listening in that very moment.
            pass
        time.sleep(0.01)
    raise AssertionError("it still listens")


def test_a_directory_is_served(module: str, folder: Path) -> None:
    (folder / "www" / "sub").mkdir(parents=True)
    (folder / "www" / "file").write_text("a file")
    (folder / "www" / ".env").write_text("secret")
    (folder / "www" / "sub" / "index.html").write_text("an index")
    with running(command(module, "www", "--listen", "127.0.0.1:0", "--stall-timeout", "5"), folder) as server:
        with Client(server.addresses[0]) as client:
            told = [
                client.ask(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                for path in ("/file", "/sub/", "/.env", "/")
            ]
        assert server.stop() == ""
    assert [one.status for one in told] == [200, 200, 404, 404]
    assert [told[0].body, told[1].body] == [b"a file", b"an index"]
    assert told[3].body == b"not found: there is no index.html here, and directories are not listed"


# What can't be started --------------------------------------------------------------------------------

FREE = ["--listen", "127.0.0.1:0"]
FAILURES: list[tuple[list[str], str]] = [
    (["missing.py:app"], "missing.py: no such file"),
    (["missing.lua"], "missing.lua: "),
    (["missing:app"], "missing: no such module"),
    (["package.missing:app"], "package.missing: no such module"),
    (["app.py:missing"], "app.py: it has no handler 'missing'"),
    (["app.py:number"], "app.py:number: handler is not a function"),
    (
        ["app.py:optional"],
        "handler optional(req, io=None) isn't async, yet takes io: write 'async def optional(req, io)' "
        "to use io, or 'def optional(req)' to return a response",
    ),
    (["app.py:plain_io"], "write 'async def plain_io(req, io)' to use io"),
    (["app.py:anything"], "handler anything(*args) isn't async"),
    (["app.py:takes_three"], "app.py:takes_three: handler takes_three must take (req, io)"),
    (
        ["app.py"],
        "app.py: name the application as path.lua, path.py:name, package.module:name or a directory",
    ),
    (["app"], "app: name the application as "),
    (["package", "--lua", "lua54"], "package: --lua is for an application in Lua"),
    (["app.py:directory"], "can't serve the directory "),
    ([":"], ":: name the application as "),
    (["broken.py:handler"], "broken.py:2: syntax error: '(' was never closed"),
    (["raises.py:handler"], "raises.py:4: ZeroDivisionError: division by zero"),
    (["wrong.py:app"], "wrong.py:4: ConfigError: unknown parameter thread; the nearest known one is threads"),
    (["wrong:app"], "wrong.py:4: ConfigError: unknown parameter thread"),
    (["library.py:app"], "library.py:3: JSONDecodeError: "),
    (["imports.py:handler"], "imports.py:1: ModuleNotFoundError: No module named 'no_such_module_at_all'"),
    (["app.py:hello", "--nonsense"], "unrecognized arguments: --nonsense (see --help)"),
    (["app.py:hello", "--list", "127.0.0.1:0"], "--list; the nearest known one is --listen (see --help)"),
    # Its value would be taken for APP.
    (["--bind", "8000", "app.py:hello"], "unrecognized arguments: --bind; the nearest known one is --listen"),
    (["app.py:hello", "--addr=::1"], "unrecognized arguments: --addr; the nearest known one is --listen"),
    (["app.py:hello", "-b", "0:80"], "unrecognized arguments: -b; the nearest known one is --listen"),
    (["app.py:hello", "-p8000"], "unrecognized arguments: -p8000; the nearest known one is --listen"),
    (["app.py:hello", "--worker", "4"], "--worker; the nearest known one is --workers"),
    (["app.py:hello", "--ssl-cert", "x"], "--ssl-cert; the nearest known one is --certfile"),
    (["--max-body-length", "5"], "--max-body-length; the nearest known one is --max-body-len"),
    (["app.py:hello", "--max_body_len", "5"], "--max_body_len; the nearest known one is --max-body-len"),
    (["app.py:hello", "--acces-log"], "--acces-log; the nearest known one is --access-log"),
    (["app.py:hello", "--listen"], "argument --listen: expected one argument"),
    (["app.py:hello", "--lua", "lua54"], "app.py:hello: --lua is for an application in Lua"),
    ([], "the following arguments are required: APP"),
    (["app.py:hello", "--listen", "127.0.0.1:x"], "--listen 127.0.0.1:x: impossible to parse URI"),
    (["app.py:hello", "--listen", "127.0.0.1:65536"], "--listen 127.0.0.1:65536: "),
    (["app.py:hello", "--listen", "no-such-name.invalid:80"], "unknown hostname: 'no-such-name.invalid'"),
    (["app.py:hello", "--listen", "192.0.2.1:80"], "bind error: http://192.0.2.1:80: "),
    (
        ["app.py:hello", "--listen", "https://127.0.0.1:0"],
        "--listen https://127.0.0.1:0: TLS needs --certfile FILE",
    ),
    (["app.py:hello", "--listen", "HTTPS"], "--listen HTTPS: TLS needs --certfile FILE"),
    (["app.py:hello", "--max-body-len", "50X"], "--max-body-len 50X: parameter max_body_len is not a number"),
    (["app.py:hello", "--threads", "99"], "--threads 99: threads is '99', must be an integer, 1 .. 16"),
    (["missing.lua", "--threads", "0"], "--threads 0: threads is '0', must be an integer, 1 .. 16"),
    (
        ["app.py:hello", "--default-send-window", "-1"],
        "--default-send-window -1: default_send_window is '-1', must be",
    ),
    (
        ["app.py:hello", *FREE, "--send-window", "many"],
        "--send-window many: parameter default_send_window is not",
    ),
    (["app.py:hello", *FREE, "--send-timeout", "-1"], "default_send_timeout is '-1', must be a number >= 0"),
    (
        ["app.py:hello", *FREE, "--cancel-on-half-close", "perhaps"],
        "cancel_on_half_close is 'perhaps', must be",
    ),
]


@pytest.mark.parametrize(("arguments", "told"), FAILURES, ids=[" ".join(each) for each, _ in FAILURES])
def test_what_can_not_be_started_is_told_in_one_line(folder: Path, arguments: list[str], told: str) -> None:
    """By one backend, as the code is shared; the next test goes through both."""
    status, out, err = run(command("httpng_trio", *arguments), folder)
    assert (status, out) == (2, "")
    assert err.startswith("httpng: ")
    assert told in err
    assert err.count("\n") == 1, "one line"


def test_a_port_in_use(module: str, folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        status, out, err = run(command(module, "app.py:plain", "--listen", address), folder)
    assert (status, out) == (2, "")
    assert err == f"httpng: bind error: http://{address}: Address already in use\n"


def test_a_version_of_which_a_part_is_compiled_says_so(module: str, folder: Path) -> None:
    # The folder comes first on the path of `python -m`.
    other = folder / "httpng_lua"
    other.mkdir()
    for name in ("__init__.py", f"handler{'.py' if COMPILED else EXTENSION_SUFFIXES[0]}"):
        (other / name).touch()
    told = f"httpng {__version__} (compiled in part)\n"
    assert run(command(module, "--version"), folder) == (0, told, "")


def test_version_and_help(module: str, folder: Path) -> None:
    build = "compiled" if COMPILED else "pure"
    assert run(command(module, "--version"), folder) == (0, f"httpng {__version__} ({build})\n", "")
    status, out, err = run(command(module, "--help"), folder)
    assert (status, err) == (0, "")
    for option in ("--listen ADDR:PORT", "--send-window BYTES", "--send-timeout SECONDS", "--version"):
        name, _, value = option.partition(" ")
        # Where an option has several names, Python 3.13 writes the value behind the last one only.
        assert re.search(rf"^  .*{name}(, \S+)* ?{value}", out, re.MULTILINE)
    assert ("--uvloop" in out) == (module == "httpng_asyncio")
    assert f"python -m {module}" in out


def test_trio_knows_no_uvloop(folder: Path) -> None:
    status, _, err = run(command("httpng_trio", "app.py:plain", "--uvloop"), folder)
    assert (status, err) == (
        2,
        "httpng: unrecognized arguments: --uvloop; the nearest known one is --loop (see --help)\n",
    )
