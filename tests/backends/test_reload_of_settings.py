"""SIGHUP to a process without workers: its settings are read again, from the command line and its file."""

import signal
import sys
from pathlib import Path

import pytest
from tests.backends.test_command_line import Running, running
from tests.driver.harness import Client

APP = "def app(req):\n    return req.body or 'nothing'\n"
SCRIPT = "require('httpng').cfg{handler = function(req) return req.body end, max_body_len = 5}\n"
TABLE = 'app = "{app}"\nlisten = "127.0.0.1:0"\n'


@pytest.fixture(params=["app.py:app", "app.lua"])
def config(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "app.lua").write_text(SCRIPT)
    file = tmp_path / "httpng.toml"
    file.write_text(TABLE.format(app=request.param) + "max_body_len = 2\n")
    return file


def status(client: Client, body: bytes) -> int:
    client.send(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
    return client.read_response().status


def reload(server: Running, file: Path, text: str) -> str:
    """The line that says what came of it."""
    file.write_text(text)
    server.process.send_signal(signal.SIGHUP)
    return server.line().partition(" ")[2].partition(" ")[2]


def test_settings_are_read_again_all_or_nothing(config: Path) -> None:
    first = config.read_text()
    with (
        running(
            [sys.executable, "-m", "httpng", "--config", "httpng.toml", "--max-fields", "9"], config.parent
        ) as server,
        Client(server.addresses[0]) as client,
    ):
        assert status(client, b"ab") == 200
        wider = first.replace("max_body_len = 2", "max_body_len = 3")
        assert "INFO httpng: settings reloaded" in reload(server, config, wider)
        # On a connection that was open before, too.
        assert status(client, b"abc") == 200
        wrong = reload(server, config, wider.replace("= 3", "= 4\nheader_timeout = -1"))
        assert "ERROR httpng: the old settings stay: httpng.toml: header_timeout = -1" in wrong
        fixed = reload(server, config, wider.replace("= 3", "= 4\nbacklog = 7"))
        assert "ERROR httpng: the old settings stay: " in fixed
        assert "backlog" in fixed
        assert status(client, b"abc") == 200
        assert "the settings are as they were" in reload(server, config, wider)
        assert status(client, b"abcd") == 413


def test_what_is_no_setting_is_named_and_waits_for_a_new_process(config: Path) -> None:
    with running([sys.executable, "-m", "httpng", "--config", "httpng.toml"], config.parent) as server:
        other = 'app = "app.py:gone"\nlisten = ["127.0.0.1:1"]\nmax_body_len = 3\n'
        assert "WARNING httpng: app, listen: what is new there" in reload(server, config, other)
        assert "settings reloaded" in server.line()
        with Client(server.addresses[0]) as client:
            assert status(client, b"abc") == 200
        assert server.stop() == ""


def test_a_setting_that_is_named_no_more_is_the_application_s_own(config: Path) -> None:
    table = config.read_text().replace("max_body_len = 2\n", "")
    with running([sys.executable, "-m", "httpng", "--config", "httpng.toml"], config.parent) as server:
        assert "settings reloaded" in reload(server, config, table)
        with Client(server.addresses[0]) as client:
            assert status(client, b"abcde") == 200
        assert server.stop() == ""
