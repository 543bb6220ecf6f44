"""The response state table over its whole product: every state, every event, with a head given or not."""

from itertools import product

import pytest

from httpng_core import ResponseStateError
from httpng_core.sending import GIVEN_UP, states
from httpng_core.sending import ResponseEvent as E
from httpng_core.sending import ResponseState as S

ALREADY = "Handler has already written header"

# Written down once more, in the words of the specification; what isn't here stays where it is.
LEADS = {
    (S.OPEN, E.WRITE_HEADER): S.STREAMING,
    (S.OPEN, E.WRITE): S.STREAMING,
    (S.OPEN, E.END): S.ENDED,
    (S.STREAMING, E.END): S.ENDED,
    (S.OPEN, E.CUT): S.CUTTING,
    (S.STREAMING, E.CUT): S.CUTTING,
    (S.ENDED, E.FLUSHED): S.CLOSED,
    (S.CUTTING, E.FLUSHED): S.CUT,
    # Complete on the wire is over, whether or not the handler still runs.
    (S.STREAMING, E.FLUSHED): S.CLOSED,
    (S.OPEN, E.CANCEL): S.CANCELLED,
    (S.STREAMING, E.CANCEL): S.CANCELLED,
    (S.ENDED, E.CANCEL): S.CANCELLED,
    (S.CUTTING, E.CANCEL): S.CANCELLED,
    (S.OPEN, E.RESET): S.RESET,
    (S.STREAMING, E.RESET): S.RESET,
    (S.ENDED, E.RESET): S.RESET,
    (S.CUTTING, E.RESET): S.RESET,
}
RAISES = {(S.OPEN, E.FLUSHED), (S.STREAMING, E.WRITE_HEADER)}


@pytest.mark.parametrize(("state", "event", "given"), list(product(S, E, (False, True))))
def test_every_state_answers_every_event(state: S, event: E, given: bool) -> None:
    if (given and event is E.WRITE_HEADER) or (state, event) in RAISES:
        with pytest.raises(ResponseStateError):
            states.next_state(state, event, head_given=given)
    else:
        assert states.next_state(state, event, head_given=given) is LEADS.get((state, event), state)


def test_the_table_is_total() -> None:
    assert set(states.TABLE) == set(product(S, E))


def test_a_second_header_block_is_a_mistake_in_every_state() -> None:
    for state in S:
        with pytest.raises(ResponseStateError, match=ALREADY):
            states.next_state(state, E.WRITE_HEADER, head_given=True)


def test_final_states_are_left_by_nothing() -> None:
    assert {S.OPEN, S.STREAMING, S.ENDED, S.CUTTING} == states.LIVE
    for state, event in product(set(S) - states.LIVE, E):
        assert states.TABLE[state, event] is state


def test_no_event_leads_back() -> None:
    for (state, _), target in states.TABLE.items():
        assert isinstance(target, str) or target >= state


def test_which_states_take_writes_and_which_count_as_cancelled() -> None:
    assert {S.OPEN, S.STREAMING} == states.TAKES_WRITES
    assert {S.CUTTING, S.CUT, S.CANCELLED, S.RESET} == GIVEN_UP
    assert {S.ENDED, S.CUTTING} == states.FLUSHING
