"""What the engine makes of what RFC 9113 and RFC 7541 demand of a server: the tables are in `demands`."""

import pytest
from tests.core.http2.engine.demands import CONNECTION, HARMLESS, PING, REQUESTS, STREAM, Act
from tests.core.http2.engine.driving import Driven

from httpng_core.http2.engine import REFUSED_STREAM, frames


@pytest.mark.parametrize("act", REQUESTS.values(), ids=REQUESTS)
def test_a_request_is_taken(act: Act) -> None:
    driven = Driven()
    driven.send(act(driven))
    assert (driven.begun, driven.failure, driven.resets) == ([1], None, [])
    driven.send(PING)
    assert driven.answers[-1].payload == b"12345678"


@pytest.mark.parametrize("act", HARMLESS.values(), ids=HARMLESS)
def test_a_frame_does_no_harm(act: Act) -> None:
    driven = Driven()
    driven.send(act(driven))
    assert (driven.failure, driven.resets) == (None, [])
    driven.send(PING)
    assert driven.answers[-1].payload == b"12345678"
    driven.request(7)
    assert driven.begun[-1] == 7


@pytest.mark.parametrize(("act", "code"), CONNECTION.values(), ids=CONNECTION)
def test_the_connection_ends(act: Act, code: int) -> None:
    driven = Driven()
    driven.send(act(driven))
    assert driven.failure == code
    assert driven.send(PING) == []
    assert driven.answers[-1].kind == frames.GOAWAY


@pytest.mark.parametrize(("act", "code"), CONNECTION.values(), ids=CONNECTION)
def test_the_connection_ends_however_the_bytes_were_cut(act: Act, code: int) -> None:
    driven = Driven()
    for byte in act(driven):
        driven.send(bytes([byte]))
    assert driven.failure == code


@pytest.mark.parametrize(("act", "code"), STREAM.values(), ids=STREAM)
def test_the_stream_is_reset_and_the_connection_goes_on(act: Act, code: int) -> None:
    driven = Driven()
    driven.send(act(driven))
    assert (driven.failure, driven.resets) == (None, [(1, code)])
    assert driven.begun == []
    assert not driven.session.is_open(1)
    driven.request(3)
    assert driven.begun == [3]


@pytest.mark.parametrize(("act", "code"), STREAM.values(), ids=STREAM)
def test_the_stream_is_reset_however_the_bytes_were_cut(act: Act, code: int) -> None:
    driven = Driven()
    for byte in act(driven):
        driven.send(bytes([byte]))
    assert (driven.failure, driven.resets) == (None, [(1, code)])
    # Whoever was told of a request is told of its end.
    assert bool(driven.begun) <= bool(driven.reset_events)
    driven.request(3)
    assert driven.begun[-1] == 3


def test_a_stream_over_the_limit_is_refused() -> None:
    driven = Driven()
    for number in range(101):
        driven.request(2 * number + 1)
    assert len(driven.begun) == 100
    assert driven.resets == [(201, REFUSED_STREAM)]
    driven.respond(1)
    driven.request(203)
    assert driven.begun[-1] == 203
