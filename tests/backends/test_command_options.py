"""What the options of the command line mean: by `main` itself, which is given a server that only looks."""

import logging
import sys
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from tests.certificates import make_pair

from httpng_core import Application
from httpng_driver import main

APP = """
from httpng_core import Application
def handler(req):
    return "hello"
app = Application(handler, max_body_len=5, threads=2)
def make():
    return app
def make_with(argument):
    return app
async def make_later():
    return app
def breaks():
    return 1 / 0
"""


class Served:
    """What `main` would have served."""

    def __init__(self) -> None:
        self.loop = ""
        self.application: Application | None = None
        self.listen: list[str] | None = None

    def run(self, loop: str) -> Any:
        def run(application: Application, *, listen: Any) -> None:
            self.loop, self.application = loop, application
            self.listen = None if listen is None else [address.url for address in listen]

        return run

    def setting(self, name: str) -> object:
        assert self.application is not None
        return getattr(self.application.settings, name)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "options_app.py").write_text(APP)
    yield tmp_path
    sys.modules.pop("options_app", None)
    logging.getLogger("httpng").setLevel(logging.NOTSET)


def serve(*arguments: str) -> Served:
    """What is served by these arguments."""
    served = Served()
    loops = {loop: served.run(loop) for loop in ("auto", "asyncio", "uvloop", "trio")}
    assert main(loops, "httpng", "0", arguments or ("options_app:app",)) == 0
    return served


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The line that tells why these can't be served."""
    try:
        status = main({"auto": print, "asyncio": print}, "httpng", "0", arguments)
    except SystemExit as error:
        status = int(str(error.code))
    assert status == 2
    told = capsys.readouterr().err
    assert told.startswith("httpng: ")
    assert told.count("\n") == 1
    return told.removeprefix("httpng: ").strip()


# Where to listen ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "urls"),
    [
        ([], None),
        (["--port", "8000"], ["http://127.0.0.1:8000"]),
        (["--host", "0.0.0.0"], ["http://0.0.0.0:3300"]),
        (["--host", "::1", "--port", "80"], ["http://[::1]:80"]),
        (["--host", "localhost", "--port=80"], ["http://localhost:80"]),
        (["--uds", "/tmp/a.sock"], ["unix:/tmp/a.sock"]),
        (
            ["--listen", "127.0.0.2:1", "--port", "2", "--uds", "a"],
            ["http://127.0.0.2:1", "http://127.0.0.1:2", "unix:a"],
        ),
    ],
)
@pytest.mark.usefixtures("folder")
def test_where_to_listen(options: list[str], urls: list[str] | None) -> None:
    assert serve("options_app:app", *options).listen == urls


@pytest.mark.usefixtures("folder")
def test_the_names_of_other_servers_for_tls() -> None:
    served = serve("options_app:app", "--ssl-certfile", "a.pem", "--ssl-keyfile", "b.pem", "--port", "1")
    assert served.listen == ["https://127.0.0.1:1"]


def test_an_encrypted_key(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from cryptography.hazmat.primitives import serialization as forms

    from httpng_core import CertificateFiles, Certificates, ConfigError, Settings, TlsFiles

    pair = make_pair(folder)
    key = Path(pair.certificate_key_file)
    private = forms.load_pem_private_key(key.read_bytes(), None)
    encryption = forms.BestAvailableEncryption(b"open sesame")
    key.write_bytes(private.private_bytes(forms.Encoding.PEM, forms.PrivateFormat.PKCS8, encryption))

    def load(password: str | None) -> object:
        files = CertificateFiles(pair.certificate_file, pair.certificate_key_file, password)
        assert "sesame" not in repr(files)
        return Certificates(TlsFiles((files,)), Settings()).context

    assert load("open sesame")
    with pytest.raises(ConfigError, match="no private key that its password opens"):
        load("wrong")
    with pytest.raises(ConfigError, match="no usable private key in it"):
        load(None)
    told = refusal(capsys, "options_app:app", "--keyfile-password", "x")
    assert told == "--keyfile-password needs --certfile"


# The loop -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "loop"),
    [([], "auto"), (["--loop", "trio"], "trio"), (["--uvloop"], "uvloop"), (["--no-uvloop"], "asyncio")],
)
@pytest.mark.usefixtures("folder")
def test_the_loop(options: list[str], loop: str) -> None:
    assert serve("options_app:app", *options).loop == loop


