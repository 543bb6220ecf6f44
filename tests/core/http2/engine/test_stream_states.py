"""The states of a stream (RFC 9113, 5.1), over all of what may happen in each.

The table here is written from the RFC, by rule; that of the engine is written by row.
"""

import pytest

from httpng_core.http2.engine import stream_states as states

OVER = ["CLOSED", "RESET_REMOTE", "RESET_LOCAL", "FORGOTTEN"]
NAMES = ["IDLE", "OPEN", "HALF_CLOSED_REMOTE", "HALF_CLOSED_LOCAL", *OVER]
RECEIVED = ("HEADERS", "HEADERS_END", "DATA", "DATA_END", "RESET", "WINDOW_UPDATE", "PRIORITY")
SENT = ("HEADERS", "HEADERS_END", "DATA", "DATA_END", "RESET")

AFTER_THEIR_END = {"IDLE": "HALF_CLOSED_REMOTE", "OPEN": "HALF_CLOSED_REMOTE", "HALF_CLOSED_LOCAL": "CLOSED"}
AFTER_OUR_END = {"OPEN": "HALF_CLOSED_LOCAL", "HALF_CLOSED_REMOTE": "CLOSED"}


def received(state: str, what: str) -> str:
    """What the RFC says about a frame that came."""
    content = what not in ("RESET", "WINDOW_UPDATE", "PRIORITY")
    if state == "IDLE":
        if what == "PRIORITY":
            return "IGNORED"
        if not what.startswith("HEADERS"):
            return "CONNECTION_IS_WRONG"  # "Receiving any frame other than HEADERS or PRIORITY"
        return AFTER_THEIR_END[state] if what.endswith("END") else "OPEN"
    if state in OVER:
        return over(state, what) if content else "IGNORED"
    if what == "RESET":
        return "RESET_REMOTE"
    if not content:
        return state
    if state == "HALF_CLOSED_REMOTE":
        return "STREAM_IS_CLOSED"
    if what == "HEADERS":
        return "STREAM_IS_MALFORMED"  # Trailers end a request (8.1).
    return AFTER_THEIR_END[state] if what.endswith("END") else state


def over(state: str, what: str) -> str:
    """What becomes of content that came on a stream that is over."""
    if state == "FORGOTTEN":
        # A stream's number must be larger than all before it (5.1.1).
        return "CONNECTION_IS_WRONG" if what.startswith("HEADERS") else "STREAM_IS_CLOSED"
    if state == "CLOSED":
        return "CONNECTION_STREAM_CLOSED"
    return "STREAM_IS_CLOSED" if state == "RESET_REMOTE" else "IGNORED"


def sent(state: str, what: str) -> str:
    """What we may send."""
    if state in OVER or state == "IDLE":
        return "FORBIDDEN"
    if what == "RESET":
        return "RESET_LOCAL"
    if state == "HALF_CLOSED_LOCAL":
        return "FORBIDDEN"
    return AFTER_OUR_END[state] if what.endswith("END") else state


def number(name: str) -> int:
    value = getattr(states, name)
    assert isinstance(value, int)
    return value


@pytest.mark.parametrize("state", NAMES)
@pytest.mark.parametrize("what", RECEIVED)
def test_each_frame_that_comes_in_each_state(state: str, what: str) -> None:
    found = states.outcome(number(state), number(f"RECEIVE_{what}"))
    assert found == number(received(state, what))


@pytest.mark.parametrize("state", NAMES)
@pytest.mark.parametrize("what", SENT)
def test_each_frame_that_goes_in_each_state(state: str, what: str) -> None:
    assert states.outcome(number(state), number(f"SEND_{what}")) == number(sent(state, what))


def test_that_is_the_whole_product() -> None:
    assert len(NAMES) == states.STATES
    assert len(RECEIVED) + len(SENT) == states.INPUTS
