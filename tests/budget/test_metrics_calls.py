"""What counting for metrics costs a hello that is like the one before: one call, into no histogram yet."""

from collections.abc import Callable
from statistics import mode

from bench.core_driver import PEER, CoreDriver
from tests.budget.test_calls import REQUEST, TIMES, calls_in_core, hello

from httpng_core import Host
from httpng_core.testing import Http2Client
from httpng_driver.loop import Meter


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
    return calls_in_core(run, Meter.__module__)


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
