"""Messages out: accepted whole or not at all, dropped until their first byte is committed, never torn."""

from math import inf
from random import Random

import pytest
from tests.core.driving import result
from tests.core.websocket.speaking import PONG, Socket, close, frame, messages, request

from httpng_core import LAG_LIMITS, Feed, LagStep
from httpng_core.languages import LagWatched, Watched, checked_lag

FRAME_4 = 4  # what comes before a payload of 126 to 65535 bytes


def told(socket: Socket) -> tuple[int, int]:
    stats = socket.ws.stats(socket.now)
    return stats.current, stats.sent


@pytest.mark.parametrize(
    ("message", "decoded"),
    [
        ("text", "text"),
        ("", ""),
        (b"binary", b"binary"),
        (bytearray(b"array"), b"array"),
        (memoryview(b"view"), b"view"),
        ("\u20ac" * 1000, "\u20ac" * 1000),
        (b"x" * 70_000, b"x" * 70_000),
    ],
)
@pytest.mark.parametrize("offer", ["", "permessage-deflate"])
def test_a_client_decodes_what_was_sent(message: object, decoded: object, offer: str) -> None:
    socket = Socket(request(sec_websocket_extensions=offer))
    assert socket.send(message).result is None
    socket.push()
    assert socket.messages == [decoded]


@pytest.mark.parametrize("message", [None, 1, ["x"]])
def test_what_is_no_message_raises(message: object) -> None:
    socket = Socket()
    with pytest.raises(TypeError, match="message must be str or bytes"):
        socket.send(message)
    socket.ws.close(socket.now)
    with pytest.raises(TypeError):
        socket.send(message)


def test_positions_count_what_the_handler_passed() -> None:
    socket = Socket()
    socket.send("a" * 1000)
    socket.send(b"b" * 500)
    assert told(socket) == (1500, 0)
    socket.push(FRAME_4 + 10)
    assert told(socket) == (1500, 10)
    socket.push(990)
    assert told(socket) == (1500, 1000)
    socket.push(FRAME_4)
    assert told(socket) == (1500, 1000)
    socket.push()
    assert told(socket) == (1500, 1500)


def test_control_frames_count_for_nothing() -> None:
    socket = Socket()
    socket.send("a" * 1000)
    socket.receive(frame(9, b"ping"))
    socket.send("b" * 1000)
    socket.push(1004 + 6 + FRAME_4 + 1)
    assert told(socket) == (2000, 1001)


def test_a_compressed_message_counts_as_a_whole() -> None:
    socket = Socket(request(sec_websocket_extensions="permessage-deflate"))
    socket.send("a" * 1000)
    assert socket.exchange.current < 100
    socket.push(socket.exchange.current - 1)
    assert told(socket) == (1000, 0)
    socket.push()
    assert told(socket) == (1000, 1000)


def test_a_message_that_was_dropped_leaves_no_trace_in_those_that_are_compressed() -> None:
    socket = Socket(request(sec_websocket_extensions="permessage-deflate"))
    dropped = 0
    for number in range(100):
        sent = socket.send(f"{number} the same words " * 20, timeout=0, window=1000)
        dropped += sent.settled is False
        if not sent.settled:
            socket.exchange.withdraw(sent, socket.now)
        if number % 3 == 0:
            socket.push()
    socket.push()
    assert dropped > 30
    assert len(socket.messages) == 100 - dropped


# The window ---------------------------------------------------------------------------------------------


def test_a_message_within_the_window_is_accepted_whole_or_not_at_all() -> None:
    socket = Socket()
    assert socket.send("a" * 600, window=1000).result is None
    late = socket.send("b" * 600, 1.0, window=1000)
    assert not late.settled
    # One that would fit stands in line behind it.
    behind = socket.send("c" * 10, 2.0, window=1000)
    assert not behind.settled
    socket.advance(1.0)
    ended = result(late)
    assert (ended.cancelled, ended.body_bytes_sent) == (False, 0)
    assert behind.result is None
    socket.push()
    assert socket.messages == ["a" * 600, "c" * 10]


def test_the_window_counts_messages_and_not_their_framing() -> None:
    socket = Socket()
    for _ in range(10):
        assert socket.send("a" * 100, window=1000).result is None
    assert not socket.send("b", window=1000).settled


