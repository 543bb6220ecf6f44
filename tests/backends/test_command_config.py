"""`--config`: options and sites in a file, what wins over what, and what can be asked of it."""

import tomllib
from pathlib import Path

import pytest
from tests.backends.test_command_options import Served, folder, refusal, serve
from tests.certificates import make_pair

from httpng_core.testing import Loopback
from httpng_driver import main

__all__ = ["folder"]

APP = """
from httpng_core import Application
def handler(req):
    return f"the rest {req.path}"
def api(req):
    return "the interface"
app = Application(handler, threads=2)
"""
CONFIG = """
app = "options_app:handler"
listen = ["127.0.0.1:1", {addr = "127.0.0.1", port = 2}, {addr = "unix:/tmp/a.sock", mode = "660"}]
max_body_len = "50M"
timeout_keep_alive = "2m"
threads = 3
access_log = true
http = "h11"

[headers]
x-a = "b"

[[sites]]
path = "/files"
handler = "www"
index = "index.html"

[[sites]]
path = "/api"
handler = "options_app:api"
"""


@pytest.fixture
def config(folder: Path) -> Path:
    (folder / "options_app.py").write_text(APP)
    (folder / "www").mkdir()
    (folder / "www" / "index.html").write_text("the index")
    (folder / "httpng.toml").write_text(CONFIG)
    return folder / "httpng.toml"


