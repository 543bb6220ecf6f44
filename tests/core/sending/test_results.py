"""Send results: what goes in comes out, and a value that no call could have returned raises."""

from itertools import product
from typing import Any

import pytest

from httpng_core import SendResult, SendStats, body_bytes_sent, cancelled, headers_were_sent, reached
from httpng_core.sending import Call, encode_result

HELPERS = [cancelled, headers_were_sent, body_bytes_sent, reached]
BYTES = [0, 1, 31, 1 << 20, (1 << 48) - 1]
FLAGS = list(product([False, True], repeat=2))


@pytest.mark.parametrize(("gone", "headers"), FLAGS)
@pytest.mark.parametrize("size", BYTES)
def test_a_result_of_write(gone: bool, headers: bool, size: int) -> None:
    given = encode_result(Call.WRITE, cancelled=gone, headers_were_sent=headers, body_bytes=size)
    for told in (given, int(given)):
        assert cancelled(told) is gone
        assert headers_were_sent(told) is headers
        assert body_bytes_sent(told) == size
        with pytest.raises(
            ValueError, match=r"reached\(\) needs the send_result of a wait, got one of a write"
        ):
            reached(told)
    assert (given.cancelled, given.headers_were_sent, given.body_bytes_sent) == (gone, headers, size)
    with pytest.raises(ValueError, match="of a wait"):
        _ = given.reached


@pytest.mark.parametrize(("gone", "headers"), [(False, False), (True, False), (True, True)])
def test_a_result_of_write_header(gone: bool, headers: bool) -> None:
    given = encode_result(Call.WRITE_HEADER, cancelled=gone, headers_were_sent=headers)
    assert cancelled(given) is given.cancelled is gone
    assert headers_were_sent(given) is given.headers_were_sent is headers
    for helper in (body_bytes_sent, reached):
        with pytest.raises(ValueError, match="got one of a write_header"):
            helper(given)
    with pytest.raises(ValueError, match="of a write,"):
        _ = given.body_bytes_sent


@pytest.mark.parametrize(("gone", "headers"), FLAGS)
@pytest.mark.parametrize("met", [False, True])
def test_a_result_of_wait(gone: bool, headers: bool, met: bool) -> None:
    given = encode_result(Call.WAIT, cancelled=gone, headers_were_sent=headers, reached=met)
    assert cancelled(given) is gone
    assert headers_were_sent(given) is headers
    assert reached(given) is given.reached is met
    with pytest.raises(ValueError, match="got one of a wait"):
        body_bytes_sent(given)


def test_nil() -> None:
    assert cancelled(None) is None
    assert headers_were_sent(None) is True
    with pytest.raises(TypeError, match="needs the send_result of a write, got nothing"):
        body_bytes_sent(None)
    with pytest.raises(TypeError, match="needs the send_result of a wait, got nothing"):
        reached(None)


IMPOSSIBLE = {
    "zero": 0,
    "of no call": 4,
    "of no call, with bytes": 1 << 5,
    "negative": -1,
    "negative with the bits of a write": -31,
    "too large to be exact in Lua": 1 << 53 | 1,
    "a write that reached": 1 | 1 << 4,
    "a write_header that reached": 2 | 1 << 4,
    "a write_header with bytes": 2 | 1 << 5,
    "a wait with bytes": 3 | 1 << 5,
    "a write_header that is done: that is nil": 2 | 1 << 3,
}


@pytest.mark.parametrize("helper", HELPERS)
@pytest.mark.parametrize("value", IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_a_value_that_no_call_could_have_returned_raises(helper: Any, value: int) -> None:
    with pytest.raises(ValueError, match=f"not a send_result: {value}"):
        helper(value)


@pytest.mark.parametrize("helper", HELPERS)
@pytest.mark.parametrize("value", [True, False, 1.0, 33.0, "1", b"1", [], object()])
def test_what_is_no_integer_raises(helper: Any, value: Any) -> None:
    with pytest.raises(TypeError, match="not a send_result"):
        helper(value)


def test_every_small_number_is_a_result_or_raises_in_every_helper() -> None:
    for value in range(1 << 9):
        answers = []
        for helper in (cancelled, headers_were_sent):
            try:
                answers.append(helper(value) is not None)
            except ValueError:
                answers.append(False)
        assert answers[0] == answers[1]
        assert answers[0] == possible(value)


def possible(value: int) -> bool:
    call, gone, headers, met, size = value & 3, value >> 2 & 1, value >> 3 & 1, value >> 4 & 1, value >> 5
    if call == Call.WRITE:
        return not met
    if call == Call.WRITE_HEADER:
        return not (met or size) and bool(gone or not headers)
    return call == Call.WAIT and not size


def test_no_result_is_falsy_and_all_are_integers() -> None:
    for call in Call:
        given = encode_result(call, cancelled=False, headers_were_sent=False)
        assert given
        assert isinstance(given, int)


def test_results_are_immutable() -> None:
    given = encode_result(Call.WRITE, cancelled=False, headers_were_sent=False)
    with pytest.raises(AttributeError):
        given.note = "x"  # type: ignore[attr-defined]
    with pytest.raises(AttributeError):
        given.cancelled = True  # type: ignore[misc]


def test_results_tell_what_they_are() -> None:
    write = encode_result(Call.WRITE, cancelled=False, headers_were_sent=True, body_bytes=7)
    assert repr(write) == (
        "<SendResult of write: cancelled=False, headers_were_sent=True, body_bytes_sent=7>"
    )
    wait = encode_result(Call.WAIT, cancelled=True, headers_were_sent=False, reached=True)
    assert repr(wait) == "<SendResult of wait: cancelled=True, headers_were_sent=False, reached=True>"
    header = encode_result(Call.WRITE_HEADER, cancelled=True, headers_were_sent=False)
    assert repr(header) == "<SendResult of write_header: cancelled=True, headers_were_sent=False>"
    assert isinstance(write, SendResult)


def test_stats_are_frozen_and_fresh() -> None:
    stats = SendStats(current=1, sent=0, acked=None, cancelled=False, headers_were_sent=False, lag=0.0)
    with pytest.raises(AttributeError):
        stats.sent = 1  # type: ignore[misc]
