"""What a request may cost in calls of Python functions, which don't depend on the machine."""

import sys
from collections.abc import Callable
from types import FrameType

import pytest
from tests.core.http2.engine.driving import Driven

from httpng_core import COMPILED


def calls(act: Callable[[], object]) -> int:
    """How many Python functions `act` calls, itself not counted."""
    counted = 0

    def count(_frame: FrameType, event: str, _what: object) -> None:
        nonlocal counted
        counted += event == "call"

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        act()
    finally:
        sys.setprofile(before)
    return counted - 1


@pytest.mark.skipif(COMPILED, reason="compiled functions aren't counted")
def test_a_request_that_comes_again_and_its_answer() -> None:
    driven = Driven()
    for stream_id in (1, 3, 5):
        driven.request(stream_id)
        driven.respond(stream_id, b"hello")
    wire, driven_session = driven.headers(7), driven.session

    def answer() -> None:
        driven_session.send_head(7, b"\x88", end=False)
        driven_session.data_frame_head(7, 5, end=True)

    assert calls(lambda: driven_session.receive(wire, 0.0)) <= 14
    assert calls(answer) <= 12
