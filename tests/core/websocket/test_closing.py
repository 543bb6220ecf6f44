"""The closing handshake: its table over the whole product, and what each end looks like on the wire."""

from itertools import product

import pytest
from tests.core.driving import Driven, result
from tests.core.websocket.speaking import BINARY, CLOSE, TEXT, Socket, close, frame, frames, request

from httpng_core import Closing, Feed
from httpng_core.websocket import WebSocket, closing

TABLE = closing.TABLE
Action, Event, State = closing.Action, closing.Event, closing.State

_CODE = {code: code.to_bytes(2, "big") for code in (1000, 1001, 1011, 1012, 3000)}


def test_the_table_has_every_state_and_event() -> None:
    assert set(TABLE) == set(product(State, Event))


def test_no_state_leads_back() -> None:
    assert all(after >= before for (before, _), (after, _) in TABLE.items())


def test_a_close_is_said_once() -> None:
    says = {before for (before, _), (_, action) in TABLE.items() if action in (Action.SAY, Action.ANSWER)}
    assert says == {State.OPEN}


def test_after_the_end_nothing_is_done() -> None:
    assert {TABLE[State.OVER, event] for event in Event} == {(State.OVER, Action.NOTHING)}


def test_every_path_leads_to_the_end() -> None:
    assert all(TABLE[state, Event.LOST][0] is State.OVER for state in State)
    # A handshake under way ends by its time, whatever the client does.
    assert all(TABLE[state, Event.LATE][1] is Action.ABORT for state in (State.ASKED, State.ENDING))


# On the wire --------------------------------------------------------------------------------------------


def test_ours_waits_for_the_clients() -> None:
    socket = Socket()
    socket.send("last")
    pending = socket.ws.close(socket.now, 3000, "done")
    socket.push()
    assert socket.messages == ["last"]
    assert socket.closes == [_CODE[3000] + b"done"]
    assert not pending.settled
    socket.receive(frame(TEXT, b"still") + close(3000))
    socket.push()
    assert pending.settled
    assert (socket.ws.close_code, socket.outcomes) == (3000, ["complete"])
    assert socket.take_all() == []
    assert socket.connection.half_close_expected()


def test_theirs_is_answered_and_ends() -> None:
    socket = Socket()
    socket.receive(frame(TEXT, b"bye") + close(1001, b"away"))
    socket.push()
    assert socket.closes == [_CODE[1001]]
    assert socket.take_all() == ["bye"]
    assert (socket.ws.close_code, socket.ws.close_reason, socket.outcomes) == (1001, "away", ["complete"])


def test_a_ping_before_it_is_answered_before_it() -> None:
    socket = Socket()
    socket.receive(frame(9, b"p") + close() + frame(9, b"late"))
    socket.push()
    assert socket.frames == [(0x8A, b"p"), (0x88, _CODE[1000])]


def test_one_without_a_code_is_answered_by_one_without() -> None:
    socket = Socket()
    socket.receive(close(None))
    socket.push()
    assert (socket.closes, socket.ws.close_code) == ([b""], 1005)


def test_what_was_accepted_goes_out_before_it_and_what_waits_is_cancelled() -> None:
    socket = Socket()
    socket.send("accepted")
    waits = socket.send("x" * 100, window=50)
    socket.ws.close(socket.now)
    ended = result(waits)
    assert (ended.cancelled, ended.body_bytes_sent) == (True, 0)
    assert result(socket.send("late")).cancelled
    socket.push()
    assert socket.messages == ["accepted"]
    assert socket.closes == [_CODE[1000]]


def test_a_full_window_holds_nobody() -> None:
    socket = Socket(default_send_window=10)
    socket.send("x" * 10)
    pending = socket.ws.close(socket.now, timeout=3)
    socket.push(5)
    socket.advance(2.9)
    assert not pending.settled
    socket.advance(0.1)
    assert pending.settled
    assert socket.outcomes == ["reset"]
    assert socket.connection.close_expected() is Closing.RESET
    assert socket.ws.close_code == 1006


def test_a_full_inbox_holds_nobody() -> None:
    socket = Socket(ws_max_queue=2)
    socket.receive(frame(TEXT, b"x") * 100)
    assert not socket.connection.wants_read
    pending = socket.ws.close(socket.now)
    socket.rest()
    assert socket.connection.wants_read
    socket.receive(frame(BINARY, bytes(1000)) * 100)
    socket.rest()
    socket.receive(close())
    socket.push()
    assert pending.settled
    assert socket.outcomes == ["complete"]


def test_the_client_that_asked_gets_no_more_time_than_the_setting() -> None:
    socket = Socket(ws_close_timeout=4)
    socket.send("x" * 1000)
    socket.receive(close())
    socket.push(100)
    socket.advance(3.9)
    assert socket.outcomes == []
    socket.advance(0.2)
    assert socket.outcomes == ["reset"]


def test_a_shorter_timeout_of_a_later_call_counts() -> None:
    socket = Socket()
    first = socket.ws.close(socket.now)
    second = socket.ws.close(socket.now, timeout=0)
    socket.advance(0)
    assert first.settled
    assert second.settled
    assert socket.outcomes == ["reset"]


