"""How many Python calls the core makes for the commonest things: what doesn't depend on the machine.

Counted by `sys.setprofile` are calls of Python functions of the core's modules, generated ones as well, and
among them what a driver asks when a connection has come to rest. Those of a compiled core can't be seen.
Counted is what most rounds take: in one, when a second ends, the line with the date is made anew.
Where a number goes down, its limit goes down with it.
"""

import sys
from collections.abc import Callable
from itertools import count
from statistics import mode
from types import FrameType
from typing import Any

from bench.core_driver import CoreDriver

from httpng_core.testing import Http2Client

# At most; the goal was 60, 45 and 80.
HELLO_OVER_HTTP1 = 40
HELLO_WHOSE_HEADERS_CHANGE = 42
WRITE_OF_1_KB = 30
HELLO_OVER_HTTP2 = 48

CORE = "httpng_core."
REQUEST = b"GET /hello HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n"
CHANGING = b"GET /hello HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nX-Request-Id: %016d\r\nAccept: */*\r\n\r\n"
TIMES = 20


def hello(request: object) -> dict[str, Any]:
    return {"status": 200, "headers": {"content-type": "text/plain"}, "body": b"Hello, world!\n"}


def calls_in_core(run: Callable[[], object], within: str = CORE) -> int:
    """How many functions are called, of core or of the modules whose names begin as told."""
    calls = 0

    def note(frame: FrameType, event: str, argument: object) -> None:
        nonlocal calls
        calls += event == "call" and frame.f_globals["__name__"].startswith(within)

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        run()
    finally:
        sys.setprofile(before)
    return calls


def test_a_hello_over_http1() -> None:
    driver = CoreDriver(hello)
    clients = driver.connect()

    def exchange() -> None:
        driver.receive(clients, [REQUEST])
        driver.handle(clients)
        assert driver.push(clients) > 100
        driver.handle(clients)
        driver.ask(clients)

    exchange()  # What is made once for a connection isn't the cost of a request.
    assert mode(calls_in_core(exchange) for _ in range(TIMES)) <= HELLO_OVER_HTTP1


def test_a_hello_over_http1_that_has_another_header_each_time() -> None:
    driver = CoreDriver(hello)
    clients = driver.connect()
    numbers = count()

    def exchange() -> None:
        driver.receive(clients, [CHANGING % next(numbers)])
        driver.handle(clients)
        assert driver.push(clients) > 100
        driver.handle(clients)
        driver.ask(clients)

    exchange()
    exchange()  # What the blocks have in common is known from the second on.
    assert mode(calls_in_core(exchange) for _ in range(TIMES)) <= HELLO_WHOSE_HEADERS_CHANGE


def test_a_write_of_1_kb_that_has_room() -> None:
    driver = CoreDriver(hello)
    clients = driver.connect()
    exchanges = driver.begin(clients, REQUEST)
    driver.write_header(exchanges)
    driver.push(clients)

    def write() -> None:
        driver.write(exchanges, b"x" * 1024)
        assert driver.push(clients) > 1024
        driver.ask(clients)

    write()
    assert mode(calls_in_core(write) for _ in range(TIMES)) <= WRITE_OF_1_KB


def test_a_hello_over_http2() -> None:
    driver, client = CoreDriver(hello), Http2Client()
    clients = driver.connect()

    def exchange() -> int:
        # The client's end is a part of the core's package too, so only the server's is counted.
        stream, wire = client.request(), bytearray()
        received = client.take()

        def serve() -> None:
            driver.receive(clients, [received])
            driver.handle(clients)
            wire.extend(driver.wire(clients[0]))
            driver.handle(clients)
            driver.ask(clients)

        calls = calls_in_core(serve)
        client.receive(bytes(wire))
        assert client.streams[stream].complete
        return calls

    exchange()  # Prefaces and settings,
    exchange()  # and the client's acknowledgement of ours.
    assert mode(exchange() for _ in range(TIMES)) <= HELLO_OVER_HTTP2