def test_a_message_longer_than_the_window_goes_when_nothing_is_in_flight() -> None:
    socket = Socket()
    socket.send("a" * 100)
    sent = socket.send("b" * 5000, window=1000)
    socket.push(50)
    assert told(socket)[0] == 100
    # The kernel takes the first and one byte more: with that byte it is accepted, all of it.
    socket.push(2 + 50 + 1)
    assert told(socket) == (5100, 100)
    assert not sent.settled
    socket.push(3 + 3999)
    assert not sent.settled
    socket.push(1)
    assert sent.result is None
    assert told(socket) == (5100, 4100)


@pytest.mark.parametrize("window", [0, 1, 999])
def test_one_that_has_begun_is_owed_when_the_time_is_up(window: int) -> None:
    socket = Socket()
    sent = socket.send("b" * 5000, 1.0, window=window)
    socket.push(100)
    socket.advance(1.0)
    ended = result(sent)
    assert (ended.cancelled, ended.body_bytes_sent) == (False, 5000)
    socket.push()
    assert socket.messages == ["b" * 5000]


def test_one_that_has_not_begun_is_dropped_when_the_time_is_up() -> None:
    socket = Socket()
    sent = socket.send("b" * 5000, 1.0, window=0)
    socket.advance(1.0)
    assert result(sent).body_bytes_sent == 0
    socket.push()
    assert socket.messages == []


def test_at_window_0_done_means_that_the_stack_has_it() -> None:
    socket = Socket()
    sent = socket.send("abc", window=0)
    assert not sent.settled
    socket.push(4)
    assert not sent.settled
    socket.push(1)
    assert sent.result is None
    assert socket.messages == ["abc"]


def test_one_that_leaves_while_it_is_offered_is_told_as_what_becomes_of_it() -> None:
    """The kernel has been asked, and has not answered: it may have taken a part by now."""
    for taken in (0, 1, 100, 5004):
        socket = Socket()
        sent = socket.send("b" * 5000, 1.0, window=0)
        offer = b"".join(socket.connection.data_to_send(socket.now))
        assert len(offer) == 5004
        socket.exchange.withdraw(sent, socket.now)
        socket.receive(frame(9, b"p"))
        socket.wire += offer[:taken]
        socket.connection.bytes_accepted(taken, socket.now)
        socket.push()
        assert result(sent).body_bytes_sent == 5000
        assert socket.messages == ["b" * 5000]
        assert [first for first, _ in socket.frames] == [0x81, 0x80 | PONG]
        assert told(socket) == (5000, 5000)


def test_wait_counts_messages() -> None:
    socket = Socket()
    socket.send("a" * 1000)
    waits = [socket.ws.wait(position, socket.now) for position in (1000, 1001, 0, -500)]
    socket.push(FRAME_4 + 499)
    assert [wait.settled for wait in waits] == [False] * 4
    socket.push(1)
    assert [wait.settled for wait in waits] == [False, False, False, True]
    socket.push()
    assert [wait.settled for wait in waits] == [True, False, True, True]
    socket.send("b")
    socket.push()
    assert waits[1].settled


def test_acknowledged_messages_count_by_messages() -> None:
    socket = Socket(tells_acknowledged=True)
    socket.send("a" * 1000)
    socket.push()
    head = len(socket.wire) - 1004
    pending = socket.ws.wait(1500, socket.now, until="acked")
    socket.send("b" * 1000)
    socket.push()
    assert socket.ws.stats(socket.now).acked == 0
    socket.connection.bytes_acknowledged(head + 1004, socket.now)
    assert socket.ws.stats(socket.now).acked == 1000
    assert not pending.settled
    socket.connection.bytes_acknowledged(head + 1004 + FRAME_4 + 500, socket.now)
    assert pending.settled
    stats = socket.ws.stats(socket.now)
    assert (stats.current, stats.sent, stats.acked) == (2000, 2000, 1500)