def lines(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What is printed; nothing is served."""
    served = Served()
    assert main({"auto": served.run("auto")}, "httpng", "0", arguments) == 0
    assert served.application is None
    told = capsys.readouterr()
    assert told.err == ""
    return told.out


@pytest.mark.usefixtures("config")
def test_a_whole_server_in_a_file() -> None:
    served = serve("--config", "httpng.toml")
    assert served.listen == ["http://127.0.0.1:1", "http://127.0.0.1:2", "unix:/tmp/a.sock"]
    names = ("max_body_len", "keepalive_timeout", "threads", "access_log", "http1_engine", "headers")
    found = [served.setting(name) for name in names]
    assert found == [50 << 20, 120, 3, True, "reference", (("x-a", "b"),)]
    assert served.application is not None
    assert [site.path for site in served.application.sites] == ["/files", "/api", "/"]
    assert served.application.sites[0].directory
    client = Loopback(served.application).connect()
    for path in ("/api", "/other"):
        client.get(path)
    assert [one.body for one in client.responses()] == [b"the interface", b"the rest /other"]


@pytest.mark.usefixtures("config")
def test_the_command_line_wins_over_variables_these_over_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPNG_CONFIG", "httpng.toml")
    monkeypatch.setenv("HTTPNG_THREADS", "4")
    monkeypatch.setenv("HTTPNG_MAX_BODY_LEN", "4K")
    served = serve("--threads", "5", "--no-access-log", "--listen", "127.0.0.1:9")
    names = ("threads", "max_body_len", "access_log", "keepalive_timeout")
    assert [served.setting(name) for name in names] == [5, 4096, False, 120]
    assert served.listen == ["http://127.0.0.1:9"]


def test_the_file_wins_over_the_application_and_app_over_the_file(config: Path) -> None:
    config.write_text('app = "nothing:here"\nmax_body_len = 7\nport = 8000\nfactory = false\n')
    served = serve("--config", "httpng.toml", "options_app:app")
    assert [served.setting("threads"), served.setting("max_body_len")] == [2, 7]
    assert served.listen == ["http://127.0.0.1:8000"]


def test_sites_alone(config: Path) -> None:
    config.write_text('[[sites]]\npath = "/"\nhandler = "www"\n')
    served = serve("--config", "httpng.toml")
    assert served.application is not None
    assert [site.path for site in served.application.sites] == ["/"]


def test_a_file_of_variables_may_be_named_in_it(config: Path) -> None:
    (config.parent / ".env").write_text("HTTPNG_THREADS=6\n")
    config.write_text('app = "options_app:app"\nenv_file = ".env"\nthreads = 3\n')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HTTPNG_THREADS", "")
        patch.delenv("HTTPNG_THREADS")
        assert serve("--config", "httpng.toml").setting("threads") == 6


# Looking at it --------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("config")
def test_checked_and_not_served(capsys: pytest.CaptureFixture[str]) -> None:
    assert lines(capsys, "--config", "httpng.toml", "--check-config") == (
        "httpng: the configuration is right\n"
    )


def test_a_check_looks_at_certificates_and_directories(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = refusal(capsys, "options_app:app", "--certfile", "no.pem", "--check-config")
    assert told == "can't bind certificate file to ssl_ctx: no.pem: No such file or directory"
    pair = make_pair(config.parent)
    files = ("--certfile", pair.certificate_file, "--keyfile", pair.certificate_key_file)
    assert "is right" in lines(capsys, "options_app:app", *files, "--check-config")
    config.write_text('[[sites]]\npath = "/"\nhandler = "gone"\n')
    assert "can't serve the directory" in refusal(capsys, "--config", "httpng.toml", "--check-config")


def test_a_script_is_checked_without_listening(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = "require 'httpng'.cfg{handler = function() end, listen = '192.0.2.1:80', threads = 2}"
    (folder / "app.lua").write_text(script)
    assert "is right" in lines(capsys, "app.lua", "--check-config")
    told = lines(capsys, "app.lua", "--print-config")
    assert 'listen = ["http://192.0.2.1:80"]' in told
    assert tomllib.loads(told)["threads"] == 2


@pytest.mark.usefixtures("config")
def test_what_is_printed_tells_who_says_so_and_is_toml(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPNG_BODY_TIMEOUT", "infinity")
    told = lines(capsys, "options_app:app", "--print-config", "--max-body-len", "1K", "--port", "1")
    found = {line.split(" = ")[0]: " ".join(line.split()) for line in told.splitlines()}
    assert found["app"] == 'app = "options_app:app" # the command line'
    assert found["listen"] == 'listen = ["http://127.0.0.1:1"] # --port'
    assert found["max_body_len"] == "max_body_len = 1024 # --max-body-len"
    assert found["body_timeout"] == "body_timeout = inf # HTTPNG_BODY_TIMEOUT"
    assert found["threads"] == "threads = 2 # the application"
    assert found["backlog"] == "backlog = 1024 # default"
    again = tomllib.loads(told)
    assert (again["threads"], again["sites"][0]["path"]) == (2, "/")


@pytest.mark.usefixtures("config")
def test_what_is_printed_can_be_read_again(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = lines(capsys, "--config", "httpng.toml", "--print-config")
    kept, _, _ = told.partition("[[sites]]")
    (folder / "again.toml").write_text(kept)
    again = lines(capsys, "--config", "again.toml", "--print-config")
    assert tomllib.loads(again) | {"sites": 0} == tomllib.loads(told) | {"sites": 0}


@pytest.mark.usefixtures("config")
def test_places_networks_and_headers_are_printed_as_they_are_written(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written = """
app = "options_app:handler"
listen = [{addr = "127.0.0.1", port = 2, proxy_protocol = true}, {addr = "unix:/tmp/a.sock", mode = "660"}]
trusted_proxies = ["10.0.0.0/8", "::1"]

[headers]
x-a = "b"
"""
    (folder / "places.toml").write_text(written)
    told = lines(capsys, "--config", "places.toml", "--print-config")
    found, given = tomllib.loads(told), tomllib.loads(written)
    first, second = found["listen"]
    assert (first["addr"], first["port"], first["proxy_protocol"]) == ("127.0.0.1", 2, True)
    assert (second["addr"], second["mode"]) == ("unix:/tmp/a.sock", "660")
    assert found["trusted_proxies"] == ["10.0.0.0/8", "::1/128"]
    assert found["headers"] == ["x-a: b"]
    assert found["app"] == given["app"]


# Mistakes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("max_bodylen = 5", "httpng.toml: unknown key max_bodylen; the nearest known one is max_body_len"),
        ("bind = '0:1'", "httpng.toml: unknown key bind; the nearest known one is listen"),
        ("config = 'x'", "httpng.toml: unknown key config; the nearest known one is "),
        ("max_body_len = '50X'",
         "httpng.toml: max_body_len = '50X': parameter max_body_len is not a number"),
        ("threads = 99", "httpng.toml: threads = 99: threads is 99, must be an integer, 1 .. 16"),
        ("threads = [1]", "httpng.toml: threads = [1]: it must be a text or a number"),
        ("access_log = 'yes'", "httpng.toml: access_log = 'yes': it must be true or false"),
        ("app = 5", "httpng.toml: app = 5: it must be a text, as APP on the command line"),
        ("listen = {adr = 'x'}", "httpng.toml: listen = {'adr': 'x'}: unknown parameter adr in listen; the"
         " nearest known one is addr"),
        ("listen = '127.0.0.1:x'", "httpng.toml: listen = '127.0.0.1:x': impossible to parse URI"),
        ("port = 'x'", "httpng.toml: port = 'x': a port is a number, 0 .. 65535"),
        ("headers = {date = 'now'}", "httpng.toml: headers = {'date': 'now'}: headers: date is the server's"),
        ("sites = {path = '/'}", "httpng.toml: sites = {'path': '/'}: sites are tables: write [[sites]]"),
        ("[[sites]]\npth = '/'\npath = '/a'\nhandler = 'www'",
         "httpng.toml: unknown parameter pth in sites; the nearest known one is path"),
        ("[[sites]]\npath = '/a'\nhandler = 'options_app:no'",
         "httpng.toml: options_app: it has no handler 'no'"),
        ("send_window = 1\ndefault_send_window = 2",
         "httpng.toml: default_send_window = 2: httpng.toml: send_window says the same: give one of them"),
        ("x = ?", "httpng.toml: Invalid value (at line 1, column 5)"),
    ],
)  # fmt: skip
def test_a_mistake_names_the_file_the_key_and_the_value(
    config: Path, capsys: pytest.CaptureFixture[str], text: str, told: str
) -> None:
    config.write_text(text)
    assert refusal(capsys, "options_app:handler", "--config", "httpng.toml").startswith(told)


def test_mistakes_beside_it(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refusal(capsys, "--config", "no.toml") == "--config no.toml: No such file or directory"
    assert refusal(capsys, "options_app:app", "--config", "httpng.toml") == (
        "options_app:app: an Application has its own settings: sites can't be given beside"
    )
    (config.parent / "app.lua").write_text("")
    told = refusal(capsys, "app.lua", "--config", "httpng.toml")
    assert told == "app.lua: a script names its sites itself, in its cfg"
    config.write_text("threads = 1")
    told = refusal(capsys, "--config", "httpng.toml")
    assert told == "the following arguments are required: APP (see --help)"


@pytest.mark.usefixtures("config")
def test_a_variable_that_means_nothing_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("HTTPNG_TREADS", "4")
    serve("options_app:app")
    assert "HTTPNG_TREADS means nothing; the nearest that does is HTTPNG_THREADS" in caplog.text
