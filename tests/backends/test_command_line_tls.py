"""TLS from the command line: what --certfile means for each --listen, and reloading on SIGHUP."""

import signal
import ssl
from pathlib import Path

import pytest
from tests.backends.test_command_line import command, run, running
from tests.certificates import make_pair, trusting
from tests.driver.harness import Client
from tests.driver.test_tls import get_over

from httpng_core import ListenAddress

APP = """
def app(req):
    return f"https {req.https}"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(APP)
    return tmp_path


@pytest.fixture(params=["httpng_asyncio", "httpng_trio"])
def module(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_tls_and_plain_text_side_by_side(module: str, folder: Path) -> None:
    pair = make_pair(folder)
    files = ["--certfile", pair.certificate_file, "--keyfile", pair.certificate_key_file]
    listen = ["--listen", "127.0.0.1:0", "--listen", "http://127.0.0.1:0", "--listen", "https://127.0.0.1:0"]
    with running(command(module, "app.py:app", *files, *listen), folder, listeners=3) as server:
        schemes = [line.split("://")[0].rpartition(" ")[2] for line in server.lines]
        assert schemes == ["https", "http", "https"]
        for listener in (0, 2):
            assert get_over(trusting(pair), server.addresses[listener]).endswith(b"https True")
        assert server.ask(1) == b"https False"
        assert server.stop() == ""


def test_one_file_for_both_and_a_reload(module: str, folder: Path) -> None:
    pair = make_pair(folder)
    both = folder / "both.pem"

    def publish() -> ssl.SSLContext:
        texts = [Path(file).read_text() for file in (pair.certificate_file, pair.certificate_key_file)]
        both.write_text("".join(texts))
        return trusting(pair)

    old = publish()
    arguments = command(module, "app.py:app", "--certfile", "both.pem", "--listen", "127.0.0.1:0")
    with running(arguments, folder) as server:
        assert get_over(old, server.addresses[0])
        both.write_text("junk")
        server.process.send_signal(signal.SIGHUP)
        stays = "ERROR httpng: the old certificates stay: can't bind certificate file to ssl_ctx: "
        assert server.line().endswith(f" {stays}both.pem: no certificate in it\n")
        assert get_over(old, server.addresses[0])
        make_pair(folder)
        new = publish()
        server.process.send_signal(signal.SIGHUP)
        assert server.line().endswith(" INFO httpng: certificates reloaded\n")
        assert get_over(new, server.addresses[0])
        assert server.stop() == ""


def test_a_script_that_starts_again_with_tls(module: str, folder: Path) -> None:
    """It says where it listens each time, and SIGHUP reloads from then on."""
    pair = make_pair(folder)
    (folder / "app.lua").write_text(f"""
        local httpng, fiber = require 'httpng', require 'fiber'
        local function handler(req)
          _G.again = req.path == '/again'
          return tostring(req.https)
        end
        httpng.cfg{{listen = '127.0.0.1:0', handler = handler}}
        while not again do fiber.sleep(0.001) end
        httpng.shutdown()
        local tls = {{{{certificate_file = {pair.certificate_file!r},
          certificate_key_file = {pair.certificate_key_file!r}}}}}
        httpng.cfg{{listen = {{{{addr = '127.0.0.1', port = 0, tls = tls}}}}, handler = handler}}
    """)
    with running(command(module, "app.lua"), folder) as server:
        assert server.ask(0) == b"nil"
        with Client(server.addresses[0]) as client:
            client.request("/again")
            # It is reset, before it is answered or after.
            line = server.line()
        assert line.startswith("httpng: listening on https://127.0.0.1:")
        address = ListenAddress("127.0.0.1", int(line.rpartition(":")[2]))
        assert get_over(trusting(pair), address).endswith(b"true")
        server.process.send_signal(signal.SIGHUP)
        assert server.line().endswith(" INFO httpng: certificates reloaded\n")
        assert get_over(trusting(pair), address).endswith(b"true")
        assert server.stop() == ""


def test_a_unix_socket(module: str, folder: Path) -> None:
    arguments = command(module, "app.py:app", "--listen", "unix:a.sock", "--listen", "127.0.0.1:0")
    with running(arguments[:-2], folder, listeners=0) as server:
        assert server.line() == "httpng: listening on unix:a.sock\n"
        assert (folder / "a.sock").is_socket()
        assert server.stop() == ""
    assert not (folder / "a.sock").exists()


def test_tls_where_the_command_line_names_no_address(folder: Path) -> None:
    """The default of the command line, not the script's own address."""
    pair = make_pair(folder)
    (folder / "app.lua").write_text("require 'httpng'.cfg{listen = '192.0.2.1:1', handler = function() end}")
    files = ["--certfile", pair.certificate_file, "--keyfile", pair.certificate_key_file]
    with running(command("httpng_trio", "app.lua", *files), folder, listeners=0) as server:
        line = server.line()
        if "Address already in use" in line:
            pytest.skip("port 3300 is taken")
        assert line == "httpng: listening on https://127.0.0.1:3300\n"
        assert get_over(trusting(pair), ListenAddress("127.0.0.1", 3300))
        assert server.stop() == ""


FAILURES = [
    (["--keyfile", "k"], "--keyfile needs --certfile"),
    (["--certfile", "c", "--listen", "http://127.0.0.1:0"], "--certfile: every address is plain text"),
    (["--listen", "https://127.0.0.1:0"], "--listen https://127.0.0.1:0: TLS needs --certfile FILE"),
    (
        ["--certfile", "none.pem", "--listen", "127.0.0.1:0"],
        "can't bind certificate file to ssl_ctx: none.pem: No such file or directory",
    ),
    (["--min-proto-version", "tls9"], "--min-proto-version tls9: unknown min_proto_version specified"),
    (["--openssl-security-level", "9"], "--openssl-security-level 9: openssl_security_level is invalid"),
    (["--listen", "unix:"], "--listen unix:: impossible to parse URI"),
]


@pytest.mark.parametrize(("arguments", "told"), FAILURES, ids=[" ".join(each) for each, _ in FAILURES])
def test_what_can_not_be_started_is_told_in_one_line(folder: Path, arguments: list[str], told: str) -> None:
    status, out, err = run(command("httpng_trio", "app.py:app", *arguments), folder)
    assert (status, out) == (2, "")
    assert err.startswith(f"httpng: {told}")
    assert err.count("\n") == 1
