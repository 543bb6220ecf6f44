"""What `sent` means with this driver: the kernel's own word, late commits, take-back, timeouts."""

import time
from itertools import count
from typing import Any

import pytest

from httpng_core.errors import AckedUnknownError
from httpng_core.testing.conformance.base import Suite
from httpng_core.testing.conformance.client import Client2, Protocol
from httpng_core.testing.conformance.coroutines import Steps
from httpng_core.testing.conformance.driving import NEVER, Driver, Form, Served, ended, stats
from httpng_core.testing.conformance.kernel import standstill

RECEIVE_BUFFER = 32 * 1024
"""Small, so that a client that doesn't read is soon seen to."""
WINDOW = 64 * 1024
BIG = bytes(range(251)) * 36_000
"""More than any kernel takes for a client that doesn't read."""
PIECE = b"x" * 5_000
RECORD = b"r" * 100


class SendingTests(Suite):
    """A response is told to be where it is."""

    def test_a_response_arrives(self, driver: Driver, form: Form, protocol: Protocol) -> None:
        def handler(req: Any, io: Any) -> Steps:
            io.headers["x-path"] = req.path
            first = yield io.write(b"first ")
            second = yield io.write("second")
            wait = yield io.wait(0, 10)
            driver.note("results", [first, second, wait.reached, wait.cancelled])
            driver.note("stats", stats(io))

        server = driver.serves(handler, form)
        answer = server.client(protocol).get("/path")
        assert (answer.status, bytes(answer.body), answer.complete) == (200, b"first second", True)
        assert answer.headers["x-path"] == "/path"
        assert server.noted("results") == [None, None, True, False]
        told = server.noted("stats")
        assert (told["current"], told["sent"], told["headers_were_sent"]) == (12, 12, True)

    def test_a_long_response_arrives_whole(self, driver: Driver, form: Form, protocol: Protocol) -> None:
        def handler(req: Any, io: Any) -> Steps:
            result = yield io.write(BIG, timeout=10)
            driver.note("results", [result])

        server = driver.serves(handler, form, default_send_window=WINDOW)
        answer = server.client(protocol).get()
        assert answer.complete
        assert answer.body == BIG
        assert server.noted("results") == [None]

    def test_a_returned_body_arrives_whole(self, driver: Driver, protocol: Protocol) -> None:
        server = driver.serves_plain(lambda req: BIG)
        answer = server.client(protocol, receive_buffer=RECEIVE_BUFFER).get()
        assert answer.complete
        assert answer.body == BIG

    @pytest.mark.parametrize("length", [None, 1 << 30], ids=["no-length", "length"])
    def test_sent_is_what_the_kernel_has_taken(
        self, driver: Driver, protocol: Protocol, length: int | None
    ) -> None:
        server = driver.serves(_endless(driver, length), default_send_window=WINDOW)
        client = server.client(protocol, receive_buffer=RECEIVE_BUFFER)
        client.request()
        sent = []
        for _ in range(2):
            taken, _ = standstill(client)
            sent.append(_noted_now(driver, server)["sent"])
            client.read_wire(taken)
            assert client.carried == sent[-1]
        assert sent[0] < sent[1], "the client has read in between"

    def test_the_kernel_is_kept_short(self, driver: Driver, protocol: Protocol) -> None:
        """With `notsent_lowat` it holds what the client may have soon, however large the send window is."""
        server = driver.serves(_endless(driver, None), default_send_window=len(BIG))
        client = server.client(protocol, receive_buffer=RECEIVE_BUFFER)
        client.request()
        taken, arrived = standstill(client)
        assert taken - arrived < 256 * 1024

    def test_acknowledged_is_what_has_arrived(self, driver: Driver, protocol: Protocol) -> None:
        if not self.tells_acknowledged:
            pytest.skip("the driver doesn't tell what is acknowledged")
        server = driver.serves(_endless(driver, None), default_send_window=WINDOW)
        client = server.client(protocol, receive_buffer=RECEIVE_BUFFER)
        client.request("/acked")
        _, arrived = standstill(client)
        acked = _noted_now(driver, server)["acked"]
        client.read_wire(arrived)
        assert client.carried == acked

    def test_a_wait_for_acknowledged_bytes(self, driver: Driver, form: Form) -> None:
        """It ends once the client has them; or raises at once, where the driver can't tell."""

        def handler(req: Any, io: Any) -> Steps:
            yield io.write(b"x" * 1000)
            try:
                result = yield io.wait(0, 10, "acked")
                driver.note("outcome", result.reached)
            except AckedUnknownError:
                driver.note("outcome", "unknown")

        server = driver.serves(handler, form)
        assert server.client().get().complete
        assert server.noted("outcome") == (True if self.tells_acknowledged else "unknown")

    @pytest.mark.parametrize("window", [WINDOW, 0])
    def test_a_timed_out_write_reports_what_the_client_decodes(
        self, driver: Driver, form: Form, protocol: Protocol, window: int
    ) -> None:
        def handler(req: Any, io: Any) -> Steps:
            began = time.monotonic()
            result = yield io.write(BIG, timeout=0.2)
            driver.note("seconds", time.monotonic() - began)
            driver.note("accepted", result.body_bytes_sent)
            yield from ended(io)

        server = driver.serves(handler, form, default_send_window=window)
        client = server.client(protocol, receive_buffer=RECEIVE_BUFFER)
        client.request()
        accepted = server.noted("accepted")
        answer = client.read_answer()
        assert 0 < accepted < len(BIG)
        assert answer.body == BIG[:accepted]
        assert answer.complete
        assert 0.2 <= server.noted("seconds") < 5

    def test_a_handler_goes_on_with_the_rest(self, driver: Driver, form: Form, protocol: Protocol) -> None:
        """No byte is lost, and none comes twice."""

        def handler(req: Any, io: Any) -> Steps:
            rest = BIG
            while (result := (yield io.write(rest, timeout=0.02))) is not None:
                assert not result.cancelled
                rest = rest[result.body_bytes_sent :]
                driver.note("has timed out")

        server = driver.serves(handler, form, default_send_window=WINDOW)
        client = server.client(protocol, receive_buffer=RECEIVE_BUFFER)
        client.request()
        server.noted("has timed out")
        answer = client.read_answer()
        assert answer.complete
        assert answer.body == BIG

    def test_a_record_goes_whole_or_not_at_all(self, driver: Driver, form: Form, protocol: Protocol) -> None:
        server = driver.serves(records_until_refused(driver, 10_000), form, default_send_window=WINDOW)
        client = server.client(protocol, receive_buffer=RECEIVE_BUFFER)
        client.request()
        assert server.noted("refused") == 0
        accepted = server.noted("accepted")
        server.tell("end")
        answer = client.read_answer()
        assert answer.complete
        assert answer.body == recorded(10_000, accepted)

    def test_what_the_kernel_refuses_is_taken_back(self, driver: Driver, protocol: Protocol) -> None:
        """At window 0 nothing of a record is accepted that the kernel hasn't, half a frame apart.

        On HTTP/1.1 a refused frame is taken back: report the 0. On HTTP/2 none can be: ask the socket first.
        """

        def handler(req: Any, io: Any) -> Steps:
            refused = 0
            while refused < 5 and not driver.told("stop"):
                result = yield io.write(RECORD, timeout=0.05)
                refused = 0 if result is None else refused + 1
            driver.note("stats", stats(io))
            yield from driver.until_told("end", io)
            yield from ended(io)

        server = driver.serves(handler, default_send_window=0)
        client = server.client(protocol, receive_buffer=4096)
        client.request()
        told = server.noted("stats")
        assert told["current"] > 0
        assert told["current"] - told["sent"] < len(RECORD)
        server.tell("end")
        answer = client.read_answer()
        assert len(answer.body) == told["current"]

    def test_a_timeout_of_0_takes_what_the_socket_takes(
        self, driver: Driver, form: Form, protocol: Protocol
    ) -> None:
        def handler(req: Any, io: Any) -> Steps:
            results = []
            for _ in range(3):
                result = yield io.write(RECORD, timeout=0)
                results.append(None if result is None else result.body_bytes_sent)
            driver.note("results", results)

        server = driver.serves(handler, form, default_send_window=0)
        answer = server.client(protocol).get()
        assert answer.body == RECORD * 3
        assert server.noted("results") == [None] * 3

    def test_a_write_that_waits_goes_on_when_the_client_reads(
        self, driver: Driver, form: Form, protocol: Protocol
    ) -> None:
        def handler(req: Any, io: Any) -> Steps:
            driver.note("begun")
            yield io.write(BIG, timeout=10)
            result = yield io.wait(0, 10)
            driver.note("reached", result.reached)

        server = driver.serves(handler, form, default_send_window=WINDOW)
        client = server.client(protocol, receive_buffer=RECEIVE_BUFFER)
        client.request()
        server.noted("begun")
        standstill(client)
        assert client.read_answer().body == BIG
        assert server.noted("reached") is True

    def test_a_write_times_out_while_nothing_moves(
        self, driver: Driver, form: Form, protocol: Protocol
    ) -> None:
        """The only thing that happens is that time passes: the driver must keep it."""

        def handler(req: Any, io: Any) -> Steps:
            yield io.write(b"begun")
            began = time.monotonic()
            result = yield io.wait(NEVER, 0.1)
            driver.note("outcome", [result.reached, time.monotonic() - began])

        server = driver.serves(handler, form)
        answer = server.client(protocol).get()
        assert answer.complete
        has_reached, seconds = server.noted("outcome")
        assert not has_reached
        assert 0.1 <= seconds < 3

    def test_a_client_without_room_on_http_2(self, driver: Driver, form: Form) -> None:
        """Its socket is empty, its window full: that counts the same."""

        def handler(req: Any, io: Any) -> Steps:
            result = yield io.write(BIG, timeout=0.1)
            driver.note("accepted", result.body_bytes_sent)
            yield from ended(io)

        server = driver.serves(handler, form, default_send_window=0)
        client = server.client2(window=40_000)
        assert isinstance(client, Client2)
        client.request()
        assert server.noted("accepted") == 40_000
        client.give(len(BIG))
        answer = client.read_answer()
        assert answer.complete
        assert answer.body == BIG[:40_000]