@pytest.mark.parametrize("seed", range(30))
def test_whatever_the_kernel_does_the_client_decodes_what_was_reported(seed: int) -> None:
    random = Random(seed)
    offer = random.choice(["", "permessage-deflate"])
    socket = Socket(request(sec_websocket_extensions=offer), pushed=False)
    calls = []
    for number in range(200):
        step = random.random()
        if step < 0.4:
            size = random.choice([0, 10, 200, 3000, 70_000])
            message = f"{number}:".ljust(size, random.choice("xy"))
            window = random.choice([0, 100, 5000, 1 << 20])
            calls.append((message, socket.send(message, random.choice([0.5, 2.0, inf]), window)))
        elif step < 0.5:
            socket.receive(frame(9, b"p"))
        elif step < 0.6:
            socket.advance(random.random())
        elif calls and step < 0.65 and not calls[-1][1].settled:
            socket.exchange.withdraw(calls[-1][1], socket.now)
        else:
            socket.push(random.choice([0, 1, 10, 1000, 50_000]))
        current, sent = told(socket)
        assert 0 <= sent <= current
    socket.rest()
    accepted = []
    for message, call in calls:
        assert call.settled or call is calls[-1][1]
        ended = call.result if call.settled else None
        if ended is None or ended.body_bytes_sent:
            assert ended is None or ended.body_bytes_sent == len(message)
            accepted.append(message)
    assert socket.messages == accepted
    assert told(socket) == (sum(map(len, accepted)), sum(map(len, accepted)))


# Feeds --------------------------------------------------------------------------------------------------


def test_payloads_of_a_feed_are_messages() -> None:
    socket = Socket()
    feed = Feed(clock=socket.clock)
    feed.publish("before")
    follow = socket.ws.follow(feed.follower(), socket.now)
    socket.push()
    feed.publish("one", key="k")
    socket.push()
    assert socket.messages == ["before", "one"]
    assert told(socket) == (9, 9)
    feed.close()
    socket.push()
    assert follow.settled


@pytest.mark.parametrize(("window", "fit"), [(14, 2), (15, 3), (19, 3), (20, 4)])
def test_the_window_of_a_follow_counts_bytes_of_messages_as_that_of_a_send_does(
    window: int, fit: int
) -> None:
    followed, sent = (Socket(tells_acknowledged=True) for _ in range(2))
    feed = Feed(clock=followed.clock)
    followed.ws.follow(feed.follower(), followed.now, None, window, "acked")
    for number in range(5):
        feed.publish(f"tick{number}", key=number)
        followed.push()
        sent.ws.send(f"tick{number}", sent.now, 0, window, "acked")
        sent.push()
    assert followed.messages == sent.messages == [f"tick{number}" for number in range(fit)]
    assert told(followed) == (5 * fit, 5 * fit)
    for _ in range(2):
        followed.connection.bytes_acknowledged(followed.connection.accepted, followed.now)
        followed.push()
    assert followed.messages == [f"tick{number}" for number in range(5)]


def test_a_notice_of_a_gap_counts_in_the_window_of_a_follow() -> None:
    socket = Socket(tells_acknowledged=True)
    feed = Feed(clock=socket.clock)
    follower = feed.follower(on_gap=lambda count: f"lost {count}")
    socket.ws.follow(follower, socket.now, None, 15, "acked")
    feed.publish("tick 1")
    socket.push()
    for number in (2, 3):
        feed.publish(f"tick {number}")
    socket.push()
    assert socket.messages == ["tick 1"], "6 in flight, and 12 with the notice"
    socket.connection.bytes_acknowledged(socket.connection.accepted - 3, socket.now)
    socket.push()
    assert socket.messages == ["tick 1", "lost 1", "tick 3"], "3 in flight"


def test_a_slow_client_of_a_feed_skips_messages_and_each_gap_is_a_message_of_its_own() -> None:
    socket = Socket()
    feed = Feed(clock=socket.clock)
    follower = feed.follower(on_gap=lambda count: f"lost {count}")
    socket.ws.follow(follower, socket.now)
    for number in range(10):
        feed.publish(f"value {number}".ljust(500))
        socket.push(300)
    socket.rest()
    told_all = socket.messages
    assert [message.strip() for message in told_all if isinstance(message, str)][-1] == "value 9"
    gaps = [message for message in told_all if str(message).startswith("lost")]
    assert gaps
    lost = sum(int(str(gap).split()[1]) for gap in gaps)
    assert len(told_all) - len(gaps) + lost == 10
    assert told(socket) == (sum(map(len, told_all)), sum(map(len, told_all)))