# Settings -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "setting", "value"),
    [
        (["--timeout-keep-alive", "2m"], "keepalive_timeout", 120),
        (["--timeout-graceful-shutdown", "5"], "shutdown_timeout", 5),
        (["--backlog", "2048"], "backlog", 2048),
        (["--limit-concurrency", "9"], "max_conn_per_thread", 9),
        (["--interface", "native"], "interface", "native"),
        (["--forwarded-allow-ips", "*"], "trusted_proxies", (ip_network("0.0.0.0/0"), ip_network("::/0"))),
        (["--http", "h11"], "http1_engine", "reference"),
        (["--http", "auto"], "http1_engine", "fast"),
        (["--ws", "none"], "ws", "none"),
        (["--ws", "wsproto"], "ws", "auto"),
        (["--header", "X-A: 1", "--header", "x-b:2"], "headers", (("x-a", "1"), ("x-b", "2"))),
        (["--max-body-len", "50M"], "max_body_len", 50 << 20),
        (["--no-access-log"], "access_log", False),
        ([], "max_body_len", 5),
    ],
)
@pytest.mark.usefixtures("folder")
def test_a_setting(options: list[str], setting: str, value: object) -> None:
    served = serve("options_app:app", *options)
    assert served.setting(setting) == value
    assert served.setting("threads") == 2, "the application's own"


# The environment ------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("folder")
def test_variables_win_over_the_application_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in {
        "LISTEN": "127.0.0.1:1, 127.0.0.2:2",
        "MAX_BODY_LEN": "1K",
        "THREADS": "3",
        "ACCESS_LOG": "yes",
        "TIMEOUT_KEEP_ALIVE": "7",
        "LOOP": "",
    }.items():
        monkeypatch.setenv(f"HTTPNG_{name}", value)
    served = serve("options_app:app", "--threads", "4")
    assert served.listen == ["http://127.0.0.1:1", "http://127.0.0.2:2"]
    found = [served.setting(name) for name in ("max_body_len", "threads", "access_log", "keepalive_timeout")]
    assert found == [1024, 4, True, 7]


