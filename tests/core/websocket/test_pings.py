"""The clock of PINGs: when one goes, and when a client that doesn't answer is gone."""

from math import inf
from typing import Any

import pytest
from tests.core.websocket.speaking import PING, PONG, TEXT, Socket, frame

SETTINGS: dict[str, Any] = {"ws_ping_interval": 20, "ws_ping_timeout": 5}


def pings(socket: Socket) -> list[bytes]:
    return [payload for first, payload in socket.frames if first & 0xF == PING]


def step(socket: Socket, seconds: float, room: float = inf) -> None:
    socket.advance(seconds)
    socket.push(room)


def test_a_client_that_answers_stays() -> None:
    socket = Socket(**SETTINGS)
    for count in range(1, 5):
        step(socket, 19.9)
        assert len(pings(socket)) == count - 1
        step(socket, 0.1)
        assert len(pings(socket)) == count
        socket.receive(frame(PONG, pings(socket)[-1]))
    assert socket.outcomes == []


def test_one_that_does_not_is_gone() -> None:
    socket = Socket(**SETTINGS)
    step(socket, 20)
    # Neither messages nor answers to something else are an answer.
    socket.receive(frame(TEXT, b"x") + frame(PONG, b"other"))
    step(socket, 4.9)
    assert socket.outcomes == []
    step(socket, 0.1)
    assert socket.outcomes == ["cancelled"]
    assert socket.exchange.cause.text == "no PONG has come within ws_ping_timeout"
    assert socket.ws.close_code == 1006


def test_a_client_that_reads_slowly_is_not_gone_while_anything_moves() -> None:
    socket = Socket(**SETTINGS)
    socket.send("x" * 100_000)
    for _ in range(50):
        step(socket, 1.0, room=1000)
    assert socket.outcomes == []
    socket.push()
    step(socket, 4.9)
    assert socket.outcomes == []
    socket.receive(frame(PONG, pings(socket)[-1]))
    step(socket, 10)
    assert socket.outcomes == []


def test_a_client_that_reads_nothing_is_gone() -> None:
    socket = Socket(**SETTINGS)
    socket.send("x" * 100_000)
    socket.push(10)
    step(socket, 20, room=0)
    assert socket.outcomes == []
    step(socket, 5, room=0)
    assert socket.outcomes == ["cancelled"]


def test_no_answer_can_be_missed_while_nothing_is_read() -> None:
    socket = Socket(ws_max_queue=1, **SETTINGS)
    socket.receive(frame(TEXT, b"x"))
    for _ in range(20):
        step(socket, 5)
    assert len(pings(socket)) == 1
    assert socket.outcomes == []
    socket.ws.take(socket.now)
    step(socket, 4)
    assert socket.outcomes == []
    step(socket, 1.1)
    assert socket.outcomes == ["cancelled"]


@pytest.mark.parametrize("interval", [inf, 20])
def test_infinity_waits_for_nothing(interval: float) -> None:
    socket = Socket(ws_ping_interval=interval, ws_ping_timeout=inf)
    for _ in range(10):
        step(socket, 20)
    assert len(pings(socket)) == (0 if interval == inf else 10)
    assert socket.outcomes == []


def test_a_close_ends_it() -> None:
    socket = Socket(ws_close_timeout=1000, **SETTINGS)
    step(socket, 20)
    socket.ws.close(socket.now)
    for _ in range(10):
        step(socket, 20)
    assert len(pings(socket)) == 1
    assert socket.outcomes == []


def test_one_that_nobody_has_to_answer_waits_until_the_one_before_has_gone() -> None:
    socket = Socket(ws_ping_interval=20, ws_ping_timeout=inf)
    socket.push()
    for _ in range(3):
        socket.advance(20)
    socket.push()
    assert [first for first, _ in socket.frames] == [0x89]
    socket.advance(20)
    socket.push()
    assert [first for first, _ in socket.frames] == [0x89, 0x89]
