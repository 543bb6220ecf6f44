"""How responses and connections end: a FIN where all is well, never where the client lacks something."""

from typing import Any

import pytest

from httpng_core.testing.conformance.base import Suite
from httpng_core.testing.conformance.client import Protocol
from httpng_core.testing.conformance.coroutines import Steps
from httpng_core.testing.conformance.driving import NEVER, Driver, Form
from httpng_core.testing.conformance.sending import BIG, RECEIVE_BUFFER, WINDOW, recorded

CLOSE = [("Connection", "close")]
SIZE = 10_000


class EndTests(Suite):
    """Ends of responses, and of connections."""

    # Clean ends ---------------------------------------------------------------------------------------

    def test_a_connection_is_kept(self, driver: Driver, protocol: Protocol) -> None:
        server = driver.serves_plain(lambda req: req.path)
        client = server.client(protocol)
        assert [client.get(path).body for path in ("/1", "/2", "/3")] == [b"/1", b"/2", b"/3"]
        assert client.is_silent(0.1)

    @pytest.mark.parametrize("body", [b"short", BIG], ids=["short", "long"])
    def test_a_connection_ends_with_a_fin_after_its_last_response(self, driver: Driver, body: bytes) -> None:
        server = driver.serves_plain(lambda req: body)
        client = server.client(receive_buffer=RECEIVE_BUFFER)
        answer = client.get(headers=CLOSE)
        assert answer.complete
        assert answer.body == body
        assert client.read_to_end() == "fin"

    def test_a_body_that_the_close_delimits_ends_with_a_fin(self, driver: Driver, form: Form) -> None:
        def handler(req: Any, io: Any) -> Steps:
            yield io.write(BIG, timeout=10)

        client = driver.serves(handler, form).client(receive_buffer=RECEIVE_BUFFER)
        client.request(version="1.0")
        answer = client.read_answer()
        assert client.ended == "fin"
        assert answer.body == BIG

    def test_an_answer_to_a_client_that_still_sends_is_not_lost(self, driver: Driver) -> None:
        """The sending side is shut first, and the rest of the request read: else a reset eats the answer."""
        server = driver.serves_plain(lambda req: "never", max_body_len=1000)
        client = server.client()
        client.expect("POST")
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\n")
        client.send(b"x" * 300_000)
        assert client.read_answer().status == 413
        assert client.read_to_end() == "fin"

    # Ends that can't pass for clean -------------------------------------------------------------------

    @pytest.mark.parametrize("length", [None, 1 << 30], ids=["no-length", "length"])
    def test_what_was_accepted_arrives_and_then_a_fin_without_the_end(
        self, driver: Driver, form: Form, length: int | None
    ) -> None:
        def handler(req: Any, io: Any) -> Steps:
            if length is not None:
                io.headers["content-length"] = length
            yield from _until_refused(driver, io)

        server = driver.serves(handler, form, default_send_window=WINDOW)
        client = server.client(receive_buffer=RECEIVE_BUFFER)
        client.request()
        accepted = server.noted("accepted")
        answer = client.read_answer()
        assert (client.ended, answer.complete) == ("fin", False)
        assert answer.body == recorded(SIZE, accepted)

    def test_what_was_accepted_arrives_before_the_stream_is_reset(self, driver: Driver, form: Form) -> None:
        def handler(req: Any, io: Any) -> Steps:
            yield from _until_refused(driver, io)

        server = driver.serves(handler, form, default_send_window=WINDOW)
        client = server.client("http2", receive_buffer=RECEIVE_BUFFER)
        client.request()
        accepted = server.noted("accepted")
        answer = client.read_answer()
        assert (answer.reset, answer.complete) == (True, False)
        assert answer.body == recorded(SIZE, accepted)
        assert not client.ended, "the connection goes on"

    def test_what_was_accepted_arrives_before_a_reset_where_only_the_close_delimits(
        self, driver: Driver
    ) -> None:
        if not self.tells_acknowledged:
            pytest.skip("the driver doesn't tell what is acknowledged")

        def handler(req: Any, io: Any) -> Steps:
            yield from _until_refused(driver, io)

        server = driver.serves(handler, default_send_window=WINDOW)
        client = server.client(receive_buffer=RECEIVE_BUFFER)
        client.request(version="1.0")
        accepted = server.noted("accepted")
        answer = client.read_answer()
        assert client.ended == "reset"
        assert answer.body == recorded(SIZE, accepted)

    def test_a_body_that_only_the_close_delimits_never_ends_with_a_fin_when_it_is_cut_short(
        self, driver: Driver
    ) -> None:
        def handler(req: Any, io: Any) -> Steps:
            yield from _until_refused(driver, io)

        server = driver.serves(handler, default_send_window=WINDOW)
        client = server.client(receive_buffer=RECEIVE_BUFFER)
        client.request(version="1.0")
        accepted = server.noted("accepted")
        answer = client.read_answer()
        assert client.ended == "reset"
        assert recorded(SIZE, accepted).startswith(bytes(answer.body))

    def test_a_handler_that_raises_late_cuts_its_response_short(self, driver: Driver, form: Form) -> None:
        def handler(req: Any, io: Any) -> Steps:
            yield io.write(b"begun")
            yield io.wait(0, 10)
            raise RuntimeError("a mistake of the handler's, as this test wants it")

        client = driver.serves(handler, form).client()
        answer = client.get()
        assert (answer.status, bytes(answer.body), answer.complete) == (200, b"begun", False)
        assert client.ended == "fin"

    def test_fewer_bytes_than_declared_are_cut_short(self, driver: Driver, form: Form) -> None:
        def handler(req: Any, io: Any) -> Steps:
            io.headers["content-length"] = 1000
            yield io.write(b"few")

        client = driver.serves(handler, form).client()
        answer = client.get()
        assert (bytes(answer.body), answer.complete, client.ended) == (b"few", False, "fin")

    def test_a_handler_that_raises_early_is_answered_with_500(
        self, driver: Driver, protocol: Protocol
    ) -> None:
        def handler(req: Any) -> str:
            if req.path == "/wrong":
                raise RuntimeError("a mistake of the handler's, as this test wants it")
            return "right"

        client = driver.serves_plain(handler).client(protocol)
        assert client.get("/wrong").status == 500
        assert client.get("/right").body == b"right"

    def test_a_flush_that_stalls_ends_with_a_reset(self, driver: Driver) -> None:
        """No client pins memory for ever."""
        server = driver.serves_plain(lambda req: BIG, stall_timeout=0.3)
        client = server.client(receive_buffer=RECEIVE_BUFFER)
        client.request()
        client.wait_for_reset()
        answer = client.read_answer()
        assert (client.ended, answer.complete) == ("reset", False)
        assert BIG.startswith(bytes(answer.body))

    # Complete on the wire is over ---------------------------------------------------------------------

    def test_a_response_that_is_complete_on_the_wire_is_over(self, driver: Driver, form: Form) -> None:
        """The next request is answered, though the handler of the first still runs."""

        def handler(req: Any, io: Any) -> Steps:
            if req.path == "/second":
                return "second"
            io.headers["content-length"] = 5
            yield io.write(b"first")
            yield from driver.until_told("end", io)
            return None

        server = driver.serves(handler, form)
        client = server.client()
        assert client.get("/first").body == b"first"
        client.request("/second")
        answered = not client.is_silent(1)
        server.tell("end")
        assert answered
        assert client.read_answer().body == b"second"

    def test_a_head_request_has_its_answer_though_the_handler_still_writes(
        self, driver: Driver, form: Form
    ) -> None:
        def handler(req: Any, io: Any) -> Steps:
            for _ in range(20):
                result = yield io.write(b"x" * 10)
                if result is not None:
                    driver.note("over", result.cancelled)
                    return
                yield io.wait(0, 10)
            driver.note("over", None)

        server = driver.serves(handler, form)
        assert server.client().get(method="HEAD").status == 200
        assert server.noted("over") is True

    # The client ends ----------------------------------------------------------------------------------

    @pytest.mark.parametrize("body", [b"short", BIG], ids=["short", "long"])
    def test_a_client_that_half_closes_with_its_request_gets_the_whole_answer(
        self, driver: Driver, body: bytes
    ) -> None:
        server = driver.serves_plain(lambda req: body)
        client = server.client(receive_buffer=RECEIVE_BUFFER)
        client.request()
        client.half_close()
        answer = client.read_answer()
        assert answer.complete
        assert answer.body == body
        assert client.read_to_end() == "fin"

    def test_a_fin_after_the_response_has_begun_cancels(self, driver: Driver, form: Form) -> None:
        server = driver.serves(_waits_for_the_client(driver), form)
        client = server.client()
        client.request()
        assert client.read_body(5).body == b"begun"
        client.half_close()
        assert server.noted("cancelled") is True

    def test_a_fin_behind_requests_that_wait_cancels(self, driver: Driver) -> None:
        server = driver.serves(_waits_for_the_client(driver))
        client = server.client()
        client.request()
        assert client.read_body(5).body == b"begun"
        client.send(b"GET /next HTTP/1.1\r\nHost: x\r\n\r\n" * 20)
        client.half_close()
        assert server.noted("cancelled") is True

    def test_a_reset_cancels(self, driver: Driver, form: Form, protocol: Protocol) -> None:
        server = driver.serves(_waits_for_the_client(driver), form)
        client = server.client(protocol)
        client.request()
        assert client.read_body(5).body == b"begun"
        client.reset()
        assert server.noted("cancelled") is True

    def test_a_reset_cancels_a_write_that_waits(self, driver: Driver, form: Form, protocol: Protocol) -> None:
        def handler(req: Any, io: Any) -> Steps:
            yield io.write(b"begun")
            result = yield io.write(BIG, timeout=15)
            driver.note("cancelled", result.cancelled)
            result = yield io.write(b"more")
            driver.note("later", [result.cancelled, result.body_bytes_sent])

        server = driver.serves(handler, form, default_send_window=WINDOW)
        client = server.client(protocol, receive_buffer=RECEIVE_BUFFER)
        client.request()
        client.read_body(5)
        client.reset()
        assert server.noted("cancelled") is True
        assert server.noted("later") == [True, 0]


def _waits_for_the_client(driver: Driver) -> Any:
    def handler(req: Any, io: Any) -> Steps:
        yield io.write(b"begun")
        result = yield io.wait(NEVER, 10)
        driver.note("cancelled", result.cancelled)

    return handler


def _until_refused(driver: Driver, io: Any) -> Steps:
    """Write records until one is refused; that is the last write, and it has fallen short."""
    number = 0
    while (yield io.write(bytes([number % 251]) * SIZE, timeout=0.2)) is None:
        number += 1
    driver.note("accepted", number)
