"""The doorbell: what other threads want done in the thread of a loop, before there is one and afterwards."""

import logging
from collections.abc import Iterator
from threading import Thread, get_ident

import pytest

from httpng_driver.loop import Doorbell, Poller, make_poller


@pytest.fixture
def poller() -> Iterator[Poller]:
    poller = make_poller()
    yield poller
    poller.close()


@pytest.fixture
def doorbell(poller: Poller) -> Iterator[Doorbell]:
    doorbell = Doorbell()
    yield doorbell
    doorbell.close()


def in_thread(*functions: object) -> None:
    for function in functions:
        thread = Thread(target=function)  # type: ignore[arg-type]
        thread.start()
        thread.join()


def test_a_ring_wakes_the_poller(doorbell: Doorbell, poller: Poller) -> None:
    doorbell.answer_by(poller)
    called: list[int] = []
    in_thread(lambda: doorbell.call(lambda: called.append(get_ident())))
    assert called == []
    assert poller.poll() == 1
    assert called == [get_ident()]
    assert poller.poll() == 0


def test_who_rings_early_is_answered_when_someone_is_there(doorbell: Doorbell, poller: Poller) -> None:
    called: list[int] = []
    for number in range(3):
        doorbell.call(lambda number=number: called.append(number))  # type: ignore[misc]
    doorbell.answer_by(poller)
    poller.poll()
    assert called == [0, 1, 2]


def test_what_is_asked_for_meanwhile_is_done_next_time(doorbell: Doorbell, poller: Poller) -> None:
    doorbell.answer_by(poller)
    called: list[str] = []

    def again() -> None:
        called.append("again")
        if len(called) < 4:
            doorbell.call(again)

    doorbell.call(again)
    for turns in range(1, 5):
        assert poller.poll() == 1
        assert called == ["again"] * turns


def test_more_rings_than_the_socket_holds(doorbell: Doorbell, poller: Poller) -> None:
    doorbell.answer_by(poller)
    called: list[int] = []
    for number in range(5000):
        doorbell.call(lambda number=number: called.append(number))  # type: ignore[misc]
    while poller.poll():
        pass
    assert called == list(range(5000))


def test_closing_does_what_is_still_asked_for(doorbell: Doorbell, poller: Poller) -> None:
    doorbell.answer_by(poller)
    called: list[str] = []
    doorbell.call(lambda: called.append("before"))
    doorbell.close()
    assert called == ["before"]
    doorbell.close()
    assert poller.poll() == 0


def test_who_rings_when_nobody_is_there_any_more_does_it_himself(doorbell: Doorbell) -> None:
    doorbell.close()
    called: list[int] = []
    idents: list[int] = []

    def ring() -> None:
        idents.append(get_ident())
        doorbell.call(lambda: called.append(get_ident()))

    in_thread(ring)
    assert called == idents


def test_it_may_be_closed_by_what_was_asked_for(doorbell: Doorbell, poller: Poller) -> None:
    doorbell.answer_by(poller)
    called: list[str] = []
    doorbell.call(doorbell.close)
    doorbell.call(lambda: called.append("after"))
    poller.poll()
    assert called == ["after"]


@pytest.mark.parametrize("closed", [False, True])
def test_a_failure_is_logged_and_the_others_are_called(
    doorbell: Doorbell, poller: Poller, caplog: pytest.LogCaptureFixture, closed: bool
) -> None:
    doorbell.answer_by(poller)
    called: list[str] = []

    def fail() -> None:
        raise ValueError("of another thread")

    if closed:
        doorbell.close()
    with caplog.at_level(logging.ERROR, "httpng"):
        doorbell.call(fail)
        doorbell.call(lambda: called.append("next"))
        poller.poll()
    assert called == ["next"]
    assert "of another thread" in caplog.text


def test_in_the_thread_of_the_loop_it_is_done_at_once(doorbell: Doorbell, poller: Poller) -> None:
    called: list[str] = []
    doorbell.call_in_loop(lambda: called.append("early"))
    assert called == []
    doorbell.answer_by(poller)
    doorbell.call_in_loop(lambda: called.append("here"))
    in_thread(lambda: doorbell.call_in_loop(lambda: called.append("there")))
    assert called == ["here"]
    poller.poll()
    assert called == ["here", "early", "there"]


def test_a_closed_doorbell_holds_no_poller(doorbell: Doorbell, poller: Poller) -> None:
    """Feeds keep it for as long as they live themselves."""
    doorbell.answer_by(poller)
    doorbell.close()
    assert poller not in vars(doorbell).values()
