"""What clients send: in any pieces, more of it than is wanted, many of them at once."""

import hashlib
from typing import Any

import pytest

from httpng_core.testing.conformance.base import Suite
from httpng_core.testing.conformance.client import Client2, Protocol
from httpng_core.testing.conformance.coroutines import Steps
from httpng_core.testing.conformance.driving import Driver, Form
from httpng_core.testing.conformance.sending import BIG, RECEIVE_BUFFER
from httpng_core.testing.http1_client import decode

MANY = 50
BODY = bytes(range(253)) * 4_000
"""About as long as a request body may be by default."""


class ReceivingTests(Suite):
    """Requests arrive, and no client has more than its share."""

    def test_a_request_in_single_bytes(self, driver: Driver) -> None:
        client = driver.serves_plain(lambda req: req.path).client()
        client.expect()
        for byte in b"GET /slowly HTTP/1.1\r\nHost: x\r\n\r\n":
            client.send(bytes([byte]))
        assert client.read_answer().body == b"/slowly"

    @pytest.mark.parametrize("framing", ["length", "chunked"])
    def test_an_upload_arrives_whole(self, driver: Driver, framing: str) -> None:
        client = driver.serves_plain(_digest).client()
        if framing == "length":
            client.request(method="POST", body=BODY)
        else:
            client.request(method="POST", headers=[("Transfer-Encoding", "chunked")])
            client.send(b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY))
        assert client.read_answer().body.decode() == hashlib.sha256(BODY).hexdigest()

    def test_an_upload_arrives_whole_over_http_2(self, driver: Driver) -> None:
        client = driver.serves_plain(_digest).client2()
        client.upload(BODY)
        assert client.read_answer().body.decode() == hashlib.sha256(BODY).hexdigest()

    def test_a_client_that_asks_whether_to_send_its_body(self, driver: Driver) -> None:
        client = driver.serves_plain(_digest).client()
        client.request(method="POST", headers=[("Expect", "100-continue"), ("Content-Length", "4")])
        while not client.interim:
            assert client.receive()
        client.send(b"body")
        assert client.read_answer().body.decode() == hashlib.sha256(b"body").hexdigest()
        assert client.interim == [100]

    def test_pipelined_requests_are_answered_in_order(self, driver: Driver, form: Form) -> None:
        def handler(req: Any, io: Any) -> Steps:
            if req.path == "/0":
                yield io.write(b"late ")
                yield from driver.until_told("go on", io)
            yield io.write(req.path)
            return None

        server = driver.serves(handler, form)
        client = server.client()
        client.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % number for number in range(20)))
        client.send(b"GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        server.tell("go on")
        assert client.read_to_end() == "fin"
        answers = decode(bytes(client.wire), ("GET",) * 21)
        paths = [b"late /0", *(b"/%d" % number for number in range(1, 20)), b"/last"]
        assert [answer.body for answer in answers] == paths

    @pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 1000, b"\0" * 50_000])
    def test_a_client_that_sends_on_is_not_read_without_bound(self, driver: Driver, data: bytes) -> None:
        """While a handler runs, what more comes stays in the kernel, so that the client feels it."""

        def handler(req: Any, io: Any) -> Steps:
            yield io.write(b"begun")
            yield from driver.until_told("end", io)

        server = driver.serves(handler)
        client = server.client()
        client.request()
        client.read_body(5)
        assert client.is_stuck(data, 64 << 20, seconds=0.5)
        server.tell("end")
        assert client.read_answer().complete

    def test_a_client_that_does_not_read_is_no_burden_to_others(
        self, driver: Driver, protocol: Protocol
    ) -> None:
        server = driver.serves_plain(lambda req: BIG if req.path == "/big" else "quick")
        slow = server.client(protocol, receive_buffer=RECEIVE_BUFFER)
        slow.request("/big")
        quick = server.client(protocol)
        assert [quick.get().body for _ in range(20)] == [b"quick"] * 20
        assert slow.read_answer().body == BIG

    def test_a_body_in_single_bytes_is_no_burden_to_others(self, driver: Driver) -> None:
        """What one client sent is taken up to 64 KiB at a time; between that others have their turn."""
        server = driver.serves_plain(lambda req: f"{len(req.body)}")
        greedy, quick = server.client(), server.client()
        quick.get()
        greedy.request(method="POST", headers=[("Transfer-Encoding", "chunked")])
        greedy.send(b"1\r\nx\r\n" * 100_000 + b"0\r\n\r\n")
        assert quick.get().complete
        assert greedy.is_silent(0), "the other has its answer first"
        assert greedy.read_answer().body == b"100000"

    def test_many_clients_at_once(self, driver: Driver, form: Form, protocol: Protocol) -> None:
        def handler(req: Any, io: Any) -> Steps:
            yield from driver.until_told("go on", io)
            return req.path

        server = driver.serves(handler, form)
        clients = [server.client(protocol) for _ in range(MANY)]
        for number, client in enumerate(clients):
            client.request(f"/{number}")
        server.tell("go on")
        assert [client.read_answer().body for client in clients] == [b"/%d" % each for each in range(MANY)]


class Http2Tests(Suite):
    """HTTP/2 by prior knowledge: several exchanges on one connection."""

    def test_exchanges_run_beside_each_other(self, driver: Driver, form: Form) -> None:
        def handler(req: Any, io: Any) -> Steps:
            if req.path == "/slow":
                yield io.write(b"slow, ")
                yield from driver.until_told("go on", io)
                yield io.write(b"and done")
                return None
            return "quick"

        server = driver.serves(handler, form)
        client = server.client2()
        slow = client.http2.request("/slow")
        assert client.get("/quick").body == b"quick"
        server.tell("go on")
        while not client.http2.streams[slow].complete:
            assert client.receive()
        assert client.http2.streams[slow].body == b"slow, and done"

    def test_many_requests_on_one_connection(self, driver: Driver) -> None:
        client = driver.serves_plain(lambda req: req.path).client2()
        numbers = [client.http2.request(f"/{each}") for each in range(80)]
        client.say()
        while not all(client.http2.streams[number].complete for number in numbers):
            assert client.receive()
        bodies = [bytes(client.http2.streams[number].body) for number in numbers]
        assert bodies == [b"/%d" % each for each in range(80)]

    def test_a_stream_that_the_client_resets_cancels_its_exchange_alone(
        self, driver: Driver, form: Form
    ) -> None:
        def handler(req: Any, io: Any) -> Steps:
            if req.path == "/other":
                return "other"
            yield io.write(b"begun")
            result = yield io.write(BIG, timeout=10)
            driver.note("cancelled", result.cancelled)
            return None

        server = driver.serves(handler, form)
        client = server.client2(window=1000)
        client.request()
        client.read_body(5)
        client.cancel()
        assert server.noted("cancelled") is True
        assert client.get("/other").body == b"other"

    def test_a_stalled_exchange_leaves_room_to_others(self, driver: Driver) -> None:
        """One has used up its own window, not that of the connection."""
        server = driver.serves_plain(lambda req: BIG if req.path == "/big" else "x" * 500)
        client = server.client2(window=1000)
        assert isinstance(client, Client2)
        client.request("/big")
        client.read_body(1000)
        assert client.get("/small").body == b"x" * 500


def _digest(req: Any) -> str:
    return hashlib.sha256(req.body).hexdigest()
