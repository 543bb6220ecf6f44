"""What a client sends: messages whole, within limits, and what breaks the protocol (RFC 6455, 5 to 8)."""

import os
import tracemalloc
import zlib
from typing import Any

import pytest
from tests.core.websocket.speaking import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    Socket,
    close,
    deflate,
    frame,
    request,
)

DEFLATE = "permessage-deflate"


def compressed(**settings: Any) -> Socket:
    return Socket(request(sec_websocket_extensions=DEFLATE), **settings)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 128, 65535, 65536, 200_000])
@pytest.mark.parametrize("step", [1 << 30, 1000, 7])
def test_a_message_comes_whole_however_it_is_cut(size: int, step: int) -> None:
    if step == 7 and size > 1000:
        step = 997
    data = os.urandom(size)
    wire = frame(BINARY, data) + frame(TEXT, b"x" * size)
    socket = Socket(ws_max_size=1 << 20)
    for at in range(0, len(wire), step):
        socket.receive(wire[at : at + step])
    assert socket.take_all() == [data, "x" * size]


def test_fragments_are_one_message_with_control_frames_between() -> None:
    socket = Socket()
    socket.receive(frame(TEXT, "a\u00e4".encode()[:2], fin=False) + frame(PING, b"p"))
    socket.receive(frame(0, "\u00e4".encode()[1:], fin=False) + frame(PONG) + frame(0, b"", fin=False))
    assert socket.take_all() == []
    socket.receive(frame(0, b"c"))
    socket.push()
    assert socket.take_all() == ["a\u00e4c"]
    assert socket.frames == [(0x80 | PONG, b"p")]


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        pytest.param(frame(TEXT, b"x", mask=False), 1002, id="not masked"),
        pytest.param(frame(3, b"x"), 1002, id="opcode 3"),
        pytest.param(frame(7, b"x"), 1002, id="opcode 7"),
        pytest.param(frame(11, b"x"), 1002, id="opcode 11"),
        pytest.param(frame(15, b"x"), 1002, id="opcode 15"),
        pytest.param(frame(TEXT, b"x", rsv=4), 1002, id="RSV1"),
        pytest.param(frame(TEXT, b"x", rsv=2), 1002, id="RSV2"),
        pytest.param(frame(PING, b"x", rsv=1), 1002, id="RSV3"),
        pytest.param(frame(PING, b"x" * 126), 1002, id="long PING"),
        pytest.param(frame(PING, b"x", fin=False), 1002, id="PING in parts"),
        pytest.param(frame(CLOSE, b"", fin=False), 1002, id="CLOSE in parts"),
        pytest.param(frame(0, b"x"), 1002, id="a part of nothing"),
        pytest.param(frame(TEXT, b"x", fin=False) + frame(TEXT, b"x"), 1002, id="a message in another"),
        pytest.param(b"\x82\xfe\x00\x05MASK12345", 1002, id="length in two bytes"),
        pytest.param(b"\x82\xff" + bytes(6) + b"\xff\xffMASK", 1002, id="length in eight bytes"),
        pytest.param(b"\x82\xff\x80" + bytes(7) + b"MASK", 1002, id="negative length"),
        pytest.param(frame(CLOSE, b"\x03"), 1002, id="half a code"),
        *(
            pytest.param(close(code), 1002, id=f"CLOSE {code}")
            for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)
        ),
        pytest.param(close(1000, b"\xff"), 1007, id="reason"),
        pytest.param(frame(TEXT, b"\xce\xba\xe1\xbd\xb9\xcf\x83\xed\xa0\x80edited"), 1007, id="surrogate"),
        pytest.param(frame(TEXT, b"\xf4\x90\x80\x80"), 1007, id="beyond Unicode"),
        pytest.param(frame(TEXT, b"\xc0\xaf"), 1007, id="overlong"),
        pytest.param(frame(TEXT, b"\xe1\x80"), 1007, id="cut at the end"),
        pytest.param(frame(TEXT, b"ok\xff", fin=False), 1007, id="at once, not at the end"),
    ],
)
def test_what_breaks_the_protocol_is_told_by_its_code(sent: bytes, code: int) -> None:
    socket = Socket()
    socket.receive(frame(TEXT, b"before") + sent + frame(TEXT, b"behind"))
    socket.push()
    assert socket.take_all() == ["before"]
    assert [payload[:2] for payload in socket.closes] == [code.to_bytes(2, "big")]
    assert socket.ws.close_code == code
    # No answer is awaited: what breaks the protocol may not answer.
    assert socket.connection.half_close_expected()
    assert socket.outcomes == ["complete"]


