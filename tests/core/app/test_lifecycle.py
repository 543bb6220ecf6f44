"""The lifecycle over its whole product: every state, every verb."""

from itertools import product

import pytest

from httpng_core import Lifecycle
from httpng_core import ServerState as S
from httpng_core import ServerVerb as V
from httpng_core.app import TABLE

NOT_LAUNCHED = "Server is not launched"

# Written down once more, in the words of the specification.
LEADS = {
    (S.STOPPED, V.CONFIGURE): S.RUNNING,
    (S.RUNNING, V.SHUTDOWN): S.STOPPING,
    (S.RUNNING, V.REDUCE): S.REDUCING,
    (S.REDUCING, V.SHUTDOWN): S.STOPPING,
    (S.REDUCING, V.REDUCED): S.RUNNING,
    **{(state, V.ENDED): S.STOPPED for state in S},
}
STAYS = {
    (S.STOPPED, V.REDUCED),
    (S.RUNNING, V.CONFIGURE),
    (S.RUNNING, V.FORCE_DECREASE),
    (S.RUNNING, V.REDUCED),
    (S.REDUCING, V.FORCE_DECREASE),
    (S.REDUCING, V.REDUCE),
    (S.STOPPING, V.REDUCED),
}
REFUSED = {
    (S.STOPPED, V.SHUTDOWN): NOT_LAUNCHED,
    (S.STOPPED, V.REDUCE): NOT_LAUNCHED,
    (S.STOPPED, V.FORCE_DECREASE): "Not configured, nothing to terminate",
    (S.REDUCING, V.CONFIGURE): "Unable to reconfigure until threads will shut down",
    (S.STOPPING, V.CONFIGURE): "shutdown is in progress",
    (S.STOPPING, V.SHUTDOWN): "shutdown is in progress",
    (S.STOPPING, V.REDUCE): "shutdown is in progress",
    (S.STOPPING, V.FORCE_DECREASE): "Shutdown is in progress",
}


def in_state(state: S) -> Lifecycle:
    lifecycle = Lifecycle()
    lifecycle.state = state
    return lifecycle


@pytest.mark.parametrize(("state", "verb"), list(product(S, V)))
def test_every_state_answers_every_verb(state: S, verb: V) -> None:
    lifecycle = in_state(state)
    if (state, verb) in REFUSED:
        with pytest.raises(RuntimeError) as raised:
            lifecycle.do(verb)
        assert (str(raised.value), lifecycle.state) == (REFUSED[state, verb], state)
    else:
        lifecycle.do(verb)
        assert lifecycle.state is (state if (state, verb) in STAYS else LEADS[state, verb])


def test_the_table_is_total() -> None:
    assert set(TABLE) == set(product(S, V))
    assert len(LEADS) + len(STAYS) + len(REFUSED) == len(TABLE)


def test_it_begins_stopped() -> None:
    assert Lifecycle().state is S.STOPPED


@pytest.mark.parametrize("state", [S.STOPPED, S.RUNNING])
def test_configuring_leads_to_running(state: S) -> None:
    lifecycle = in_state(state)
    with lifecycle.configuring():
        assert lifecycle.state is state
    assert lifecycle.state is S.RUNNING
    with lifecycle.configuring():
        pass


@pytest.mark.parametrize("state", [S.STOPPED, S.RUNNING])
def test_a_configuration_that_fails_changes_nothing(state: S) -> None:
    lifecycle = in_state(state)
    with pytest.raises(ValueError, match="wrong"), lifecycle.configuring():
        raise ValueError("wrong")
    assert lifecycle.state is state
    with lifecycle.configuring():
        pass


@pytest.mark.parametrize("state", [S.REDUCING, S.STOPPING])
def test_configuring_is_refused_before_it_begins(state: S) -> None:
    lifecycle = in_state(state)
    begun = False
    with pytest.raises(RuntimeError) as raised, lifecycle.configuring():
        begun = True
    assert (str(raised.value), begun) == (REFUSED[state, V.CONFIGURE], False)
    assert lifecycle.state is state


def test_configuring_within_another_is_refused() -> None:
    lifecycle = Lifecycle()
    with lifecycle.configuring():
        with pytest.raises(RuntimeError, match="Reconfiguration is already in progress"):
            lifecycle.configuring().__enter__()
        with pytest.raises(RuntimeError, match="Reconfiguration is already in progress"):
            lifecycle.configuring().__enter__()
    assert lifecycle.state is S.RUNNING


@pytest.mark.parametrize(
    ("verb", "state"), [(V.REDUCE, S.REDUCING), (V.SHUTDOWN, S.STOPPING), (V.ENDED, S.RUNNING)]
)
def test_what_happens_while_configuring_stays(verb: V, state: S) -> None:
    lifecycle = in_state(S.RUNNING)
    with lifecycle.configuring():
        lifecycle.do(verb)
    # After an end, this is the configuration to be started with.
    assert lifecycle.state is state
