"""How a connection ends: the first end counts, and behind it nothing is read or said."""

from math import inf

import pytest

from httpng_core import Address, Host, Readiness
from httpng_core.wire import SILENCE, Ending, Endpoint, Outbound


@pytest.fixture
def endpoint() -> Endpoint:
    return Endpoint(
        Outbound(0.0),
        Host(),
        lambda: None,
        Address("192.0.2.1", 50000),
        Address("192.0.2.2", 80),
        https=False,
        tells_acknowledged=False,
    )


def test_it_is_open_until_it_is_ended(endpoint: Endpoint) -> None:
    assert not endpoint.is_over
    endpoint.close(0.0)
    assert endpoint.ending is Ending.CLOSED, "there was nothing to be sent"
    assert endpoint.is_over


def test_the_first_end_counts(endpoint: Endpoint) -> None:
    endpoint.outbound.push(b"the last answer")
    endpoint.linger(1.0)
    deadline = endpoint.deadline
    endpoint.close(2.0)
    assert (endpoint.ending, endpoint.deadline) == (Ending.LINGERING, deadline)
    endpoint.lose()
    endpoint.linger(3.0)
    endpoint.reset()
    assert (endpoint.ending, endpoint.deadline) == (Ending.CLOSED, None)


def test_in_silence_nothing_is_due_and_nothing_is_held() -> None:
    assert SILENCE.stall_limit == inf
    assert SILENCE.prepare() is Readiness.NOTHING
    assert (SILENCE.exchanges(), SILENCE.holdings(), SILENCE.idle_since) == ([], [], None)