def test_a_fin_without_a_close_is_no_clean_end() -> None:
    for asked in (False, True):
        socket = Socket(cancel_on_half_close="never")
        if asked:
            socket.ws.close(socket.now)
            socket.push()
        socket.eof()
        assert socket.ws.close_code == 1006
        assert socket.outcomes == ["cancelled"]


def test_a_fin_behind_a_close_changes_nothing() -> None:
    socket = Socket()
    socket.send("x" * 1000)
    socket.receive(close())
    socket.eof()
    socket.push()
    assert len(socket.messages) == 1
    assert socket.outcomes == ["complete"]


@pytest.mark.parametrize(
    ("code", "reason", "error"),
    [
        (1005, "", ValueError),
        (1006, "", ValueError),
        (1015, "", ValueError),
        (999, "", ValueError),
        (5000, "", ValueError),
        (1004, "", ValueError),
        ("1000", "", TypeError),
        (True, "", TypeError),
        (1000, b"x", TypeError),
        (1000, "\u20ac" * 42, ValueError),
    ],
)
def test_what_cannot_be_sent_raises(code: object, reason: object, error: type[Exception]) -> None:
    socket = Socket()
    with pytest.raises(error):
        socket.ws.close(socket.now, code, reason)  # type: ignore[arg-type]
    assert socket.ws.is_open


# The handler's end --------------------------------------------------------------------------------------


def test_a_handler_that_returns_closes() -> None:
    socket = Socket()
    socket.exchange.finish(socket.now)
    socket.push()
    assert socket.closes == [_CODE[1000]]
    socket.receive(close())
    socket.push()
    assert socket.outcomes == ["complete"]


def test_a_handler_that_returns_after_its_last_message_was_dropped_says_so() -> None:
    socket = Socket()
    late = socket.send("x" * 100, timeout=0, window=0)
    socket.exchange.withdraw(late, socket.now)
    socket.exchange.finish(socket.now)
    socket.push()
    assert socket.closes == [_CODE[1011] + b"the last message was not sent"]


def test_a_handler_that_raises_says_1011() -> None:
    socket = Socket()
    socket.exchange.fail(socket.now)
    socket.push()
    assert socket.closes == [_CODE[1011]]


def test_a_server_that_drains_says_that_it_restarts() -> None:
    socket = Socket()
    socket.connection.drain(socket.now)
    socket.push()
    assert socket.closes == [_CODE[1012]]
    socket.receive(close(1012))
    socket.push()
    assert socket.outcomes == ["complete"]


def test_one_that_is_accepted_in_a_drain_is_told_at_once() -> None:
    driven = Driven(request())
    driven.connection.drain(driven.now)
    ws = WebSocket(driven.exchange, driven.now)
    driven.push()
    head, _, wire = driven.wire.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 ")
    assert frames(bytes(wire)) == [(0x80 | CLOSE, _CODE[1012])]
    assert not ws.is_open


def test_in_a_drain_what_is_followed_is_sent_first() -> None:
    socket = Socket()
    feed = Feed(clock=socket.clock)
    feed.publish("last")
    follow = socket.ws.follow(feed.follower(), socket.now, until_draining=True)
    socket.connection.drain(socket.now)
    assert socket.ws.is_open
    socket.push()
    assert follow.result is None
    socket.exchange.finish(socket.now)
    socket.push()
    assert socket.messages == ["last"]
    assert socket.closes == [_CODE[1012]]


def test_an_aborted_server_resets() -> None:
    socket = Socket()
    pending = socket.ws.close(socket.now)
    socket.connection.abort(socket.now)
    assert pending.settled
    assert socket.ws.close_code == 1006


MANY = b"".join(frame(TEXT, b"x") for _ in range(200))
"""More than are read in one turn."""


@pytest.mark.parametrize("how", ["close", "finish", "lost"])
def test_an_end_while_frames_wait_for_their_turn(how: str) -> None:
    socket = Socket(ws_max_queue=10_000)
    socket.receive(MANY + close(4000, b"enough"))
    if how == "close":
        closing = socket.ws.close(socket.now)
        assert not closing.settled
    elif how == "finish":
        socket.exchange.finish(socket.now)
    else:
        socket.lost()
    for _ in range(10):
        socket.advance(0)
        socket.push()
    if how == "lost":
        assert socket.outcomes == ["cancelled"]
        assert socket.ws.close_code == 1006
    else:
        assert socket.outcomes == ["complete"]
        assert (socket.ws.close_code, socket.ws.close_reason) == (4000, "enough")
        assert socket.closes == [b"\x03\xe8"]


def test_a_handler_that_raises_behind_its_close_has_closed_it() -> None:
    socket = Socket()
    socket.ws.close(socket.now, 4001)
    socket.exchange.fail(socket.now)
    socket.push()
    socket.receive(close(4001))
    socket.push()
    assert socket.closes == [b"\x0f\xa1"]
    assert socket.outcomes == ["complete"]
