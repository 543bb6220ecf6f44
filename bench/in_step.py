"""What a payload of a feed costs for each follower in step, beside a bare loop, in one process: µs of CPU.

A hub serves 500 followers over TCP of this machine, and one payload is published a turn. Beside it, turn by
turn, a loop without a server does what the protocol can't share: over HTTP/1.1 it sends a chunk, over TLS it
seals it for each client (`ssl.MemoryBIO`, as the server does), over HTTP/2 it frames DATA with the id of each
stream. Both have clients that hold their ends open and read between the turns.

    python bench/in_step.py [http/1.1 tls http/2 http/2+tls] [--followers 500] [--streams 1] [--turns 60]
        [--size 200] [--loop uvloop]

`--streams`: how many followers share a connection of HTTP/2; the bare loop sends a frame at a time as well.
"""

import argparse
import asyncio
import resource
import socket
import ssl
import statistics
import struct
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from certificate import write_certificate  # type: ignore[import-not-found]

from httpng_core import Address, Application, CertificateFiles, Certificates, TlsFiles, parse_settings
from httpng_core.testing import Http2Client, TlsEnd
from httpng_driver import Feed
from httpng_driver.loop.accepted import Accepted
from httpng_driver.loop.hub import Hub

WIRES = ("http/1.1", "tls", "http/2", "http/2+tls")
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
WINDOW = 1 << 30
WARM_UP = 10
_DATA_HEAD = struct.Struct(">IBI")


class Client:
    """The client's end of a connection, sealed or not; what comes is thrown away once all is set up."""

    def __init__(self, end: socket.socket, wire: str, context: ssl.SSLContext) -> None:
        self._end = end
        self._tls = TlsEnd(context, server_side=False) if "tls" in wire else None
        self._http2 = Http2Client(WINDOW) if "http/2" in wire else None
        if self._http2 is not None:
            self._http2.give(WINDOW)
        self._shaken = self._tls is None

    def ask(self, streams: int) -> None:
        """Send a request for each stream, once hands are shaken."""
        asked = GET
        if self._http2 is not None:
            for _ in range(streams):
                self._http2.request("/")
            asked = self._http2.take()
        if self._tls is not None:
            self._tls.seal(asked)
            asked = self._tls.take()
        self._end.send(asked)

    def shake(self) -> bool:
        """Go on with the handshake; return whether it is over."""
        if self._tls is None:
            return True
        with suppress(BlockingIOError):
            self._tls.receive(self._end.recv(65536))
        self._shaken = self._shaken or self._tls.shake()
        if data := self._tls.take():
            self._end.send(data)
        return self._shaken

    def take(self) -> int:
        """Throw away what has come; return how much that is."""
        size = 0
        with suppress(BlockingIOError):
            while data := self._end.recv(1 << 18):
                size += len(data)
        return size

    def close(self) -> None:
        """Go away."""
        self._end.close()


