"""Settings that change while an HTTP/2 connection lives: limits hold for what comes from then on."""

from math import inf

import pytest
from h2.errors import ErrorCodes
from tests.core.driving2 import Driven2

from httpng_core import Settings

PSEUDO = ((":method", "GET"), (":scheme", "http"), (":authority", "x"), (":path", "/"))


def reconfigured(driven: Driven2, **settings: object) -> None:
    changed = Settings(http2_engine=driven.engine, **settings)  # type: ignore[arg-type]
    driven.connection.reconfigure(changed, driven.now)


def test_the_longest_body() -> None:
    driven = Driven2()
    stream_id, stream = driven.request(method="POST", body=None)
    reconfigured(driven, max_body_len=10)
    driven.client.h2.send_data(stream_id, b"x" * 10)
    driven.turn()
    assert driven.refused == []
    driven.client.h2.send_data(stream_id, b"x")
    driven.turn()
    assert (driven.refused, stream.status) == ([413], 413)
    _, stream = driven.request(method="POST", headers=(("content-length", "11"),), body=b"x" * 11)
    assert stream.status == 413
    reconfigured(driven, max_body_len=11)
    driven.begin(method="POST", body=b"x" * 11)


def test_the_number_of_fields() -> None:
    driven = Driven2()
    fields = (*PSEUDO, *((f"name-{number}", "x") for number in range(7)))
    driven.client.send_fields(1, fields, b"")
    driven.turn()
    assert len(driven.exchanges) == 1
    reconfigured(driven, max_fields=10)
    driven.client.send_fields(3, fields, b"")
    driven.turn()
    assert driven.client.streams[3].status == 431
    driven.client.send_fields(5, fields[:-1], b"")
    driven.turn()
    assert len(driven.exchanges) == 2
    reconfigured(driven)
    driven.client.send_fields(7, fields, b"")
    driven.turn()
    assert len(driven.exchanges) == 3


@pytest.mark.parametrize("rate", [1.0, inf])
def test_the_rate_of_frames_that_say_nothing(rate: float) -> None:
    driven = Driven2()
    reconfigured(driven, max_control_rate=rate)
    for _ in range(1500):
        driven.client.h2.ping(bytes(8))
        driven.turn()
        if driven.client.goaway is not None:
            break
    assert driven.client.goaway == (None if rate == inf else ErrorCodes.ENHANCE_YOUR_CALM)


def test_the_rate_of_resets() -> None:
    driven = Driven2()
    reconfigured(driven, max_reset_rate=1)
    for _ in range(3):
        stream_id, _ = driven.request()
        driven.client.h2.reset_stream(stream_id)
        driven.turn()
    assert driven.client.goaway == ErrorCodes.ENHANCE_YOUR_CALM


def test_what_was_spent_stays_so_where_its_rate_does_not_change() -> None:
    driven = Driven2(max_reset_rate=1)
    for _ in range(3):
        stream_id, _ = driven.request()
        driven.client.h2.reset_stream(stream_id)
        driven.turn()
        reconfigured(driven, max_reset_rate=1, max_control_rate=50)
    assert driven.client.goaway == ErrorCodes.ENHANCE_YOUR_CALM
