"""Lines of the log that strangers can cause are few, and those that aren't written are counted."""

import logging
from pathlib import Path

import pytest
from tests.certificates import make_pair

from httpng_core import Certificates, Settings, TlsFiles
from httpng_core.testing import Loopback

BAD = b"nonsense\r\n\r\n"


def refuse(loop: Loopback, count: int) -> None:
    for _ in range(count):
        client = loop.connect()
        client.send(BAD)
        loop.settle()


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "httpng"]


def test_ten_lines_a_second_and_how_many_more(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    loop = Loopback(lambda req: "x")
    refuse(loop, 25)
    assert len(told(caplog)) == 10
    loop.advance(1)
    assert told(caplog)[10:] == ["refused a request of ... and 15 more"]


def test_each_second_has_lines_of_its_own(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    loop = Loopback(lambda req: "x")
    for _ in range(3):
        refuse(loop, 4)
        loop.advance(1)
    assert len(told(caplog)) == 12
    assert all("more" not in line for line in told(caplog))


@pytest.mark.parametrize("first", [b"\x16\x03\x01\x00\x05hello", BAD], ids=["no TLS", "plain text"])
def test_a_flood_of_failed_handshakes_is_a_few_lines_and_a_count(
    caplog: pytest.LogCaptureFixture, tmp_path: Path, first: bytes
) -> None:
    caplog.set_level(logging.INFO)
    certificates = Certificates(TlsFiles((make_pair(tmp_path),)), Settings())
    loop = Loopback(lambda req: "x")
    for _ in range(25):
        connection = loop.application.connection(loop.clock.now, certificates=certificates)
        connection.receive_data(first, loop.clock.now)
        loop.runner.serve(connection)
    assert len(told(caplog)) == 10
    loop.advance(1)
    assert told(caplog)[10:] == ["TLS with ... and 15 more"]


def test_a_log_that_is_off_costs_no_timer(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    loop = Loopback(lambda req: "x")
    refuse(loop, 25)
    assert loop.runner.next_deadline() is None
    assert told(caplog) == []


def test_a_long_path_is_cut_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    loop = Loopback(lambda req: "x", access_log=True)
    client = loop.connect()
    client.get("/" + "a" * 50_000)
    loop.settle()
    lines = [record.getMessage() for record in caplog.records if record.name == "httpng.access"]
    assert len(lines) == 1
    assert "aaa..." in lines[0]
    assert len(lines[0]) < 500
