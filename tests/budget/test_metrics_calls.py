"""What counting for metrics costs a hello that is like the one before: one call, into no histogram yet."""

import sys
from collections.abc import Callable
from statistics import mode
from types import FrameType
from typing import Any

from bench.core_driver import PEER, CoreDriver
from tests.budget.test_calls import REQUEST, TIMES, hello

from httpng_core import Host
from httpng_core.testing import Http2Client
from httpng_driver.loop.meter import Meter


class Counted:
    """A server of hellos that are counted, with one client."""

    def __init__(self) -> None:
        self.meter, self.driver = Meter(), CoreDriver(hello)
        host = Host(lambda: None, note_end=self.meter.ended)
        connect = self.driver.application.connection
        self.clients = [connect(self.driver.now, peer=PEER, date=self.driver.date, host=host)]

    def serve(self, received: bytes) -> bytes:
        driver = self.driver
        driver.receive(self.clients, [received])
        driver.handle(self.clients)
        sent = driver.wire(self.clients[0])
        driver.handle(self.clients)
        return sent

    def requests(self) -> float:
        self.meter.settle()
        return sum(sum(histogram[:-1]) for histogram in self.meter.requests.values())


def calls_of_meter(run: Callable[[], object]) -> int:
    calls = 0

    def count(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal calls
        calls += event == "call" and frame.f_globals["__name__"] == Meter.__module__

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        run()
    finally:
        sys.setprofile(before)
    return calls


def test_a_hello_over_http1() -> None:
    counted = Counted()
    calls = [calls_of_meter(lambda: counted.serve(REQUEST)) for _ in range(TIMES)]
    assert mode(calls) == 1
    assert counted.requests() == TIMES


def test_a_hello_over_http2() -> None:
    counted, client = Counted(), Http2Client()

    def exchange() -> None:
        client.request()
        client.receive(counted.serve(client.take()))

    calls = [calls_of_meter(exchange) for _ in range(TIMES)]
    assert mode(calls) == 1
    assert counted.requests() == TIMES
