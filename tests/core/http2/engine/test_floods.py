"""Floods that a session meets: what clients do at a rate that no useful work explains."""

from struct import pack

import pytest
from tests.core.http2.engine.driving import (
    GET,
    POST,
    Driven,
    data,
    frame,
    rst,
    settings,
    window_update,
)

from httpng_core.http2.engine import ENHANCE_YOUR_CALM, MAX_WINDOW, PREFACE, Config, Session, frames

UPDATE = frame(frames.PRIORITY_UPDATE, 0, 0, pack(">L", 9) + b"u=1")
FLOODS: dict[str, bytes] = {
    "PING": frame(frames.PING, 0, 0, bytes(8)),
    "answers to PING": frame(frames.PING, 1, 0, bytes(8)),
    "SETTINGS": settings(),
    "SETTINGS of 100 entries": settings(*[(4, 100)] * 100),
    "acknowledgements of SETTINGS": frames.SETTINGS_ACK,
    "PRIORITY": frame(frames.PRIORITY, 0, 9, bytes(5)),
    "PRIORITY_UPDATE": UPDATE,
    "WINDOW_UPDATE": window_update(0, 1),
    "WINDOW_UPDATE of a stream": window_update(1, 1),
    "empty DATA": data(1),
    "padding alone": frame(frames.DATA, frames.PADDED, 1, b"\0"),
    "unknown frames": frame(0xFF, 0, 0, b""),
    "GOAWAY": frame(frames.GOAWAY, 0, 0, bytes(8)),
    "RST_STREAM of streams that are over": rst(3),
    "WINDOW_UPDATE of streams that are over": window_update(3, 1),
    "DATA on a stream that the client reset": data(3, b"x"),
    "HEADERS on a stream that the client reset": frame(frames.HEADERS, 5, 3, b"\x82"),
    "DATA on a stream that we reset": data(5, b"x"),
    "HEADERS on a stream that we reset": frame(frames.HEADERS, 5, 5, b"\x82"),
}


@pytest.mark.parametrize("wire", FLOODS.values(), ids=FLOODS)
def test_a_flood_ends_the_connection_and_drops_do_not(wire: bytes) -> None:
    for seconds, ends in ((0.0, True), (0.2, False)):
        driven = Driven()
        for stream_id in (1, 3, 5):
            driven.request(stream_id, POST, end=False)
        driven.send(rst(3))
        driven.session.reset(5)
        for _ in range(1100):
            driven.send(wire)
            driven.now += seconds
        assert driven.failure == (ENHANCE_YOUR_CALM if ends else None)


MADE_YOU_RESET: dict[str, bytes] = {
    "a zero increment": window_update(0, 0),
    "an increment that is too large": window_update(0, MAX_WINDOW),
    "DATA on a half-closed stream": data(0, b"x"),
    "HEADERS on a half-closed stream": frame(frames.HEADERS, 5, 0, b"\x82"),
    "PRIORITY of the wrong size": frame(frames.PRIORITY, 0, 0, b""),
    "RST_STREAM": rst(0),
}


@pytest.mark.parametrize("wire", MADE_YOU_RESET.values(), ids=MADE_YOU_RESET)
@pytest.mark.parametrize("at_once", [True, False])
def test_requests_that_are_begun_to_be_reset(wire: bytes, at_once: bool) -> None:
    driven = Driven()
    for number in range(400):
        stream_id = 2 * number + 1
        wrong = wire[:5] + pack(">L", stream_id) + wire[9:]
        if at_once:
            driven.send(driven.headers(stream_id) + wrong)
        else:
            driven.request(stream_id)
            driven.send(wrong)
        if driven.failure is not None:
            break
    assert driven.failure == ENHANCE_YOUR_CALM
    assert driven.begun == ([] if at_once else driven.begun)
    assert len(driven.session.streams.open) <= 1


def test_malformed_requests_and_those_over_the_limit_count_as_well() -> None:
    malformed, too_many = Driven(), Driven()
    for number in range(400):
        malformed.request(2 * number + 1, GET[1:])
        too_many.request(2 * number + 1)
    assert malformed.failure == too_many.failure == ENHANCE_YOUR_CALM
    assert len(too_many.begun) == 100


def test_a_client_that_cancels_a_fifth_of_its_requests_is_served() -> None:
    driven = Driven()
    for number in range(5000):
        stream_id = 2 * number + 1
        driven.request(stream_id)
        if number % 5 == 0:
            driven.send(rst(stream_id))
        else:
            driven.respond(stream_id)
    assert driven.failure is None


def test_answers_that_are_not_read_are_bounded() -> None:
    session = Session(Config(max_control_rate=float("inf")), 0.0)
    session.receive(PREFACE + settings(), 0.0)
    for _ in range(100):
        session.receive(frame(frames.PING, 0, 0, bytes(8)) * 100, 0.0)
    assert session.has_failed
    assert session.control_size < 100_000