def _endless(driver: Driver, length: int | None) -> Any:
    """Return a handler that writes for ever, and notes where it stands each time it was refused."""
    numbers = count()

    def handler(req: Any, io: Any) -> Steps:
        if length is not None:
            io.headers["content-length"] = length
        if req.path == "/acked":
            io.window_until = "acked"
        while True:
            result = yield io.write(PIECE, timeout=0.02)
            if result is not None:
                driver.note("stand", [next(numbers), stats(io)])
                if result.cancelled:
                    return

    return handler


def _noted_now(driver: Driver, server: Served) -> Any:
    """Return what the handler of `_endless` has noted since this was called."""
    number, _ = server.noted("stand")
    # One that was under way may be old, the one after it isn't.
    while (stand := server.noted("stand"))[0] < number + 2:
        time.sleep(0.01)
    return stand[1]


def records_until_refused(driver: Driver, size: int) -> Any:
    """Return a handler that writes records until one is refused, notes how many, and ends when told."""

    def handler(req: Any, io: Any) -> Steps:
        for number in count():
            result = yield io.write(bytes([number % 251]) * size, timeout=0.2)
            if result is not None:
                driver.note("refused", result.body_bytes_sent)
                driver.note("accepted", number)
                break
        if (yield from driver.until_told("end", io)):
            yield from ended(io)

    return handler


def recorded(size: int, number: int) -> bytes:
    """Return the first records of `records_until_refused`."""
    return b"".join(bytes([each % 251]) * size for each in range(number))
