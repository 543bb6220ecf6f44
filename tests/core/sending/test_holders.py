"""Who holds the bytes that are on their way, by what the kernel says of the path."""

import pytest
from tests.core.driving import GET, Driven

from httpng_core import Feed, Holder, Host, PathLook

LOOKS = [
    (PathLook(unacked=0, notsent=0), None),
    (PathLook(unacked=0, notsent=5), Holder.CLIENT),
    (PathLook(unacked=3, notsent=5, is_shut=True), Holder.CLIENT),
    (PathLook(unacked=3, notsent=0), Holder.NETWORK),
    (PathLook(unacked=3, notsent=5, limited=0.6), Holder.CLIENT),
    (PathLook(unacked=3, notsent=5, limited=0.5), Holder.NETWORK),
    (PathLook(unacked=3, notsent=5, limited=1.0, queues=True), Holder.NETWORK),
]


@pytest.mark.parametrize(("look", "holder"), LOOKS)
def test_what_the_kernel_says_tells_who_holds(look: PathLook, holder: Holder | None) -> None:
    assert look.holder() is holder


class Looked(Driven):
    """A connection whose driver looks at the path; `look` is what it sees."""

    def __init__(self, look: PathLook | None) -> None:
        self.seen = look
        super().__init__(GET, tells_acknowledged=True)

    def _host(self) -> Host:
        return Host(self._wake, look=self.look)

    def look(self) -> PathLook | None:
        return self.seen

    @property
    def holder(self) -> Holder | None:
        return self.exchange.stalled_by()


def test_a_response_that_has_not_begun_is_held_by_its_handler() -> None:
    driven = Looked(None)
    assert driven.holder is Holder.HANDLER
    driven.exchange.write(b"body", driven.now)
    driven.push()
    assert driven.holder is Holder.HANDLER


@pytest.mark.parametrize(("look", "holder"), LOOKS)
def test_what_was_not_sent_is_held_by_whom_the_kernel_names(look: PathLook, holder: Holder | None) -> None:
    driven = Looked(look)
    driven.exchange.write(b"body", driven.now)
    assert driven.holder is holder


def test_what_the_kernel_has_is_held_by_whom_it_names() -> None:
    driven = Looked(PathLook(unacked=3, notsent=0))
    driven.exchange.write(b"body", driven.now)
    driven.push()
    assert driven.holder is Holder.NETWORK


@pytest.mark.parametrize(("notsent", "holder"), [(0, Holder.SEND_WINDOW), (5, Holder.NETWORK)])
def test_a_writer_that_waits_for_acknowledgements_waits_for_its_window(notsent: int, holder: Holder) -> None:
    """Unless the kernel has yet to send some: then it is what that waits for."""
    driven = Looked(PathLook(unacked=3, notsent=notsent))
    for _ in range(2):
        driven.exchange.write(b"x" * 10, driven.now, window=10, until="acked")
        driven.push()
    assert driven.exchange.stats(driven.now).sent == 10
    assert driven.holder is holder


def test_a_follower_with_nothing_pending_waits_for_its_feed() -> None:
    driven = Looked(None)
    feed = Feed(clock=driven.clock)
    driven.exchange.follow(feed.follower(), driven.now)
    driven.push()
    waiting = driven.holder
    feed.publish(b"tick")
    assert (waiting, driven.holder) == (Holder.HANDLER, Holder.SEND_WINDOW)


def test_of_an_exchange_that_is_over_nothing_is_held() -> None:
    driven = Looked(PathLook(unacked=3, notsent=0))
    driven.exchange.reset(driven.now)
    assert driven.holder is None


def test_a_handler_that_is_done_holds_nothing() -> None:
    driven = Looked(None)
    driven.exchange.write(b"body", driven.now)
    driven.exchange.finish(driven.now)
    assert driven.holder is None