class Bare:
    """The floor: for each follower a loop makes what can't be shared, and sends."""

    def __init__(
        self, wire: str, options: argparse.Namespace, certificates: Certificates, context: ssl.SSLContext
    ) -> None:
        self._wire, self._streams = wire, options.streams
        self._targets: list[tuple[Any, Any, Any, int]] = []
        self.clients: list[Client] = []
        for ours, theirs in _pairs(options.followers // options.streams):
            client = Client(theirs, "tls" if "tls" in wire else "http/1.1", context)
            self.clients.append(client)
            end: Any = None
            if "tls" in wire:
                end = _Sealing(certificates.context)
                while not (end.shake(ours) & client.shake()):
                    pass
            seal, read = (None, None) if end is None else (end.object.write, end.outgoing.read)
            for number in range(options.streams):
                self._targets.append((ours.send, seal, read, 2 * number + 1))
            ours.setblocking(False)

    def send(self, body: bytes) -> None:
        """Send a payload to all."""
        chunk = b"%x\r\n%b\r\n" % (len(body), body)
        size = len(body) << 8
        if self._wire == "http/1.1":
            for send, _, _, _ in self._targets:
                send(chunk)
        elif self._wire == "tls":
            for send, seal, read, _ in self._targets:
                seal(chunk)
                send(read())
        elif self._wire == "http/2":
            for send, _, _, stream in self._targets:
                send(_DATA_HEAD.pack(size, 0, stream) + body)
        else:
            for send, seal, read, stream in self._targets:
                seal(_DATA_HEAD.pack(size, 0, stream) + body)
                send(read())


class _Sealing:
    """The server's end of TLS, as a bare loop has it."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.object = context.wrap_bio(self._incoming, self.outgoing, server_side=True)
        self._shaken = False

    def shake(self, sock: socket.socket) -> bool:
        """Go on with the handshake; return whether it is over."""
        sock.setblocking(False)
        with suppress(BlockingIOError):
            self._incoming.write(sock.recv(65536))
        with suppress(ssl.SSLWantReadError):
            self.object.do_handshake()
            self._shaken = True
        if data := self.outgoing.read():
            sock.send(data)
        return self._shaken


class Served:
    """The followers that a hub serves."""

    def __init__(
        self,
        wire: str,
        hub: Hub,
        options: argparse.Namespace,
        certificates: Certificates,
        context: ssl.SSLContext,
    ) -> None:
        self.clients: list[Client] = []
        self._streams = options.streams
        shown = certificates if "tls" in wire else None
        for ours, theirs in _pairs(options.followers // options.streams):
            client = Client(theirs, wire, context)
            hub.take(Accepted(ours, Address("127.0.0.1", 1), Address("127.0.0.1", 2), certificates=shown))
            self.clients.append(client)

    async def begin(self, feed: Feed, followers: int, rest: Callable[[], Awaitable[None]]) -> None:
        """Shake hands and ask; come back when all follow and have had their head."""
        waiting = list(self.clients)
        while waiting:
            await rest()
            waiting = [client for client in waiting if not client.shake()]
        for client in self.clients:
            client.ask(self._streams)
        while feed.get_stats().followers < followers:
            await rest()
        for _ in range(20):
            await rest()


async def measure(wire: str, options: argparse.Namespace, rest: Callable[[], Awaitable[None]]) -> None:
    """Measure one wire, and print."""
    from httpng_asyncio.reactor import AsyncioReactor

    feed = Feed()

    async def follow(request: object, io: Any) -> None:
        await io.follow(feed)

    with tempfile.TemporaryDirectory() as folder:
        write_certificate(Path(folder))
        pair = CertificateFiles(f"{folder}/server.pem", f"{folder}/server.key")
        certificates = Certificates(TlsFiles((pair,)), parse_settings({}))
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"] if "http/2" in wire else ["http/1.1"])
    own, floor = [], []
    async with AsyncioReactor() as running:
        hub = Hub(Application(follow), running)
        served, bare = (
            Served(wire, hub, options, certificates, context),
            Bare(wire, options, certificates, context),
        )
        await served.begin(feed, options.followers, rest)
        for turn in range(options.turns + WARM_UP):
            body = (b"data: %d " % turn).ljust(options.size - 2, b".") + b"\n\n"
            before = time.process_time()
            bare.send(body)
            floor.append(time.process_time() - before)
            before = time.process_time()
            feed.publish(body)
            while hub.feed_turns:
                await rest()
            own.append(time.process_time() - before)
            await rest()
            least = min(sum(client.take() for client in one.clients) for one in (served, bare))
            assert least >= options.followers * options.size, "somebody got nothing"
        in_step = sum(loop.in_step for loop in feed.statistics().loops)
        for client in (*served.clients, *bare.clients):
            client.close()
        hub.close()
    _print(wire, own[WARM_UP:], floor[WARM_UP:], in_step, options.followers)


def _print(wire: str, own: list[float], floor: list[float], in_step: int, followers: int) -> None:
    each = 1e6 / followers
    ratio = statistics.median(b / a for a, b in zip(own, floor, strict=True))
    least, middle = min(own) * each, statistics.median(own) * each
    least_bare, middle_bare = min(floor) * each, statistics.median(floor) * each
    print(
        f"{wire:10} {least:6.2f} µs at least, {middle:6.2f} in the median, {in_step} in step; "
        f"bare {least_bare:5.2f}, {middle_bare:5.2f}; {ratio:.2f} of the bare loop"
    )


def _pairs(count: int) -> list[tuple[socket.socket, socket.socket]]:
    """Return connections over TCP: the server's end and the client's."""
    pairs = []
    with socket.create_server(("127.0.0.1", 0), backlog=16) as listener:
        for _ in range(count):
            theirs = socket.create_connection(listener.getsockname())
            ours, _ = listener.accept()
            for end in (ours, theirs):
                end.setblocking(False)
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            ours.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, 16384)
            pairs.append((ours, theirs))
    return pairs


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("wires", nargs="*", default=WIRES)
    parser.add_argument("--followers", type=int, default=500)
    parser.add_argument("--streams", type=int, default=1, help="followers to a connection of HTTP/2")
    parser.add_argument("--turns", type=int, default=60)
    parser.add_argument("--size", type=int, default=200, help="of a payload, in bytes")
    parser.add_argument("--loop", choices=["uvloop", "asyncio"], default="uvloop")
    return parser.parse_args()


def main() -> None:
    """Measure all that is asked for."""
    options = _options()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if options.loop == "uvloop":
        import uvloop

        run: Callable[[Any], None] = uvloop.run
    else:
        run = asyncio.run
    for wire in options.wires:
        run(measure(wire, options, lambda: asyncio.sleep(0)))


if __name__ == "__main__":
    main()
