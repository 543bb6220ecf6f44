"""What calls do that come when an exchange is over, or its handler done: nothing, and any order is safe."""

from math import inf
from typing import Any

import pytest
from tests.core.driving import GET, HEAD, Driven, result
from tests.core.websocket.speaking import Socket

from httpng_core import Feed, Host, Pending, SendResult, lost
from httpng_core.languages import follower_of, response_head
from httpng_core.sending import NO_TRANSPORT, Tunnel


def test_who_frames_nothing_any_more_says_so() -> None:
    driven, head = Driven(), response_head(200, None)
    driven.lost()
    exchange = driven.exchange
    assert exchange.transport is NO_TRANSPORT
    assert NO_TRANSPORT.send_whole(exchange, head, b"x", driven.now, len) == -1
    assert NO_TRANSPORT.send_piece(b"x", driven.now, len) == -1
    assert not NO_TRANSPORT.track_acknowledged(exchange)
    assert not NO_TRANSPORT.has_company()
    assert NO_TRANSPORT.shares
    assert NO_TRANSPORT.closed_window() is None
    assert NO_TRANSPORT.broadcast_by() is None
    assert exchange.stalled_by() is None


def test_a_drain_changes_nothing() -> None:
    driven = Driven()
    driven.lost()
    driven.exchange.drain(driven.now)
    assert not driven.exchange.draining
    assert driven.outcomes == ["cancelled"]


def test_a_tunnel_ends_once() -> None:
    socket = Socket()
    socket.lost()
    socket.exchange.end_tunnel(socket.now)
    assert socket.outcomes == ["cancelled"]


def test_why_a_connection_was_lost_is_told_in_the_words_of_the_system() -> None:
    driven = Driven()
    driven.connection.connection_lost(driven.now, lost("sending failed: Broken pipe"))
    assert driven.outcomes == ["cancelled"]
    assert (driven.exchange.cause.text, driven.exchange.cause.label) == (
        "sending failed: Broken pipe",
        "client_reset",
    )


def test_a_message_of_who_learns_that_the_end_has_come_is_cancelled() -> None:
    socket, told = Socket(), list[SendResult]()

    def again() -> None:
        told.append(result(socket.send("again")))

    socket.send("a" * 100)
    socket.send("b" * 5000, window=1000).on_settle = again
    socket.exchange.reset(socket.now)
    assert [(one.cancelled, one.body_bytes_sent) for one in told] == [(True, 0)]


def test_a_close_of_who_has_been_given_up_meanwhile_is_done() -> None:
    socket = Socket()
    socket.send("a" * 100)

    def give_up() -> None:
        socket.exchange.reset(socket.now)

    socket.send("b" * 5000, window=1000).on_settle = give_up
    closing = socket.ws.close(socket.now)
    assert closing.settled
    assert socket.ws.close(socket.now).settled, "again: nothing"
    assert socket.outcomes == ["reset"]


def test_what_an_exchange_does_not_know_is_left_alone() -> None:
    driven, pending = Driven(), Pending()
    driven.exchange.withdraw(pending, driven.now)
    assert not pending.settled


def test_no_stall_timeout_is_none_at_all() -> None:
    driven = Driven()
    driven.exchange.stall_timeout = None
    assert driven.exchange.stall_timeout is None
    driven.exchange.stall_timeout = inf
    assert driven.exchange.stall_timeout is None
    driven.write(b"x" * 1000)
    driven.advance(10_000)
    assert driven.outcomes == []


def test_a_time_that_is_up_is_counted_by_who_wants_to() -> None:
    counted: list[str] = []
    driven = Driven(host=Host(lambda: None, note_timeout=lambda: counted.append("late")))
    late = driven.write(b"x" * 1000, 1, 0)
    driven.advance(0.5)
    assert counted == []
    driven.advance(0.5)
    assert late.settled
    assert counted == ["late"]


def test_what_was_checked_before_is_answered_with() -> None:
    head = response_head(201, {"x-is": "it"})
    for wire, body in ((GET, b"hello"), (GET, b"x" * 100_000), (HEAD, b"hello")):
        driven = Driven(wire)
        driven.exchange.answer_with(head, body, driven.now)
        driven.push()
        [response] = driven.responses("HEAD" if wire == HEAD else "GET")
        assert (response.status, response.headers["x-is"]) == (201, "it")
        assert response.headers["content-length"] == str(len(body))
        assert response.body == (b"" if wire == HEAD else body)
        assert driven.outcomes == ["complete"]
        driven.exchange.answer_with(head, b"again", driven.now)
        assert driven.push() == 0


def test_who_waits_for_a_body_that_is_dropped_is_told_with_the_answer() -> None:
    driven = Driven(HEAD)
    wait = driven.wait(5, 100)
    driven.exchange.answer(200, None, b"hello", driven.now)
    assert result(wait).reached
    assert driven.positions == (5, 5)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_what_on_gap_raises_for_the_program_reaches_it(error: type[BaseException]) -> None:
    def on_gap(lost: int) -> Any:
        raise error

    driven = Driven()
    feed = _feed(driven)
    driven.exchange.follow(feed.follower(on_gap=on_gap), driven.now)
    for payload in ("1", "2"):
        feed.publish(payload)
    with pytest.raises(error):
        driven.push()


def test_a_feed_that_closes_as_another_is_joined_ends_with_it() -> None:
    driven = Driven()
    first, second = _feed(driven), _feed(driven)

    def wanted(key: object) -> bool:
        if key == "closing":
            first.close()
        return True

    second.publish("2", "closing")
    follow = driven.exchange.follow(follower_of([first, second], keys=wanted), driven.now)
    first_has_ended = first.is_closed
    driven.push()
    assert first_has_ended
    assert driven.body == b"2"
    assert not follow.settled
    second.close()
    assert follow.result is None


def test_a_function_that_raises_as_another_feed_is_joined_is_asked_again() -> None:
    driven = Driven()
    first, second = _feed(driven), _feed(driven)

    def wanted(key: object) -> bool:
        if key == "publishing":
            first.publish("1", "raising")
        if key == "raising":
            raise ZeroDivisionError
        return True

    second.publish("2", "publishing")
    follow = driven.exchange.follow(follower_of([first, second], keys=wanted), driven.now)
    driven.push()
    assert driven.body == b"2"
    assert not follow.settled
    first.publish("3", "raising")
    with pytest.raises(ZeroDivisionError):
        assert follow.result


def _feed(driven: Driven) -> Feed:
    return Feed(clock=driven.clock)


def test_a_tunnel_without_a_protocol_holds_nothing() -> None:
    tunnel = Tunnel(5.0)
    assert (tunnel.touched, tunnel.held, tunnel.wants_read) == (5.0, 0, True)
