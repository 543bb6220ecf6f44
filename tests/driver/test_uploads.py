"""Request bodies that async and generator handlers read while they come in, on every loop and transport."""

import hashlib
from collections.abc import Generator, Iterator
from math import inf
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from tests.driver.harness import Observed, Serving, in_thread, until
from tests.driver.http1_client import BOUND, Client
from tests.driver.http2_client import Client2
from tests.driver.net import Net
from tests.driver.uploader import Uploader

from httpng_asyncio import IO, Application, Request, Router
from httpng_core import ReadTimeoutError, RequestCancelled

pytestmark = pytest.mark.anyio
PIECE = bytes(range(256)) * 256
MIB = 1 << 20


async def test_pieces_as_they_come(net: Net) -> None:
    """The handler has the first piece before the client sends the second."""
    pieces: list[bytes] = []
    got = anyio.Event()

    async def handler(req: Request, io: IO) -> bytes:
        async for piece in req.stream():
            pieces.append(piece)
            got.set()
        assert await req.read() == b""
        return b"".join(pieces)

    async with net.serving(Application(handler, stream_bodies=True)) as server, net.connect(server) as client:
        upload = Uploader(client, 10)
        upload.send(b"hello")
        with anyio.fail_after(BOUND):
            await got.wait()
        assert pieces == [b"hello"]
        upload.send(b"world")
        assert (await in_thread(client.read_response)).body == b"helloworld"
        # The connection goes on.
        assert (await in_thread(client.get)).status == 200


async def test_a_long_body_arrives_as_it_was_sent(net: Net) -> None:
    @Observed
    async def handler(req: Request, io: IO) -> tuple[int, str]:
        size, digest = 0, hashlib.sha256()
        async for piece in req.stream():
            size += len(piece)
            digest.update(piece)
        return size, digest.hexdigest()

    wanted = hashlib.sha256(PIECE * 64).hexdigest()
    async with net.serving(handler, stream_bodies=True) as server, net.connect(server) as client:
        upload = Uploader(client, 64 * len(PIECE))
        await in_thread(upload.send_all, [PIECE] * 64)
        assert await handler.outcome() == (64 * len(PIECE), wanted)
        assert (await in_thread(client.read_response)).status == 200


