"""The log of the command line: it never holds the server up, and no line comes twice."""

import http.client
import logging
import os
import re
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from httpng_driver.command import LogOutput

APP = """
import logging, sys
if "configured" in sys.argv[-1]:
    logging.basicConfig(format="MINE %(message)s", level=logging.INFO)

def handler(req):
    logging.getLogger("app").info("asked for %s", req.path)
    return "whole"
"""


@contextmanager
def served(tmp_path: Path, app: str, **streams: Any) -> Iterator[tuple["subprocess.Popen[bytes]", int]]:
    """The command line serves `app` at a port that is free; it is ended by SIGTERM."""
    (tmp_path / app).write_text(APP)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "httpng_asyncio", "--listen", f"127.0.0.1:{port}", f"{app}:handler"]
    with subprocess.Popen(command, cwd=tmp_path, **streams) as process:
        try:
            yield process, port
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(10)


def ask(port: int, path: str = "/") -> bytes:
    """The answer to a request; the server may only just be starting."""
    for _ in range(200):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("GET", path)
            return connection.getresponse().read()
        except ConnectionRefusedError:
            select_a_while()
        finally:
            connection.close()
    raise AssertionError("the server doesn't start")


def select_a_while() -> None:
    """Wait for a port that another process has yet to open: there is no event to wait for."""
    select.select([], [], [], 0.05)


def test_lines_have_a_time_stamp(tmp_path: Path) -> None:
    with served(tmp_path, "app.py", stderr=subprocess.PIPE) as (process, port):
        assert ask(port, "/x") == b"whole"
        assert process.stderr is not None
        process.stderr.readline()
        line = process.stderr.readline().decode()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} INFO app: asked for /x\n", line)


def test_an_application_that_configures_logging_gets_each_line_once(tmp_path: Path) -> None:
    with served(tmp_path, "configured.py", stderr=subprocess.PIPE) as (process, port):
        assert ask(port, "/x") == b"whole"
        process.send_signal(signal.SIGTERM)
        assert process.stderr is not None
        lines = process.stderr.read().decode().splitlines()
    assert [line for line in lines if "asked for /x" in line] == ["MINE asked for /x"]


def test_a_stderr_that_nobody_reads_holds_nothing_up(tmp_path: Path) -> None:
    with served(tmp_path, "app.py", stderr=subprocess.PIPE) as (_, port):
        # A pipe holds 64 KiB.
        for number in range(60):
            assert ask(port, f"/{number}" + "x" * 4000) == b"whole"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has /dev/full")
def test_a_full_disk_behind_stderr_is_no_reason_not_to_serve(tmp_path: Path) -> None:
    with open("/dev/full", "wb") as full, served(tmp_path, "app.py", stderr=full) as (process, port):
        assert ask(port) == b"whole"
        assert process.poll() is None


def test_what_is_left_out_is_counted() -> None:
    reader, writer = os.pipe()
    root = logging.getLogger()
    handlers, root.handlers = root.handlers, []
    try:
        with LogOutput(writer) as output:
            os.set_blocking(writer, True)
            # More than the 10,000 that wait and those that a pipe holds.
            for number in range(12_000):
                logging.getLogger("app").warning("%d %s", number, "x" * 200)
                output.flush()
            told = b""
            while b"left out" not in told:
                told += os.read(reader, 1 << 16)
    finally:
        root.handlers = handlers
        os.close(reader)
        os.close(writer)
    assert re.search(rb"\.\.\. \d+ lines were left out", told)
