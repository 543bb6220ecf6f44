"""The send window that an operator sets: it wins over the handler's, for calls that wait and later ones."""

import pytest
from tests.core.driving import Driven
from tests.core.websocket.speaking import Socket

from httpng_core import Feed


@pytest.fixture
def driven() -> Driven:
    return Driven(default_send_window=10)


def test_a_wider_one_lets_a_writer_go_on_that_waits(driven: Driven) -> None:
    driven.write("1234567890")
    late = driven.write("xyz", window=10)
    driven.exchange.set_window(13, driven.now)
    assert late.result is None
    assert driven.positions == (13, 0)
    driven.push()
    assert driven.body == b"1234567890xyz"


def test_a_narrower_one_holds_the_next_write_up_whatever_its_handler_says(driven: Driven) -> None:
    driven.exchange.set_window(3, driven.now)
    assert driven.write("123", window=1000).settled
    late = driven.write("4", window=1000)
    assert not late.settled
    driven.push()
    assert late.result is None


def test_what_was_accepted_beyond_it_stays_accepted(driven: Driven) -> None:
    driven.write("1234567890")
    driven.exchange.set_window(0, driven.now)
    driven.push()
    assert driven.body == b"1234567890"


def test_a_long_write_that_goes_in_pieces_is_accepted_whole_once_it_fits(driven: Driven) -> None:
    write = driven.write(b"x" * 25)
    driven.push(0, limit=8)
    assert not write.settled
    driven.exchange.set_window(25, driven.now)
    assert write.result is None
    driven.push()
    assert driven.body == b"x" * 25


def test_a_follower_goes_by_it() -> None:
    driven = Driven(tells_acknowledged=True)
    feed = Feed(clock=driven.clock, policy="every")
    driven.exchange.follow(feed.follower(), driven.now, window=0, until="acked")
    feed.publish("one ")
    driven.push()
    feed.publish("two ")
    driven.push()
    assert driven.body == b"one "
    driven.exchange.set_window(100, driven.now)
    driven.push()
    assert driven.body == b"one two "


@pytest.mark.parametrize("size", [-1, "auto", "many", 1.5, True])
def test_it_is_a_number_of_bytes(driven: Driven, size: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        driven.exchange.set_window(size, driven.now)
    assert driven.exchange.window is None


def test_after_the_end_it_changes_nothing(driven: Driven) -> None:
    driven.lost()
    driven.exchange.set_window(5, driven.now)
    assert driven.exchange.window is None


def test_messages_and_follows_go_by_it_as_well() -> None:
    socket = Socket()
    socket.exchange.set_window(3, socket.now)
    assert socket.send("abc", window=1000).settled
    late = socket.send("d", window=1000)
    assert not late.settled
    socket.push()
    assert late.result is None
    feed, following = Feed(clock=socket.clock), Driven()
    following.exchange.set_window(0, following.now)
    following.exchange.follow(feed.follower(), following.now, None, 1000)
    for payload in ("1", "2"):
        feed.publish(payload, payload)
        following.connection.data_to_send(following.now, 1)
        following.connection.bytes_accepted(0, following.now)
    following.push()
    assert following.body == b"12"


def test_what_bounds_all_windows_bounds_those_of_messages() -> None:
    socket = Socket()
    socket.exchange.host.admission.window = 100
    assert socket.send("a" * 60, window=1000).settled
    late = socket.send("b" * 60, window=1000)
    assert not late.settled, "120 bytes would be in flight"
    socket.push()
    assert late.result is None
    assert socket.send("c" * 500, window=1000).settled, "one that is longer is accepted whole"
