"""Core reads no clock and touches no socket: whole exchanges, with everything of that kind made to raise."""

import gc
import logging
import select
import socket
import threading
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.certificates import make_pair, trusting

from httpng_core import (
    Certificates,
    Connection,
    ExchangeEnded,
    GeneratorIO,
    Request,
    RequestReceived,
    Response,
    Settings,
    TlsFiles,
)
from httpng_core.testing import Loopback, TlsEnd

CLOCKS = [
    "clock_gettime",
    "clock_gettime_ns",
    "monotonic",
    "monotonic_ns",
    "perf_counter",
    "perf_counter_ns",
    "process_time",
    "process_time_ns",
    "thread_time",
    "thread_time_ns",
    "time",
    "time_ns",
]
NOW = ["asctime", "ctime", "gmtime", "localtime", "strftime"]
READY = ["epoll", "kqueue", "poll", "select"]


def forbidden(function: Callable[..., Any] | None) -> Callable[..., Any]:
    """Return what raises in this thread in place of `function`; of other threads, core has none."""
    here = threading.get_ident()

    def guard(*args: Any, **kwargs: Any) -> Any:
        if function is None or threading.get_ident() == here:
            raise AssertionError("core did I/O, slept or read a clock")
        return function(*args, **kwargs)

    return guard


@pytest.fixture
def no_io(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    # A log record has the time on it; that is logging's affair, not core's.
    logging.disable()
    with monkeypatch.context() as patched:
        for module, names in (
            (socket, ["socket", "create_connection"]),
            (select, READY),
            (time, [*CLOCKS, *NOW, "sleep"]),
        ):
            for name in names:
                guard = forbidden(getattr(module, name, None))
                patched.setattr(module, name, guard, raising=module is not select)
        yield
    logging.disable(logging.NOTSET)


def test_every_clock_of_the_time_module_is_forbidden() -> None:
    """No function of a later Python that reads a clock may be missing above."""
    named = [name for name in dir(time) if name.endswith(("time", "counter", "monotonic", "_ns"))]
    harmless = {"mktime", "clock_settime", "clock_settime_ns", "strptime"}
    assert set(named) - {"struct_time"} - harmless <= {*CLOCKS, *NOW}


def test_a_forbidden_call_is_seen(no_io: None) -> None:
    for call in (time.monotonic, time.time, lambda: time.sleep(0), select.poll, socket.socket):
        with pytest.raises(AssertionError, match="core did I/O"):
            call()


def handler(req: Request, io: GeneratorIO) -> Generator[Any, Any, object]:
    if req.path == "/returned":
        return Response(status=404, body=b"n" * 100_000)
    if req.path == "/raises":
        raise RuntimeError
    yield io.write_header(200, {"x": "y"})
    yield io.write(b"a" * 100)
    yield io.write(b"b" * 200_000, timeout=1)
    yield io.wait(0, timeout=1)
    io.get_send_stats()
    if req.path == "/endless":
        while (yield io.write(b"c" * 5_000)) is None:
            pass
    io.close()
    return None


def test_whole_exchanges(no_io: None) -> None:
    loop = Loopback(handler, default_send_window=1000)
    fast, slow, gone, late = (loop.connect(room) for room in (1e9, 500, 500, 0))
    for path in ("/a", "/returned", "/raises", "/a?b"):
        fast.get(path)
    fast.send(b"POST / HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n")
    fast.send(b"abc")
    fast.send(b"nonsense\r\n\r\n")
    slow.get("/a")
    gone.get("/endless")
    late.send(b"GET / HT")
    for _ in range(20):
        loop.advance(0.4)
        slow.give_room(20_000)
    gone.reset()
    loop.advance(200)
    statuses = [response.status for response in fast.responses("GET", "GET", "GET", "GET", "POST", "GET")]
    assert statuses == [200, 404, 500, 200, 200, 400]
    assert len(loop.exchanges) == 7
    assert all(exchange.is_over for exchange in loop.exchanges)


def test_a_connection_by_hand(no_io: None) -> None:
    connection = Connection(Settings(), 0.0)
    connection.receive_data(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", 1.0)
    event = connection.next_event()
    assert isinstance(event, RequestReceived)
    event.exchange.write(b"abc", 2.0)
    event.exchange.finish(3.0)
    while connection.wants_write:
        wire = b"".join(connection.data_to_send(4.0))
        connection.bytes_accepted(min(len(wire), 7), 4.0)
    ended = connection.next_event()
    assert isinstance(ended, ExchangeEnded)
    assert (ended.outcome, ended.seconds) == ("complete", 3.0)
    connection.handle_timeout(1e9)
    assert connection.close_expected()


@pytest.fixture
def sealed(tmp_path: Path) -> tuple[Certificates, TlsEnd]:
    """A certificate, and a client that trusts it: made while the clock may still be read."""
    pair = make_pair(tmp_path)
    end = TlsEnd(trusting(pair), server_side=False, server_hostname="localhost")
    return Certificates(TlsFiles((pair,), uses_sni=True), Settings()), end


def test_whole_exchanges_over_tls(sealed: tuple[Certificates, TlsEnd], no_io: None) -> None:
    certificates, end = sealed
    certificates.context = certificates.load()
    loop = Loopback(handler, certificates=certificates, default_send_window=1000)
    client = loop.connect(room=3000, tls=end)
    client.get("/a")
    for _ in range(20):
        loop.advance(0.4)
        client.give_room(20_000)
    client.say_all()
    loop.advance(200)
    assert client.responses()[0].status == 200
    assert client.said_all
    assert all(exchange.is_over for exchange in loop.exchanges)


def test_nothing_is_left_over_that_would_do_it_later(no_io: None) -> None:
    loop = Loopback(handler, default_send_window=1000)
    loop.connect(room=10).get("/endless")
    loop.runner.close()
    del loop
    gc.collect()
