"""Requests that can't be served: the answer arrives, the log stays calm, no other connection notices."""

import logging
import random
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import anyio
import anyio.lowlevel
import pytest
from tests.driver.harness import GET, Client, Received, Serving, in_thread, until

from httpng_core import Request
from httpng_driver import IO

pytestmark = pytest.mark.anyio

HOST = b"Host: x\r\n"
POST = b"POST / HTTP/1.1\r\n" + HOST


def request(first: bytes = b"GET / HTTP/1.1", headers: bytes = HOST, body: bytes = b"") -> bytes:
    return first + b"\r\n" + headers + b"\r\n" + body


MALFORMED = {
    "no HTTP": b"hello, is anybody there?\r\n\r\n",
    "TLS": bytes.fromhex("16030100c4010000c00303") + bytes(range(180)) + b"\r\n\r\n",
    "NUL bytes": bytes(100) + b"\r\n\r\n",
    "no version": b"GET /\r\n\r\n",
    "space in the target": request(b"GET /a b HTTP/1.1"),
    "control in the target": request(b"GET /\x01 HTTP/1.1"),
    "lower-case version": request(b"GET / http/1.1"),
    "bad method": request(b"G@T / HTTP/1.1"),
    "target of no form": request(b"GET index.html HTTP/1.1"),
    "fragment": request(b"GET /#top HTTP/1.1"),
    "asterisk of a GET": request(b"GET * HTTP/1.1"),
    "space before the colon": request(headers=b"Host : x\r\n"),
    "no colon": request(headers=HOST + b"nonsense\r\n"),
    "space in a name": request(headers=HOST + b"a b: c\r\n"),
    "NUL in a value": request(headers=HOST + b"a: b\0c\r\n"),
    "bare CR in a value": request(headers=HOST + b"a: b\rc\r\n"),
    "no Host": request(headers=b""),
    "two Hosts": request(headers=HOST + HOST),
    "Host with userinfo": request(headers=b"Host: user@x\r\n"),
    "Host with a path": request(headers=b"Host: x/y\r\n"),
    "Host with a comma": request(headers=b"Host: x,y\r\n"),
    "length that is no number": POST + b"Content-Length: five\r\n\r\nhello",
    "negative length": POST + b"Content-Length: -5\r\n\r\nhello",
    "signed length": POST + b"Content-Length: +5\r\n\r\nhello",
    "two lengths": POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "length and chunked": POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked and length": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "chunked in HTTP/1.0": request(
        b"POST / HTTP/1.0", HOST + b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n"
    ),
    "bad chunk size": POST + b"Transfer-Encoding: chunked\r\n\r\nfive\r\nhello\r\n0\r\n\r\n",
    "chunk without its end": POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhelloXX0\r\n\r\n",
}
CHUNK = b"64\r\n" + b"x" * 100 + b"\r\n"
OTHERS = {
    "other coding": (501, POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    "one long header": (431, request(headers=HOST + b"a: " + b"b" * 5000 + b"\r\n")),
    "many headers": (431, request(headers=HOST + b"a: b\r\n" * 1000)),
    "long target": (431, request(b"GET /" + b"a" * 5000 + b" HTTP/1.1")),
    "endless header": (431, b"GET / HTTP/1.1\r\na: " + b"b" * 100_000),
    "declared body": (413, POST + b"Content-Length: 1001\r\n\r\n"),
    "huge declared body": (413, POST + b"Content-Length: 99999999999999999\r\n\r\n"),
    "body that is sent": (413, POST + b"Content-Length: 5000000\r\n\r\n" + bytes(5_000_000)),
    "chunked body": (413, POST + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNK * 11),
}
LIMITS = {"shuttle_size": 4096, "max_body_len": 1000}


@pytest.fixture(autouse=True)
def calm_log(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """A peer's mistake is none of ours: no error, and no task that fails unseen."""
    caplog.set_level(logging.DEBUG)
    yield
    troubles = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert troubles == []


async def handler(req: Request, io: IO) -> object:
    return {"body": req.body}


async def refused(
    serving: Serving, raw: bytes, *, then: str = "", cfg: dict[str, object] | None = None
) -> Received:
    """Sends `raw`, and more: the answer must come in whole, followed by a FIN and not by a reset."""
    async with serving(handler, **(cfg or {})) as server:
        with Client(server.addresses[0]) as client:
            await in_thread(client.send, raw)
            if then:
                getattr(client, then)()
            received = await in_thread(client.read_response)
            assert client.ended == ""
            # All the same to a server that has refused: it reads on, lest a reset eat its answer.
            if not then:
                await in_thread(client.send, b"more of the same" * 1000)
            await in_thread(client.read_to_end)
            assert client.ended == "fin"
            assert not client.wire, "nothing follows"
        await until(lambda: server.connections == 0)
    assert received.complete
    assert received.headers is not None
    assert received.headers["connection"] == "close"
    return received


@pytest.mark.parametrize("raw", MALFORMED.values(), ids=MALFORMED)
async def test_a_malformed_request_is_answered_with_400(serving: Serving, raw: bytes) -> None:
    assert (await refused(serving, raw)).status == 400


@pytest.mark.parametrize(("status", "raw"), OTHERS.values(), ids=OTHERS)
async def test_a_request_that_is_too_much(serving: Serving, status: int, raw: bytes) -> None:
    assert (await refused(serving, raw, cfg={"shuttle_size": 4096, "max_body_len": 1000})).status == status


@pytest.mark.parametrize(
    "raw", [GET[:10], GET[:-2], POST + b"Content-Length: 5\r\n\r\nhell"], ids=["start", "head", "body"]
)
async def test_a_request_that_stops_halfway(serving: Serving, raw: bytes) -> None:
    assert (await refused(serving, raw, then="half_close")).status == 400


@pytest.mark.parametrize(
    ("setting", "raw"),
    [
        ("header_timeout", b"G"),
        ("header_timeout", GET[:-2]),
        ("body_timeout", POST + b"Content-Length: 5\r\n\r\nhell"),
        ("body_timeout", POST + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNK),
    ],
    ids=["first byte", "head", "body", "chunked body"],
)
async def test_a_request_that_takes_too_long(serving: Serving, setting: str, raw: bytes) -> None:
    assert (await refused(serving, raw, cfg={setting: 0.1})).status == 408


@pytest.mark.parametrize(("setting", "asks"), [("header_timeout", 0), ("keepalive_timeout", 1)])
async def test_a_connection_without_a_request_is_just_closed(
    serving: Serving, setting: str, asks: int
) -> None:
    async with serving(handler, **{setting: 0.1}) as server:
        with Client(server.addresses[0]) as client:
            for _ in range(asks):
                await in_thread(client.ask)
            await in_thread(client.read_to_end)
            assert server.connections == 0
    assert (client.ended, bytes(client.wire)) == ("fin", b"")


async def test_what_is_malformed_costs_only_what_follows_it(serving: Serving) -> None:
    """Pipelined: the good requests before it get their answers, those after it get none."""
    good = POST + b"Content-Length: 4\r\n\r\ngood"
    async with serving(handler) as server:
        with Client(server.addresses[0]) as client:
            client.send(good * 3 + MALFORMED["bad method"] + good)
            received = [await in_thread(client.read_response) for _ in range(4)]
            await in_thread(client.read_to_end)
    assert [each.status for each in received] == [200, 200, 200, 400]
    assert [each.body for each in received[:3]] == [b"good"] * 3
    assert client.ended == "fin"
    assert not client.wire


async def test_requests_in_single_bytes(serving: Serving) -> None:
    async with serving(handler) as server:
        with Client(server.addresses[0]) as client:
            client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in POST + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNK + b"0\r\n\r\n":
                client.send(bytes([byte]))
                await anyio.lowlevel.checkpoint()
            received = await in_thread(client.read_response)
    assert received.body == b"x" * 100


CONNECTIONS = 60
REQUESTS = 12


def body_of(connection: int, number: int) -> bytes:
    chance = random.Random(connection * REQUESTS + number)
    return chance.randbytes(chance.randrange(9_000))


def requests_of(connection: int) -> bytes:
    wire = b""
    for number in range(REQUESTS):
        sent = body_of(connection, number)
        wire += b"POST /%d/%d HTTP/1.1\r\nHost: x\r\n" % (connection, number)
        wire += b"Content-Length: %d\r\n\r\n" % len(sent) + sent
    return wire + (MALFORMED["no HTTP"] if connection % 3 == 0 else b"")


def check_answers(client: Client, connection: int) -> None:
    for number in range(REQUESTS):
        received = client.read_response()
        assert received.headers is not None
        assert received.headers["x-path"] == f"/{connection}/{number}"
        assert received.body == body_of(connection, number)
        assert received.complete
    if connection % 3 == 0:
        assert client.read_response().status == 400


async def test_nothing_leaks_from_one_connection_into_another(serving: Serving) -> None:
    """Pipelined requests of many connections, in pieces and all mixed up; some are malformed at the end."""
    chance = random.Random(7)
    running: set[str] = set()

    async def echo(req: Request, io: IO) -> object:
        connection = req.path.split("/")[1]
        assert connection not in running, "one after the other"
        running.add(connection)
        io.headers["x-path"] = req.path
        for start in range(0, len(req.body), 2_000):
            await io.write(req.body[start : start + 2_000])
            if chance.random() < 0.3:
                await anyio.lowlevel.checkpoint()
        running.discard(connection)
        return None

    async with serving(echo) as server:
        with ExitStack() as stack:
            clients = [stack.enter_context(Client(server.addresses[0])) for _ in range(CONNECTIONS)]
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(in_thread, send_mixed, clients)
                for connection, client in enumerate(clients):
                    await in_thread(check_answers, client, connection)
    assert not running


def send_mixed(clients: list[Client]) -> None:
    """Sends all in pieces, in an order of chance."""
    chance = random.Random(8)
    rests = {connection: requests_of(connection) for connection in range(len(clients))}
    while rests:
        connection = chance.choice(list(rests))
        size = chance.choice([1, 100, 5_000, 20_000])
        clients[connection].send(rests[connection][:size])
        rests[connection] = rests[connection][size:]
        if not rests[connection]:
            del rests[connection]