def test_a_file_of_variables(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPNG_BACKLOG", "11")
    names = ("THREADS", "BACKLOG", "SEND_WINDOW", "LOOP", "UDS")
    for name in names[2:]:
        monkeypatch.setenv(f"HTTPNG_{name}", "")
        monkeypatch.delenv(f"HTTPNG_{name}")
    monkeypatch.setenv("HTTPNG_THREADS", "")
    monkeypatch.delenv("HTTPNG_THREADS")
    (folder / ".env").write_text(
        "# a comment\n\nexport HTTPNG_THREADS=3\nHTTPNG_BACKLOG = 12\n"
        "HTTPNG_SEND_WINDOW='64K' # for this\nHTTPNG_UDS=\"a # b\"\nHTTPNG_LOOP=trio   # that\n"
    )
    served = serve("options_app:app", "--env-file", ".env")
    assert [served.setting(name) for name in ("threads", "backlog", "default_send_window")] == [3, 11, 65536]
    assert (served.listen, served.loop) == (["unix:a # b"], "trio")


# The log --------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("folder")
def test_the_level_of_the_log() -> None:
    serve("options_app:app", "--log-level", "warning")
    assert logging.getLogger("httpng").level == logging.WARNING


@pytest.mark.parametrize("name", ["log.json", "log.toml", "log.ini"])
def test_the_log_is_configured_by_a_file(folder: Path, name: str) -> None:
    texts = {
        "log.json": '{"version": 1, "loggers": {"httpng": {"level": "ERROR"}}}',
        "log.toml": 'version = 1\n[loggers.httpng]\nlevel = "ERROR"\n',
        "log.ini": (
            "[loggers]\nkeys=root,httpng\n[handlers]\nkeys=\n[formatters]\nkeys=\n[logger_root]\nhandlers=\n"
            "[logger_httpng]\nqualname=httpng\nlevel=ERROR\nhandlers=\n"
        ),
    }
    (folder / name).write_text(texts[name])
    serve("options_app:app", "--log-config", name)
    assert logging.getLogger("httpng").level == logging.ERROR
    assert not logging.getLogger("httpng.access").disabled


# APP ------------------------------------------------------------------------------------------------------


def test_a_factory_and_a_folder_of_modules(folder: Path) -> None:
    (folder / "inner").mkdir()
    (folder / "options_app.py").rename(folder / "inner" / "options_app.py")
    served = serve("options_app:make", "--factory", "--app-dir", "inner")
    assert served.setting("max_body_len") == 5


# Mistakes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--port", "x"], "--port x: a port is a number, 0 .. 65535"),
        (["--port", "65536"], "--port 65536: invalid port specified: listen = '127.0.0.1:65536'"),
        (["--host", "a b"], "--host a b: impossible to parse URI: listen = 'a b'"),
        (["--host", "::1", "--port", "1", "--listen", "[::1]:1"], "Duplicate listeners for [::1]:1 found"),
        (["--ssl-keyfile", "x"], "--ssl-keyfile needs --certfile"),
        (["--ssl-certfile", "x", "--listen", "http://:1"], "--ssl-certfile: every address is plain text"),
        (["--loop", "trio"], "--loop trio: the loops are auto, asyncio"),
        (["--http", "httptool"], "--http httptool: http1_engine is 'httptool', must be fast or reference"),
        (["--header", "x"], "--header x: headers must be a table of header names and values, texts both, or"
         " lines 'Name: value'"),
        (["--log-level", "loud"], "--log-level loud: it must be one of critical, error, warning, info, debug,"
         " trace"),
        (["--log-config", "no.json"], "--log-config no.json: No such file or directory"),
        (["--log-config", "log.yaml"], "--log-config log.yaml: YAML isn't read: write it as JSON or TOML"),
        (["--env-file", "no.env"], "--env-file no.env: No such file or directory"),
        (["--env-file", "bad.env"], "bad.env:2: a line must be NAME=VALUE, not 'HTTPNG_THREADS'"),
        (["--app-dir", "no"], "--app-dir no: there is no such folder"),
        (["--factory"], "options_app:app: --factory needs a plain function without arguments"),
        (["options_app:make_later", "--factory"], "options_app:make_later: --factory needs a plain function"
         " without arguments"),
        (["--max-body-len", "50X"], "--max-body-len 50X: parameter max_body_len is not a number"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_in_a_line(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    (folder / "bad.env").write_text("A=b\nHTTPNG_THREADS\n")
    (folder / "log.yaml").write_text("version: 1\n")
    app = [] if arguments[0].startswith("options_app") else ["options_app:app"]
    assert refusal(capsys, *app, *arguments) == told


def test_what_a_factory_raises_is_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = refusal(capsys, "options_app:breaks", "--factory")
    assert told == f"{folder}/options_app.py:13: ZeroDivisionError: division by zero"
    told = refusal(capsys, "options_app:make_with", "--factory")
    assert told.endswith("TypeError: make_with() missing 1 required positional argument: 'argument'")


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        (
            "ACCESS_LOG",
            "perhaps",
            "HTTPNG_ACCESS_LOG=perhaps: it must be on or off (1 or 0, true or false, yes or no)",
        ),
        ("THREADS", "99", "HTTPNG_THREADS=99: threads is '99', must be an integer, 1 .. 16"),
        ("PORT", "tcp://10.0.0.1:80", "HTTPNG_PORT=tcp://10.0.0.1:80: a port is a number, 0 .. 65535"),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("folder")
def test_a_mistake_in_a_variable_names_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, variable: str, value: str, told: str
) -> None:
    monkeypatch.setenv(f"HTTPNG_{variable}", value)
    assert refusal(capsys, "options_app:app") == told