@pytest.mark.parametrize("code", [*range(1000, 1004), *range(1007, 1014), 3000, 3999, 4000, 4999])
def test_codes_that_a_client_may_send_are_echoed(code: int) -> None:
    socket = Socket()
    socket.receive(close(code, b"why"))
    socket.push()
    assert socket.closes == [code.to_bytes(2, "big")]
    assert (socket.ws.close_code, socket.ws.close_reason) == (code, "why")


def test_utf_8_may_be_cut_anywhere_between_frames() -> None:
    text = "\u03ba\u1f79\u03c3\u03bc\u03b5 \U0001f600"
    data = text.encode()
    for at in range(len(data) + 1):
        socket = Socket()
        socket.receive(frame(TEXT, data[:at], fin=False) + frame(0, data[at:]))
        assert socket.take_all() == [text]


# Limits -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("parts", [1, 2, 100])
def test_a_message_that_is_too_long_is_told_so(parts: int) -> None:
    for size, code in ((1000, None), (1001, 1009)):
        data = b"x" * size
        cuts = [data[at : at + -(-size // parts)] for at in range(0, size, -(-size // parts))]
        wire = b"".join(
            frame(BINARY if number == 0 else 0, piece, fin=number == len(cuts) - 1)
            for number, piece in enumerate(cuts)
        )
        socket = Socket(ws_max_size=1000)
        for at in range(0, len(wire), 100):
            socket.receive(wire[at : at + 100])
        socket.rest()
        assert socket.ws.close_code == code
        assert socket.take_all() == ([data] if code is None else [])


def test_text_is_measured_in_bytes() -> None:
    socket = Socket(ws_max_size=9)
    socket.receive(frame(TEXT, "\u20ac\u20ac\u20ac".encode()))
    assert socket.take_all() == ["\u20ac\u20ac\u20ac"]
    socket.receive(frame(TEXT, "\u20ac\u20ac\u20acx".encode()))
    assert socket.ws.close_code == 1009


def test_what_is_compressed_is_inflated_within_the_limit() -> None:
    socket = compressed(ws_max_size=100_000)
    bomb = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = bomb.compress(bytes(100 << 20)) + bomb.flush(zlib.Z_SYNC_FLUSH)
    tracemalloc.start()
    for at in range(0, len(wire := frame(BINARY, data[:-4], rsv=4)), 65536):
        socket.receive(wire[at : at + 65536])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert socket.ws.close_code == 1009
    assert peak < 2 << 20


@pytest.mark.parametrize("size", [0, 1, 99_999, 100_000])
def test_what_is_compressed_comes_whole_up_to_the_limit(size: int) -> None:
    socket = compressed(ws_max_size=100_000)
    data = deflate(bytes(size))
    socket.receive(frame(BINARY, data[:3], rsv=4, fin=False) + frame(PING) + frame(0, data[3:]))
    assert socket.take_all() == [bytes(size)]
    socket.receive(frame(BINARY, deflate(bytes(100_001)), rsv=4))
    assert socket.ws.close_code == 1009


def test_a_client_may_keep_its_dictionary_from_message_to_message() -> None:
    socket = compressed()
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    told = []
    for number in range(20):
        message = f"the same words again, {number}"
        told.append(message)
        data = deflater.compress(message.encode()) + deflater.flush(zlib.Z_SYNC_FLUSH)
        socket.receive(frame(TEXT, data[:-4], rsv=4) + frame(PONG))
        socket.receive(frame(TEXT, b"plain"))
        told.append("plain")
        assert socket.take_all() == told[-2:]


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (frame(TEXT, b"\xff\xff\xff", rsv=4), 1007),
        (frame(TEXT, b"a", rsv=4, fin=False) + frame(0, b"b", rsv=4), 1002),
        (frame(PING, b"a", rsv=4), 1002),
        (frame(TEXT, deflate(b"\xff\xfe"), rsv=4), 1007),
    ],
)
def test_what_breaks_the_rules_of_compression_is_told(sent: bytes, code: int) -> None:
    socket = compressed()
    socket.receive(sent)
    socket.push()
    assert [payload[:2] for payload in socket.closes] == [code.to_bytes(2, "big")]


def test_a_block_that_says_that_it_is_the_last_ends_only_the_message() -> None:
    socket = compressed()
    for _ in range(2):
        deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
        data = deflater.compress(b"Hello") + deflater.flush(zlib.Z_FINISH) + b"\0"
        socket.receive(frame(TEXT, data, rsv=4))
        assert socket.take_all() == ["Hello"]


# Backpressure -------------------------------------------------------------------------------------------


def test_nothing_is_read_while_nobody_takes_messages() -> None:
    socket = Socket(ws_max_queue=3)
    for number in range(3):
        assert socket.connection.wants_read
        socket.receive(frame(TEXT, b"%d" % number))
    assert not socket.connection.wants_read
    assert socket.ws.take(socket.now) == "0"
    assert socket.connection.wants_read
    assert socket.wakes


def test_many_messages_in_one_read_wait_for_their_turn() -> None:
    socket = Socket(ws_max_queue=10)
    socket.receive(b"".join(frame(TEXT, b"%d" % number) for number in range(500)))
    assert len(socket.ws.inbox.messages) == 10
    told: list[str | bytes] = []
    while len(told) < 500:
        got = socket.take_all()
        assert got
        told += got
        socket.rest()
    assert told == [str(number) for number in range(500)]
    assert socket.connection.wants_read


def test_one_event_reads_a_bounded_number_of_frames() -> None:
    socket = Socket()
    socket.receive(frame(PONG) * 5000 + frame(TEXT, b"behind"))
    turns = 0
    while not socket.ws.inbox.messages:
        assert not socket.connection.wants_read
        assert socket.connection.next_deadline() == 0.0
        socket.connection.handle_timeout(socket.now)
        turns += 1
    assert 70 < turns < 90
    assert socket.connection.wants_read


def test_a_fin_behind_frames_that_wait_for_their_turn_comes_after_them() -> None:
    socket = Socket(ws_max_queue=1000)
    socket.receive(frame(TEXT, b"x") * 200 + close(1001))
    socket.eof()
    socket.rest()
    assert len(socket.take_all()) == 200
    assert socket.ws.close_code == 1001
    assert socket.outcomes == ["complete"]


def test_bytes_that_wait_are_bounded_as_well() -> None:
    socket = Socket(ws_max_size=1000)
    socket.receive(frame(BINARY, bytes(600)))
    assert socket.connection.wants_read
    socket.receive(frame(BINARY, bytes(600)))
    assert not socket.connection.wants_read


def test_parts_of_one_byte_take_no_more_memory_than_they_hold() -> None:
    socket = Socket()
    wire = frame(BINARY, b"", fin=False) + frame(0, b"x", fin=False) * 9000
    tracemalloc.start()
    for at in range(0, len(wire), 4096):
        socket.receive(wire[at : at + 4096])
        socket.rest()
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert held < 200_000
    socket.receive(frame(0, b"y"))
    assert socket.take_all() == [b"x" * 9000 + b"y"]


# PING ---------------------------------------------------------------------------------------------------


def test_a_ping_is_answered_with_what_it_says() -> None:
    socket = Socket()
    for payload in (b"", b"Hello", bytes(125)):
        socket.receive(frame(PING, payload))
        socket.push()
        assert socket.frames[-1] == (0x80 | PONG, payload)


def test_pings_that_come_together_are_each_answered() -> None:
    socket = Socket()
    socket.receive(b"".join(frame(PING, b"%d" % number) for number in range(10)))
    socket.rest()
    assert socket.frames == [(0x80 | PONG, b"%d" % number) for number in range(10)]


def test_of_many_pings_the_last_are_answered_and_what_is_held_is_bounded() -> None:
    socket = Socket()
    for number in range(1000):
        socket.receive(frame(PING, b"%d" % number))
    # The kernel takes nothing meanwhile: one answer is held.
    assert socket.exchange.current - socket.exchange.sent <= 127
    socket.rest()
    assert [payload for _, payload in socket.frames] == [b"0"] + [
        b"%d" % number for number in range(984, 1000)
    ]


def test_an_answer_goes_between_messages_that_wait_for_room() -> None:
    socket = Socket()
    waits = socket.send("x" * 100, window=10)
    first = socket.send("y" * 10, window=10)
    socket.receive(frame(PING, b"p"))
    socket.rest()
    assert waits.settled
    assert first.settled
    assert socket.frames == [
        (0x80 | PONG, b"p"),
        (0x80 | TEXT, b"x" * 100),
        (0x80 | TEXT, b"y" * 10),
    ]


def test_what_is_not_taken_is_held() -> None:
    socket = Socket()
    connection = socket.connection
    socket.push()
    socket.advance(1)
    socket.receive(frame(TEXT, b"hello"))
    part = frame(BINARY, bytes(1000))
    socket.receive(part[:600])
    began = socket.now
    socket.advance(1)
    (holding,) = connection.holdings()
    assert (holding.size, holding.since) == (5 + 592, began)
    assert socket.ws.take(socket.now) == "hello"
    socket.receive(part[600:])
    (holding,) = connection.holdings()
    assert (holding.size, holding.since) == (1000, socket.now)
    assert socket.take_all() == [bytes(1000)]
    assert connection.holdings() == []