def watched(socket: Socket, feed: Feed, *steps: LagStep) -> Watched:
    """A follower that is looked after by these steps."""
    lag = checked_lag(None, LAG_LIMITS, steps)
    assert lag is not None
    return LagWatched(feed.follower(pace=lag.of_pace(None)), lag, socket.clock)


def test_marks_of_lag_are_messages_of_their_own() -> None:
    socket = Socket()
    feed = Feed(clock=socket.clock)
    socket.ws.follow(watched(socket, feed, LagStep(2, "conflate", mark="slow", left="fine")), socket.now)
    feed.publish("one")
    socket.advance(2)
    socket.push(3)
    socket.push()
    socket.advance(2)
    socket.push()
    assert socket.messages == ["slow", "one", "fine"]
    assert told(socket) == (11, 11)


def test_one_that_lags_too_much_is_closed_with_a_reason() -> None:
    socket = Socket()
    feed = Feed(clock=socket.clock)
    step = LagStep(10, "close", reason="too slow", mark="for streams")
    follow = socket.ws.follow(watched(socket, feed, step), socket.now)
    feed.publish("one")
    socket.push(3)
    feed.publish("two")
    socket.advance(10)
    socket.push()
    assert result(follow).cancelled
    assert socket.messages == ["one"], "what has begun is sent whole"
    assert socket.closes == [(1013).to_bytes(2, "big") + b"too slow"]
    socket.receive(close(1013))
    assert (socket.exchange.cause.label, socket.ws.close_code) == ("limit(lag_policy)", 1013)


def test_payloads_that_are_no_text_end_the_follow_unless_it_is_binary() -> None:
    for binary in (False, True):
        socket = Socket()
        feed = Feed(clock=socket.clock)
        follow = socket.ws.follow(feed.follower(), socket.now, binary=binary)
        feed.publish(b"\xff")
        socket.push()
        if binary:
            assert socket.messages == [b"\xff"]
        else:
            with pytest.raises(ValueError, match="isn't UTF-8"):
                result(follow)
            assert socket.messages == []


def test_what_waits_ends_when_the_client_is_gone() -> None:
    socket = Socket()
    accepted = socket.send("a" * 100)
    waits = [socket.send("b" * 100, window=0), socket.ws.wait(0, socket.now)]
    socket.push(10)
    socket.lost()
    assert accepted.result is None
    for pending in waits:
        assert result(pending).cancelled
    assert socket.ws.close_code == 1006
    assert socket.ws.stats(socket.now).cancelled
    assert messages(socket.said) == []


def test_a_ping_that_is_due_meanwhile_goes_behind_it() -> None:
    socket = Socket(ws_ping_interval=10)
    sent = socket.send("b" * 5000, 10.5, window=0)
    offer = b"".join(socket.connection.data_to_send(socket.now))
    socket.advance(10)
    socket.exchange.withdraw(sent, socket.now)
    socket.wire += offer[:100]
    socket.connection.bytes_accepted(100, socket.now)
    socket.push()
    assert result(sent).body_bytes_sent == 5000
    assert [first for first, _ in socket.frames] == [0x81, 0x89]


def test_what_is_acknowledged_is_counted_from_when_anybody_asks() -> None:
    socket = Socket(tells_acknowledged=True)
    socket.send("first")
    socket.push()
    socket.exchange.track_acknowledged()
    socket.send("second")
    socket.push()
    assert told(socket) == (11, 11)
    socket.connection.bytes_acknowledged(len(socket.wire), socket.now)
    assert socket.ws.stats(socket.now).acked == 11


def test_a_message_is_watched_for_stalls_if_its_handler_says_so() -> None:
    socket = Socket(ws_ping_interval=inf)
    socket.exchange.stall_timeout = 5
    socket.send("a" * 100)
    socket.advance(4)
    assert socket.outcomes == []
    socket.advance(1)
    assert socket.outcomes == ["reset"]


def test_a_follow_behind_the_close_is_cancelled() -> None:
    socket = Socket()
    feed = Feed(clock=socket.clock)
    socket.ws.close(socket.now)
    for timeout in (5, None):
        assert result(socket.ws.follow(feed.follower(), socket.now, timeout)).cancelled
    with pytest.raises(ValueError, match="timeout"):
        socket.ws.follow(feed.follower(), socket.now, -1)
    assert feed.get_stats().followers == 0