async def test_a_handler_that_does_not_read_holds_the_client_back(net: Net) -> None:
    going = anyio.Event()
    size = 64 * MIB

    @Observed
    async def handler(req: Request, io: IO) -> int:
        assert req.source is not None
        first = len(await req.read(1000))
        await going.wait()
        return first + sum([len(piece) async for piece in req.stream()])

    def endless(upload: Uploader) -> Iterator[bytes]:
        for _ in range(size // len(PIECE)):
            yield PIECE

    async with net.serving(handler, stream_bodies=True) as server, net.connect(server) as client:
        upload = Uploader(client, size)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(in_thread, upload.send_all, endless(upload))
            await until(lambda: upload.sent > 1000)
            await stands_still(upload)
            # The kernels' buffers hold a part of it, on HTTP/1.1; on HTTP/2 the window is all.
            assert upload.sent <= (256 * 1024 + 16384 if net.transport.http2 else 16 * MIB)
            going.set()
            assert await handler.outcome() == size


async def stands_still(upload: Uploader) -> None:
    """Waits until a client hasn't got on for a while."""
    before = -1
    with anyio.fail_after(BOUND):
        while before != upload.sent:
            before = upload.sent
            await anyio.sleep(0.2)


async def test_both_ways_at_once(net: Net) -> None:
    async def echo(req: Request, io: IO) -> None:
        async for piece in req.stream():
            await io.write(piece)

    async with net.serving(echo, stream_bodies=True) as server, net.connect(server) as client:
        upload = Uploader(client, 10)
        for piece in (b"hello", b"world"):
            upload.send(piece)
            seen = upload.sent
            response = await in_thread(client.read_body, seen)
            assert len(response.body) == seen
        assert (await in_thread(client.read_response)).body == b"helloworld"
        assert (await in_thread(client.get)).complete


async def test_an_early_answer_reaches_a_client_that_still_uploads(net: Net) -> None:
    async def handler(req: Request, io: IO) -> dict[str, Any]:
        await req.read()
        return {"status": 403, "body": b"enough"}

    async with net.serving(handler, stream_bodies=True) as server, net.connect(server) as client:
        upload = Uploader(client, 1 << 30)
        upload.send(PIECE[:40_000])
        response = await in_thread(client.read_response)
        assert (response.status, response.body, response.complete) == (403, b"enough", True)
    async with net.serving(handler, stream_bodies=True) as server, net.connect(server) as client:
        # One whose rest is short goes on with the same connection.
        upload = Uploader(client, 10)
        upload.send(b"hello")
        assert (await in_thread(client.read_response)).status == 403
        if not net.transport.http2:
            upload.send(b"world")
        assert (await in_thread(client.get)).status == 403


@pytest.mark.parametrize("begun", [False, True])
async def test_a_client_that_leaves(net: Net, begun: bool) -> None:
    reading = anyio.Event()

    @Observed
    async def handler(req: Request, io: IO) -> None:
        if begun:
            await io.write(b"so far")
        await req.read()
        reading.set()
        with pytest.raises(RequestCancelled):
            await req.read()
        assert io.get_send_stats().cancelled

    async with net.serving(handler, stream_bodies=True) as server, net.connect(server) as client:
        Uploader(client, 10).send(b"hello")
        with anyio.fail_after(BOUND):
            await reading.wait()
        client.close()
        await handler.outcome()


async def test_timeouts_and_cancelled_tasks_lose_nothing(net: Net) -> None:
    go = anyio.Event()

    @Observed
    async def handler(req: Request, io: IO) -> bytes:
        with pytest.raises(ReadTimeoutError):
            await req.read(timeout=0.01)
        with anyio.move_on_after(0.01) as scope:
            await req.read()
        assert scope.cancelled_caught
        go.set()
        return b"".join([piece async for piece in req.stream()])

    async with net.serving(handler, stream_bodies=True) as server, net.connect(server) as client:
        upload = Uploader(client, 5)
        with anyio.fail_after(BOUND):
            await go.wait()
        upload.send(b"hello")
        assert await handler.outcome() == b"hello"


async def test_a_read_that_is_cancelled_as_it_ends(net: Net) -> None:
    """What it had brought is there for the next one."""

    @Observed
    async def handler(req: Request, io: IO) -> bytes:
        pieces = []
        for _ in range(200):
            with anyio.CancelScope() as scope:
                scope.cancel()
                pieces.append(await req.read(1))
        return b"".join([*pieces, *[piece async for piece in req.stream()]])

    async with net.serving(handler, stream_bodies=True) as server, net.connect(server) as client:
        Uploader(client, 5).send(b"hello")
        assert await handler.outcome() == b"hello"


async def test_a_handler_with_much_to_read_lets_others_run(net: Net) -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await anyio.lowlevel.checkpoint()

    @Observed
    async def handler(req: Request, io: IO) -> int:
        first = await req.read(1)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(tick)
            await anyio.lowlevel.checkpoint()
            before = ticks
            for _ in range(999):
                first += await req.read(1)
            assert ticks - before >= 10
            tasks.cancel_scope.cancel()
        return len(first)

    async with net.serving(handler, stream_bodies=True) as server, net.connect(server) as client:
        Uploader(client, 1000).send(b"x" * 1000)
        assert await handler.outcome() == 1000


async def test_a_body_that_is_let_pass_is_the_clients_fault(
    net: Net, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(req: Request, io: IO) -> None:
        async for _ in req.stream():
            pass

    cfg: dict[str, Any] = {"stream_bodies": True, "body_timeout": 0.2}
    async with net.serving(handler, **cfg) as server, net.connect(server) as client:
        Uploader(client, 5).send(b"he")
        response = await in_thread(client.read_response)
        assert response.status == 408
        assert b"0.2" in response.body
    assert not [record for record in caplog.records if record.exc_info or record.levelname == "ERROR"]


async def test_a_generator_reads(serving: Serving) -> None:
    def generator(req: Request, io: Any) -> Generator[Any, Any, None]:
        size = 0
        while piece := (yield req.read(7)):
            assert len(piece) <= 7
            size += len(piece)
        assert (yield req.read(timeout=inf)) == b""
        yield io.write(b"%d" % size)
        return None

    for streams in (True, False):
        async with serving(generator, stream_bodies=streams) as server:
            with Client(server.addresses[0]) as client:
                upload = Uploader(client, 10)
                upload.send(b"hello")
                upload.send(b"world")
                assert (await in_thread(client.read_response)).body == b"10"


# Trailers and informational responses ------------------------------------------------------------------


async def test_trailers_both_ways_and_early_hints(net: Net) -> None:
    @Observed
    async def handler(req: Request, io: IO) -> dict[str, str]:
        await io.write_informational(103, {"link": "</x>; rel=preload"})
        async for piece in req.stream():
            await io.write(piece)
        await io.close(trailers={"digest": "abc"})
        return dict(req.trailers)

    async with net.serving(handler, stream_bodies=True) as server, net.connect(server) as client:
        if isinstance(client, Client2):
            upload = Uploader(client, 5, headers=[("te", "trailers")])
            upload.send(b"hello")
            response = await in_thread(client.read_response)
            (stream,) = client.http2.streams.values()
            assert (stream.interim, stream.trailers) == ([103], [("digest", "abc")])
            assert response.body == b"hello"
        else:
            client.send(
                b"POST / HTTP/1.1\r\nhost: x\r\nte: trailers\r\nconnection: te\r\n"
                b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx: y\r\n\r\n"
            )
            await in_thread(client.read_wire_until, b"digest: abc\r\n\r\n")
            assert client.wire.startswith(b"HTTP/1.1 103 Early Hints\r\nlink: </x>; rel=preload\r\n\r\n")
            assert await handler.outcome() == {"x": "y"}


async def test_trailers_of_a_generator(serving: Serving) -> None:
    def generator(req: Request, io: Any) -> Generator[Any, Any, None]:
        io.write_informational(103, {"link": "x"})
        while piece := (yield req.read()):
            yield io.write(piece)
        io.close(trailers=dict(req.trailers))

    async with serving(generator, stream_bodies=True) as server:
        with Client(server.addresses[0]) as client:
            client.send(
                b"POST / HTTP/1.1\r\nhost: x\r\nte: trailers\r\ntransfer-encoding: chunked\r\n\r\n"
                b"5\r\nhello\r\n0\r\nx: y\r\n\r\n"
            )
            await in_thread(client.read_wire_until, b"5\r\nhello\r\n0\r\nx: y\r\n\r\n")
            assert client.wire.startswith(b"HTTP/1.1 103 ")


# Who has it streamed ----------------------------------------------------------------------------------


async def tell(req: Request, io: IO) -> bytes:
    body = b"".join([piece async for piece in req.stream()])
    return b"%s %d" % (b"streamed" if req.is_streamed else b"whole", len(body))


def plain(req: Request) -> bytes:
    return b"plain %d" % len(req.body)


@pytest.mark.parametrize("default", [False, True])
async def test_sites_and_routes_decide(serving: Serving, default: bool) -> None:
    router = Router()
    router.route("/routes/default", tell)
    router.route("/routes/streamed", tell, stream_body=True)
    router.route("/routes/whole", tell, stream_body=False)
    router.route("/routes/plain", plain, stream_body=True)
    inner = Router()
    inner.route("/routes/inner/default", tell)
    router.route("/routes/inner/*rest", inner, stream_body=not default)
    sites = [
        {"path": "/streamed", "handler": tell, "stream_body": True},
        {"path": "/whole", "handler": tell, "stream_body": False},
        {"path": "/plain", "handler": plain, "stream_body": True},
        {"path": "/routes", "handler": router},
        {"path": "/files", "handler": "tests", "stream_body": True},
        {"path": "/", "handler": tell},
    ]
    otherwise = b"streamed 5" if default else b"whole 5"
    wanted = {
        "/streamed/x": b"streamed 5",
        "/whole": b"whole 5",
        "/plain": b"plain 5",
        "/": otherwise,
        "/routes/default": otherwise,
        "/routes/streamed": b"streamed 5",
        "/routes/whole": b"whole 5",
        "/routes/plain": b"plain 5",
        "/routes/inner/default": b"whole 5" if default else b"streamed 5",
    }
    async with serving(Application(sites=sites, stream_bodies=default)) as server:
        with Client(server.addresses[0]) as client:
            for path, body in wanted.items():
                Uploader(client, 5, path).send(b"hello")
                assert (await in_thread(client.read_response)).body == body, path
            for path, status in (("/files", 405), ("/routes/none", 404)):
                Uploader(client, 5, path).send(b"hello")
                assert (await in_thread(client.read_response)).status == status, path
            assert (await in_thread(client.get, "/streamed")).body == b"whole 0"


async def test_one_site_for_all(serving: Serving) -> None:
    async with serving(Application(sites=[{"path": "/", "handler": tell, "stream_body": True}])) as server:
        with Client(server.addresses[0]) as client:
            Uploader(client, 5).send(b"hello")
            assert (await in_thread(client.read_response)).body == b"streamed 5"


async def test_what_runs_before_routes_has_the_head(serving: Serving) -> None:
    router = Router()
    router.route("/", tell, stream_body=True)
    router.before(lambda req: {"status": 403, "body": b""} if "token" not in req.headers else None)
    async with serving(router) as server:
        with Client(server.addresses[0]) as client:
            # Nothing of the body is sent.
            Uploader(client, 5, headers=[("expect", "100-continue")])
            response = await in_thread(client.read_response)
            assert response.status == 403
        with Client(server.addresses[0]) as client:
            Uploader(client, 5, headers=[("token", "x")]).send(b"hello")
            assert (await in_thread(client.read_response)).body == b"streamed 5"


async def test_the_reference_engine_of_http1_gives_one_piece_that_of_http2_streams(net: Net) -> None:
    engines = {"http1_engine": "reference", "http2_engine": "reference"}
    async with net.serving(tell, stream_bodies=True, **engines) as server, net.connect(server) as client:
        Uploader(client, 5).send(b"hello")
        how = b"streamed" if net.transport.http2 else b"whole"
        assert (await in_thread(client.read_response)).body == how + b" 5"


async def test_an_upload_in_threads(serving: Serving) -> None:
    async with serving(tell, stream_bodies=True, threads=2) as server:
        for _ in range(4):
            with Client(server.addresses[0]) as client:
                Uploader(client, 5).send(b"hello")
                assert (await in_thread(client.read_response)).body == b"streamed 5"
