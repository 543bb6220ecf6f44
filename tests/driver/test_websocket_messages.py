"""What Autobahn's fuzzing client tries over HTTP/1.1 (sections 1 to 7, 9, 10, 12 and 13), on each transport.

`tests/interop/test_autobahn.py` runs Autobahn itself, which knows no HTTP/2.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from tests.core.websocket.speaking import BINARY, CLOSE, PING, PONG, TEXT, close, deflate, frame
from tests.driver.harness import in_thread
from tests.driver.net import Net
from tests.driver.ws_client import WsClient

from httpng_core import Request
from httpng_driver import IO

pytestmark = pytest.mark.anyio

GREEK = "\u03ba\u1f79\u03c3\u03bc\u03b5 \U0001f600"
SIZES = [0, 125, 126, 127, 128, 65535, 65536]
LONG = [1 << 18, 1 << 20]
HELLO = frame(TEXT, b"hello")
VALID_CODES = [*range(1000, 1004), *range(1007, 1014), 3000, 3999, 4000, 4999]
INVALID_CODES = [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535]
PREPARED = [GREEK.encode(), b"\xf4\x8f\xbf\xbf", b"\xee\x80\x80", b"\xef\xbf\xbf", b"\x00", b"\xc2\x80"]
INVALID_UTF_8 = [
    b"\xce\xba\xe1\xbd\xb9\xcf\x83\xed\xa0\x80edited",
    b"\xf8\x88\x80\x80\x80",
    b"\xf4\x90\x80\x80",
    b"\xc0\xaf",
    b"\xe1\x80",
    b"\x80",
    b"\xfe",
    b"\xed\xbf\xbf",
]


@dataclass(frozen=True)
class Case:
    """What a client sends, and what must come of it.

    Attributes:
        name: what it is about.
        sent: what is sent, in so many calls.
        told: the messages that come back.
        pongs: what PONGs say.
        code: that of the server's CLOSE; `None`: the client closes with 1000, and gets that.
    """

    name: str
    sent: tuple[bytes, ...]
    told: tuple[str | bytes, ...] = ()
    pongs: tuple[bytes, ...] = ()
    code: int | None = None


def chops(wire: bytes, size: int) -> tuple[bytes, ...]:
    return tuple(wire[at : at + size] for at in range(0, len(wire), size))


def parts(kind: int, data: bytes, size: int, between: bytes = b"") -> bytes:
    """A message in frames of `size` bytes, with other frames between them."""
    pieces = chops(data, size) or (b"",)
    last = len(pieces) - 1
    return between.join(
        frame(0 if number else kind, piece, fin=number == last) for number, piece in enumerate(pieces)
    )


def lengths() -> Iterator[Case]:
    for size in SIZES:
        text, data = "*" * size, b"\xfe" * size
        yield Case(f"1 text of {size}", (frame(TEXT, text.encode()),), (text,))
        yield Case(f"1 binary of {size}", (frame(BINARY, data),), (data,))
    yield Case("1 in chops", chops(frame(TEXT, b"*" * 65536), 997), ("*" * 65536,))
    for size in LONG:
        yield Case(f"9 text of {size}", (frame(TEXT, b"*" * size),), ("*" * size,))
        yield Case(f"9 binary of {size}", (parts(BINARY, b"\xfe" * size, 4096),), (b"\xfe" * size,))
        yield Case(f"9 {size} in chops", chops(frame(BINARY, b"\xfe" * size), 2048), (b"\xfe" * size,))
    yield Case("10 frames of 1300", (parts(TEXT, b"*" * 65536, 1300),), ("*" * 65536,))


def control_frames() -> Iterator[Case]:
    for payload in (b"", b"hello", b"\x00\xff\xfe\xfd", b"\xfe" * 125):
        yield Case("2 PING", (frame(PING, payload),), pongs=(payload,))
    yield Case("2 PING byte by byte", chops(frame(PING, b"\xfe" * 125), 1), pongs=(b"\xfe" * 125,))
    yield Case("2 a PONG that nobody asked for", (frame(PONG, b"x") + frame(PING, b"y"),), pongs=(b"y",))
    many = tuple(b"%d" % number for number in range(10))
    yield Case("2 ten PINGs", (b"".join(frame(PING, payload) for payload in many),), pongs=many)
    yield Case("2 ten PINGs in chops", chops(b"".join(frame(PING, one) for one in many), 1), pongs=many)
    yield Case("2 a long PING", (frame(PING, b"\xfe" * 126),), code=1002)


def reserved() -> Iterator[Case]:
    for rsv in range(1, 8):
        yield Case(f"3 RSV {rsv}", (HELLO, frame(TEXT, b"x", rsv=rsv) + HELLO), ("hello",), code=1002)
    for opcode in (*range(3, 8), *range(11, 16)):
        yield Case(f"4 opcode {opcode}", (HELLO, frame(opcode, b"x") + HELLO), ("hello",), code=1002)


def fragments() -> Iterator[Case]:
    yield Case("5 two", (parts(TEXT, b"fragment1fragment2", 9),), ("fragment1fragment2",))
    ping = frame(PING, b"p")
    yield Case("5 PING between", (parts(TEXT, b"onetwo", 3, ping),), ("onetwo",), (b"p",))
    in_chops = chops(parts(TEXT, b"onetwo", 3, ping), 1)
    yield Case("5 byte by byte", in_chops, ("onetwo",), (b"p",))
    yield Case("5 PING in parts", (parts(PING, b"onetwo", 3),), code=1002)
    yield Case("5 PONG in parts", (parts(PONG, b"onetwo", 3),), code=1002)
    yield Case("5 a part of nothing", (frame(0, b"x") + HELLO,), code=1002)
    yield Case("5 a part of nothing, unfinished", (frame(0, b"x", fin=False) + HELLO,), code=1002)
    yield Case("5 a message in another", (frame(TEXT, b"x", fin=False) + HELLO,), code=1002)


def texts() -> Iterator[Case]:
    for data in (b"", *PREPARED):
        yield Case(f"6 {data!r}", (frame(TEXT, data),), (data.decode(),))
        yield Case(f"6 {data!r} in parts", (parts(TEXT, data, 1),), (data.decode(),))
    yield Case("6 three empty parts", (parts(TEXT, b"", 1),), ("",))
    for data in INVALID_UTF_8:
        yield Case(f"6 {data!r}", (HELLO, frame(TEXT, data)), ("hello",), code=1007)
        yield Case(f"6 {data!r} in parts", (HELLO, parts(TEXT, data, 1)), ("hello",), code=1007)
    # It is told at once, not at the end of the message, which never comes.
    yield Case("6 at once", (frame(TEXT, b"ok\xf4\x90", fin=False),), code=1007)


def closes() -> Iterator[Case]:
    for code in VALID_CODES:
        yield Case(f"7 CLOSE {code}", (HELLO, close(code, b"why" * 41)), ("hello",), code=code)
    for code in INVALID_CODES:
        yield Case(f"7 CLOSE {code}", (HELLO, close(code)), ("hello",), code=1002)
    yield Case("7 what follows", (close() + HELLO + frame(PING, b"x"),), code=1000)
    yield Case("7 in a message", (frame(TEXT, b"x", fin=False) + close(),), code=1000)
    yield Case("7 half a code", (frame(CLOSE, b"\x03"),), code=1002)
    yield Case("7 a long reason", (close(1000, b"x" * 124),), code=1002)
    yield Case("7 no text", (close(1000, b"\xce\xba\xe1\xbd\xb9\xcf\x83\xed\xa0\x80"),), code=1007)


def compressed() -> Iterator[Case]:
    for size in (16, 64, 256, 1024, 4096, 8192, 16384, 32768, 65536, 131072):
        text = (GREEK * (size // 5 + 1))[:size]
        whole = frame(TEXT, deflate(text.encode()), rsv=4)
        yield Case(f"12 {size}", (whole * 20,), (text,) * 20)
        first, *others = chops(deflate(text.encode()), 256)
        last = len(others)
        cut = frame(TEXT, first, rsv=4, fin=not others) + b"".join(
            frame(0, piece, fin=number == last) for number, piece in enumerate(others, 1)
        )
        yield Case(f"13 {size} in parts", chops(cut * 5, 1 << 14), (text,) * 5)
    yield Case("12 as it is", (HELLO,), ("hello",))


SECTIONS = [lengths, control_frames, reserved, fragments, texts, closes, compressed]


async def echo(req: Request, io: IO) -> None:
    ws = await io.accept_websocket()
    async for message in ws:
        await ws.send(message)


def go_through(ws: WsClient, case: Case) -> None:
    """Sends what the case says and reads to the end; blocks."""
    ws.shake()
    told = []
    for number, data in enumerate(case.sent):
        ws.send(data)
        if data == HELLO and not number:
            # What comes behind may close it, and a message that nobody has taken yet isn't echoed then.
            told.append(ws.read())
    told += [ws.read() for _ in case.told[len(told) :]]
    while len(ws.pongs) < len(case.pongs) and ws.client.receive():
        ws.decode()
    if case.code is None:
        # Of PINGs that came together, those that aren't answered by then never are.
        ws.close(1000)
    assert ws.read() is None, case.name
    assert tuple(told) == case.told, case.name
    assert tuple(ws.pongs) == case.pongs, case.name
    assert ws.closed is not None, case.name
    assert ws.closed[0] == (1000 if case.code is None else case.code), case.name


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.__name__)
async def test_whatever_a_client_sends(net: Net, section: object) -> None:
    assert callable(section)
    async with net.serving(echo, ws_max_size=1 << 24) as server:
        for case in section():
            async with net.connect(server) as client:
                ws = WsClient(client, compressed=section is compressed)
                await in_thread(go_through, ws, case)
