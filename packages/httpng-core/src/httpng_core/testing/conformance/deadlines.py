"""Deadlines of connections: `handle_timeout` is called when `next_deadline` says, while nothing moves too."""

import time
from typing import Any

from httpng_core.testing.conformance.base import Suite
from httpng_core.testing.conformance.client import Client, Protocol
from httpng_core.testing.conformance.coroutines import Steps
from httpng_core.testing.conformance.driving import NEVER, Driver, Form

SHORT = 0.2
"""Seconds of a timeout that a test waits for."""
SOON = 5.0
"""Seconds in which it has come for certain, on a machine that is busy."""


class DeadlineTests(Suite):
    """What takes too long ends in time."""

    def test_half_a_request_head_is_answered_with_408(self, driver: Driver) -> None:
        client = driver.serves_plain(lambda req: "", header_timeout=SHORT).client()
        began = time.monotonic()
        client.expect()
        client.send(b"GET / HTTP/1.1\r\nHo")
        assert client.read_answer().status == 408
        assert client.read_to_end() == "fin"
        assert SHORT <= time.monotonic() - began < SOON

    def test_a_client_that_sends_nothing_gets_a_fin(self, driver: Driver) -> None:
        client = driver.serves_plain(lambda req: "", header_timeout=SHORT).client()
        _ends_soon(client)
        assert client.wire == b""

    def test_half_a_request_body_is_answered_with_408(self, driver: Driver) -> None:
        client = driver.serves_plain(lambda req: "", body_timeout=SHORT).client()
        client.expect("POST")
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf")
        assert client.read_answer().status == 408
        assert client.read_to_end() == "fin"

    def test_a_connection_that_is_kept_idle_gets_a_fin(self, driver: Driver, protocol: Protocol) -> None:
        client = driver.serves_plain(lambda req: "", keepalive_timeout=SHORT).client(protocol)
        assert client.get().status == 200
        _ends_soon(client)

    def test_a_connection_in_use_is_kept(self, driver: Driver, form: Form) -> None:
        """While a handler runs, neither timeout of an idle connection counts."""

        def handler(req: Any, io: Any) -> Steps:
            yield io.wait(NEVER, 3 * SHORT)
            return "late"

        server = driver.serves(handler, form, header_timeout=SHORT, keepalive_timeout=SHORT)
        assert server.client().get().body == b"late"

    def test_deadlines_come_in_any_order(self, driver: Driver, form: Form) -> None:
        """The later one of many is set first, and each is kept."""

        def handler(req: Any, io: Any) -> Steps:
            seconds = float(req.path[1:])
            began = time.monotonic()
            yield io.wait(NEVER, seconds)
            late = time.monotonic() - began - seconds
            return "in time" if 0 <= late < SOON else f"{late} seconds late"

        server = driver.serves(handler, form)
        clients = [server.client() for _ in range(6)]
        for number, client in enumerate(clients):
            client.request(f"/{0.3 - number * 0.05}")
        assert [client.read_answer().body for client in clients] == [b"in time"] * 6


def _ends_soon(client: Client) -> None:
    began = time.monotonic()
    assert client.read_to_end() == "fin"
    assert time.monotonic() - began < SOON
