"""What a client's program has confirmed: it answers the PINGs that are sent behind messages."""

import re
from bisect import bisect_left
from collections import deque
from collections.abc import Iterator
from math import inf
from random import Random
from statistics import median
from typing import Any

import pytest
from tests.core.driving import Driven, result
from tests.core.websocket.speaking import PING, PONG, TEXT, Socket, close, frame, frames, request
from tests.core.websocket.test_http2 import Socket2

from httpng_core import ConfirmedUnknownError, EndKind, Feed, GeneratorIO, Pending, Request, Until, WindowSize
from httpng_core.testing import Loopback, ScriptedPath

CONFIRMED: Until = "confirmed"
SETTINGS: dict[str, Any] = {
    "confirm_every": 10_000,
    "confirm_interval": 1.0,
    "confirm_timeout": 5.0,
    "ws_ping_interval": inf,
}


class Asked(Socket):
    """A WebSocket whose handler asks for what is confirmed."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **{**SETTINGS, **settings})

    def tell(self, message: str | bytes, window: WindowSize = 1 << 20, timeout: float = 100) -> Pending:
        pending = self.ws.send(message, self.now, timeout, window, CONFIRMED)
        self.rest()
        return pending

    @property
    def pings(self) -> list[bytes]:
        return [payload for first, payload in self.frames if first & 0xF == PING]

    def pong(self, index: int = -1) -> None:
        self.receive(frame(PONG, self.pings[index]))
        self.rest()

    def later(self, seconds: float) -> None:
        self.advance(seconds)
        self.rest()

    @property
    def confirmed(self) -> int | None:
        return self.ws.stats(self.now).confirmed


# Who asks, and when ------------------------------------------------------------------------------------


def test_nobody_is_asked_while_nobody_wants_to_know() -> None:
    socket = Asked()
    socket.send("x" * 50_000)
    socket.rest()
    assert socket.ws.wait(0, socket.now, 1, "sent").settled
    assert socket.pings == []
    assert socket.confirmed is None


def test_a_message_counts_as_in_flight_until_its_client_confirms_it() -> None:
    socket = Asked()
    assert socket.tell("a" * 600, 1000).result is None
    second = socket.tell("b" * 600, 1000)
    assert not second.settled
    assert (socket.ws.stats(socket.now).sent, socket.confirmed) == (600, 0)
    socket.pong()
    assert second.settled
    assert second.result is None
    assert (socket.ws.stats(socket.now).sent, socket.confirmed) == (1200, 600)
    socket.later(1)
    socket.pong()
    assert socket.confirmed == 1200


def test_at_window_0_done_means_that_the_client_has_it() -> None:
    socket = Asked()
    pending = socket.tell("a" * 600, 0)
    assert not pending.settled
    socket.pong()
    assert pending.result is None


def test_a_ping_is_behind_all_that_was_accepted_in_its_turn_and_one_is_under_way() -> None:
    socket = Asked()
    for count in range(5):
        socket.ws.send(f"{count}", socket.now, 10, 1 << 20, CONFIRMED)
    wait = socket.ws.wait(0, socket.now, 10, CONFIRMED)
    socket.rest()
    assert [first & 0xF for first, _ in socket.frames] == [TEXT] * 5 + [PING]
    socket.tell("more")
    socket.later(2)
    assert len(socket.pings) == 1
    socket.pong()
    assert (socket.confirmed, len(socket.pings)) == (5, 2)
    assert not wait.settled
    socket.pong()
    assert (socket.confirmed, result(wait).reached) == (9, True)


def test_while_nobody_waits_so_many_bytes_or_so_much_time_pass_between() -> None:
    socket = Asked()
    socket.tell("x" * 100)
    assert len(socket.pings) == 1
    socket.pong()
    socket.tell("x" * 100)
    assert len(socket.pings) == 1
    socket.tell("x" * 10_000)
    assert len(socket.pings) == 2
    socket.pong()
    socket.tell("x")
    socket.later(0.9)
    assert len(socket.pings) == 2
    socket.later(0.1)
    assert len(socket.pings) == 3
    socket.pong()
    socket.later(100)
    assert len(socket.pings) == 3, "there was nothing to ask for"
    assert socket.confirmed == 10_201


def test_who_waits_need_not_wait_for_that_time() -> None:
    socket = Asked()
    socket.tell("x")
    socket.pong()
    socket.tell("y")
    assert len(socket.pings) == 1
    wait = socket.ws.wait(2, socket.now, 10, CONFIRMED)
    socket.rest()
    assert len(socket.pings) == 2
    socket.pong()
    assert result(wait).reached
    # Of messages longer than the window a second one waits at once.
    socket.tell("z" * 10, 5)
    socket.rest()
    assert len(socket.pings) == 3


def test_what_was_sent_before_anybody_asked_counts_once_it_is_confirmed() -> None:
    socket = Asked()
    socket.send("x" * 1000)
    socket.rest()
    assert socket.ws.stats(socket.now).sent == 1000
    wait = socket.ws.wait(0, socket.now, 10, CONFIRMED)
    socket.rest()
    assert socket.confirmed == 0
    socket.pong()
    assert (socket.confirmed, result(wait).reached) == (1000, True)


def test_a_compressed_message_counts_as_a_whole() -> None:
    socket = Asked(request(sec_websocket_extensions="permessage-deflate"))
    pending = socket.tell("x" * 5000, 0)
    assert socket.messages == ["x" * 5000]
    socket.pong()
    assert (socket.confirmed, pending.result) == (5000, None)


def test_a_wait_that_is_late_tells_that_it_was_not_reached() -> None:
    socket = Asked()
    socket.tell("x")
    wait = socket.ws.wait(0, socket.now, 2, CONFIRMED)
    socket.later(2)
    assert not result(wait).reached
    assert not result(wait).cancelled


def test_a_send_that_finds_no_room_is_dropped_when_its_time_is_up() -> None:
    socket = Asked()
    socket.tell("a" * 100, 100)
    late = socket.tell("b" * 100, 100, timeout=2)
    socket.later(2)
    assert result(late).body_bytes_sent == 0
    socket.pong()
    assert socket.messages == ["a" * 100]


# What counts as an answer ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"x",
        (1).to_bytes(8, "big"),
        (10**6).to_bytes(8, "big"),
        b"\xff" * 8,
        (600).to_bytes(8, "big"),
        b"\0" * 9,
        b"x" * 125,
    ],
)
def test_what_nobody_asked_for_confirms_nothing(payload: bytes) -> None:
    socket = Asked()
    socket.tell("a" * 600, 0)
    socket.receive(frame(PONG, payload))
    socket.rest()
    assert socket.confirmed == 0
    assert len(socket.pings) == 1


def test_an_answer_ahead_of_its_question_confirms_nothing() -> None:
    socket = Asked()
    pending = socket.ws.send("a" * 100, socket.now, 100, 1000, CONFIRMED)
    socket.rest(room=0)
    assert pending.settled
    socket.connection.handle_timeout(socket.now)
    # A client that knows how we count, and says so before it has anything.
    guess = frame(PONG, (102 + 10).to_bytes(8, "big"))
    socket.receive(guess)
    socket.push(50)
    socket.receive(guess)
    assert socket.confirmed == 0
    socket.push(61)
    socket.receive(guess)
    assert socket.confirmed == 0, "a byte of the question is missing"
    socket.push(1)
    socket.receive(guess)
    assert socket.confirmed == 100


def test_a_second_answer_to_one_question_changes_nothing() -> None:
    socket = Asked()
    socket.tell("a", 0)
    socket.pong()
    socket.tell("b", 0)
    socket.pong(0)
    assert socket.confirmed == 1
    socket.pong(1)
    assert socket.confirmed == 2


# PINGs by the clock ------------------------------------------------------------------------------------


def test_the_answer_to_a_later_ping_answers_those_before() -> None:
    """A client need answer only the last of several (RFC 6455, 5.5.3)."""
    socket = Asked(ws_ping_interval=3, ws_ping_timeout=10)
    pending = socket.tell("a" * 100, 0)
    socket.later(3)
    assert len(socket.pings) == 2
    socket.pong(1)
    assert (pending.result, socket.confirmed) == (None, 100)
    second = socket.tell("b" * 100, 0)
    assert len(socket.pings) == 3
    socket.pong(2)
    assert (second.result, socket.confirmed) == (None, 200)
    assert socket.outcomes == []


def test_who_confirms_is_alive_and_is_not_pinged_besides() -> None:
    socket = Asked(ws_ping_interval=3, ws_ping_timeout=2)
    for count in range(1, 20):
        socket.tell("a", 0)
        socket.later(1)
        assert len(socket.pings) == count
        socket.pong()
    socket.later(2.9)
    assert len(socket.pings) == 19
    socket.later(0.1)
    assert len(socket.pings) == 20
    # One that is asked behind it, and answers that alone.
    socket.tell("a", 0)
    socket.pong()
    socket.later(2.5)
    assert socket.outcomes == []
    assert socket.confirmed == 20


def test_a_ping_by_the_clock_that_is_not_answered_ends_it_though_nothing_is_to_be_confirmed() -> None:
    socket = Asked(ws_ping_interval=3, ws_ping_timeout=2)
    socket.tell("a", 0)
    socket.pong()
    socket.later(3)
    socket.later(2)
    assert socket.outcomes == ["cancelled"]


# A client that stops confirming ------------------------------------------------------------------------


def test_a_client_that_stops_confirming_has_stalled() -> None:
    socket = Asked()
    socket.tell("a", 0)
    socket.pong()
    pending = socket.tell("b", 0)
    socket.later(4.9)
    assert socket.outcomes == []
    socket.later(0.1)
    assert socket.outcomes == ["reset"]
    assert socket.exchange.cause.kind is EndKind.STALLED
    assert "confirm_timeout" in socket.exchange.cause.text
    assert result(pending).cancelled
    assert socket.confirmed == 1


def test_no_answer_is_late_while_its_question_is_on_its_way() -> None:
    socket = Asked()
    socket.ws.send("x" * 100_000, socket.now, inf, 0, CONFIRMED)
    socket.rest(room=1000)
    for _ in range(95):
        socket.advance(1.0)
        socket.push(1000)
    assert socket.outcomes == []
    socket.rest()
    socket.later(4.9)
    assert socket.outcomes == []
    socket.pong()
    assert socket.confirmed == 100_000


def test_no_answer_is_late_while_nothing_is_read() -> None:
    socket = Asked(ws_max_queue=1)
    socket.tell("a", 0)
    socket.receive(frame(TEXT, b"x") + frame(PONG, socket.pings[-1]))
    for _ in range(20):
        socket.later(3)
    assert (socket.outcomes, socket.confirmed) == ([], 0)
    socket.ws.take(socket.now)
    socket.rest()
    assert (socket.outcomes, socket.confirmed) == ([], 1)


def test_infinity_waits_for_ever() -> None:
    socket = Asked(confirm_timeout=inf)
    socket.tell("a", 0)
    for _ in range(20):
        socket.later(1000)
        for index in range(1, len(socket.pings)):
            # Those by the clock are answered.
            socket.receive(frame(PONG, socket.pings[index]))
    assert socket.outcomes == []


# Lag, and frames that carry nothing --------------------------------------------------------------------


def test_frames_without_a_message_keep_nothing_in_flight() -> None:
    socket = Asked()
    socket.tell("a", 0)
    socket.pong()
    socket.receive(frame(PING, b"are you there"))
    socket.rest()
    assert socket.ws.stats(socket.now).lag == 0
    assert socket.exchange.in_flight(CONFIRMED) == 0
    wait = socket.exchange.wait(0, socket.now, 10, CONFIRMED)
    assert result(wait).reached
    socket.later(50)
    assert socket.outcomes == []


def test_the_lag_counts_to_confirmed() -> None:
    socket = Asked()
    socket.tell("a" * 100, 1000)
    socket.advance(2)
    assert socket.ws.stats(socket.now).lag == 2
    socket.pong()
    assert socket.ws.stats(socket.now).lag == 0


# Feeds ------------------------------------------------------------------------------------------------


def followed(socket: Asked, feed: Feed, window: WindowSize = 0, **options: Any) -> Pending:
    follower = feed.follower(max_age=None, on_gap=None)
    return socket.ws.follow(follower, socket.now, None, window, CONFIRMED, **options)


def test_a_feed_is_chosen_from_when_the_client_has_confirmed_what_went_before() -> None:
    socket, feed = Asked(), Feed(clock=lambda: 0.0)
    follow = followed(socket, feed)
    for value in range(5):
        feed.publish(f"{value}".encode(), key="k")
        socket.rest()
    assert socket.messages == ["0"]
    socket.receive(frame(PING, b"x"))
    socket.rest()
    assert socket.messages == ["0"]
    socket.pong()
    assert socket.messages == ["0", "4"]
    socket.pong()
    feed.publish(b"5", key="k")
    socket.rest()
    assert socket.messages == ["0", "4", "5"]
    feed.close()
    socket.pong()
    assert follow.result is None
    assert socket.confirmed == 3


def test_a_client_of_a_feed_that_stops_confirming_has_stalled() -> None:
    socket, feed = Asked(), Feed(clock=lambda: 0.0)
    follow = followed(socket, feed, until_draining=True)
    feed.publish(b"0")
    socket.rest()
    socket.later(5)
    assert result(follow).cancelled
    assert socket.exchange.cause.kind is EndKind.STALLED


# The end ----------------------------------------------------------------------------------------------


def test_what_is_not_confirmed_is_asked_for_before_the_close() -> None:
    socket = Asked()
    socket.tell("a")
    socket.tell("b")
    wait = socket.ws.wait(0, socket.now, 100, CONFIRMED)
    socket.ws.close(socket.now)
    socket.rest()
    assert [first & 0xF for first, _ in socket.frames] == [TEXT, PING, TEXT, PING, 8]
    socket.pong()
    assert (socket.confirmed, result(wait).reached) == (2, True)
    socket.receive(close())
    socket.rest()
    assert socket.outcomes == ["complete"]


def test_nothing_is_asked_once_it_is_closed_and_waits_end_with_it() -> None:
    socket = Asked()
    socket.tell("a", 0)
    wait = socket.ws.wait(0, socket.now, 100, CONFIRMED)
    socket.receive(close())
    socket.later(50)
    assert len(socket.pings) == 1
    assert not result(wait).reached
    assert result(socket.ws.send("x", socket.now, 1, 0, CONFIRMED)).cancelled


def test_asking_first_when_it_is_closing_asks_nobody() -> None:
    socket = Asked()
    socket.send("a")
    socket.ws.close(socket.now)
    wait = socket.ws.wait(0, socket.now, 1, CONFIRMED)
    socket.later(1)
    assert socket.pings == []
    assert not result(wait).reached


# Where nothing confirms --------------------------------------------------------------------------------


def test_asking_where_nothing_confirms_is_an_error_at_the_call() -> None:
    driven = Driven()
    for window in (0, 1000, "auto"):
        with pytest.raises(ConfirmedUnknownError, match="nothing confirms"):
            driven.exchange.write(b"x", driven.now, 1, window, None, CONFIRMED)
    with pytest.raises(ConfirmedUnknownError):
        driven.exchange.wait(0, driven.now, 1, CONFIRMED)
    with pytest.raises(ConfirmedUnknownError):
        driven.exchange.follow(Feed(clock=lambda: 0.0).follower(), driven.now, 1, 0, None, CONFIRMED)
    assert driven.stats.current == 0
    assert driven.stats.confirmed is None


# HTTP/2 -----------------------------------------------------------------------------------------------


def test_it_is_so_on_http2() -> None:
    socket = Socket2()
    stream = socket.accept()

    def settled() -> None:
        for _ in range(4):
            socket.connection.handle_timeout(socket.now)
            socket.turn()

    pending = socket.ws.send("a" * 600, socket.now, 100, 0, CONFIRMED)
    settled()
    told = frames(bytes(stream.body))
    assert [first & 0xF for first, _ in told] == [TEXT, PING]
    assert not pending.settled
    socket.say(frame(PONG, told[-1][1]))
    assert pending.result is None
    assert socket.ws.stats(socket.now).confirmed == 600


def test_a_question_goes_out_on_http2_while_the_handler_does_nothing() -> None:
    socket = Socket2(confirm_interval=1.0, ws_ping_interval=inf)
    stream = socket.accept()

    def passed(seconds: float) -> list[int]:
        socket.clock.now += seconds
        socket.connection.handle_timeout(socket.now)
        socket.turn()
        return [first & 0xF for first, _ in frames(bytes(stream.body))]

    assert socket.ws.send("a" * 600, socket.now, 100, 1 << 20, CONFIRMED).result is None
    assert passed(0) == [TEXT, PING]
    socket.say(frame(PONG, frames(bytes(stream.body))[-1][1]))
    assert socket.ws.send("b" * 600, socket.now, 100, 1 << 20, CONFIRMED).result is None
    assert passed(0.5) == [TEXT, PING, TEXT]
    assert passed(0.5) == [TEXT, PING, TEXT, PING]


# Whatever happens -------------------------------------------------------------------------------------


class Chance(Asked):
    """A handler, a kernel and a client that do anything."""

    def __init__(self, seed: int) -> None:
        self.random = random = Random(seed)
        offer = random.choice(["", "permessage-deflate"])
        interval = random.choice([0.5, 20])
        super().__init__(
            request(sec_websocket_extensions=offer), ws_ping_interval=interval, confirm_timeout=inf
        )
        self._unread: deque[bytes] = deque()
        self._seen = 0

    def step(self) -> None:
        random = self.random
        random.choice(
            [self._send, self._send, self._take, self._pass, self._client_asks, self._client_answers]
        )()

    def _send(self) -> None:
        random = self.random
        message = "x" * random.choice([0, 1, 300, 5000])
        until: Until = random.choice(["sent", CONFIRMED])
        windows: list[WindowSize] = [0, 400, 1 << 20, "auto"]
        window = random.choice(windows[: 4 if until == CONFIRMED else 3])
        self.ws.send(message, self.now, random.choice([0, 1, 10]), window, until)

    def _take(self) -> None:
        self.push(self.random.choice([1, 100, 3000, inf]))

    def _pass(self) -> None:
        self.advance(self.random.choice([0, 0.01, 0.7]))

    def _client_asks(self) -> None:
        self.receive(frame(PING, b"x"))
        self.receive(frame(PONG, self.random.randbytes(8)))
        if self._seen and self.random.random() < 0.2:
            self.receive(frame(PONG, self.random.choice(self.pings[: self._seen])))

    def _client_answers(self) -> None:
        """The client reads on, and answers all, or the last one only."""
        self._unread.extend(self.pings[self._seen :])
        self._seen = len(self.pings)
        while self._unread:
            payload = self._unread.popleft()
            if not self._unread or self.random.random() < 0.7:
                self.receive(frame(PONG, payload))


@pytest.mark.parametrize("seed", range(30))
def test_whatever_happens_no_more_is_confirmed_than_the_client_has(seed: int) -> None:
    socket = Chance(seed)
    before = 0
    for _ in range(200):
        socket.step()
        stats = socket.ws.stats(socket.now)
        confirmed = stats.confirmed or 0
        assert before <= confirmed <= stats.sent <= stats.current
        assert confirmed <= sum(map(len, socket.messages))
        assert socket.outcomes == []
        before = confirmed
    # Who waits for room is through, or late.
    socket.later(11)
    wait = socket.ws.wait(0, socket.now, 10, CONFIRMED)
    for _ in range(5):
        socket.rest()
        for payload in socket.pings:
            socket.receive(frame(PONG, payload))
    assert result(wait).reached
    assert socket.confirmed == socket.ws.stats(socket.now).current == sum(map(len, socket.messages))


# Along the path ---------------------------------------------------------------------------------------

RATE, TICK = 250_000, 1024
_MARK = re.compile(rb"<(\d+\.\d+)\.*>")


class Ticker:
    """Offers the latest tick again and again to a client that answers, down a path."""

    def __init__(self, path: ScriptedPath, window: WindowSize, ticks_a_second: float = 1000) -> None:
        self.path = path
        self._interval = 1 / ticks_a_second
        self._window = window
        self._answered = 0
        self.loop = Loopback(self._handle, ws_per_message_deflate=False)
        self.client = self.loop.connect(path=path)
        self._take, path.on_arrival = path.on_arrival, self._arrived
        self.client.send(request())

    def _arrived(self, data: bytes) -> None:
        self._take(data)
        said = bytes(self.client.received).partition(b"\r\n\r\n")[2][self._answered :]
        told = frames(said)
        self._answered += sum(len(payload) + (2 if len(payload) < 126 else 4) for _, payload in told)
        due, timers = self.loop.clock() + self.path.delay, self.loop.runner.timers
        for first, payload in told:
            if first & 0xF == PING:
                timers.add(due, lambda now, told=payload: self._answer(told, now))  # type: ignore[misc]

    def _answer(self, payload: bytes, now: float) -> None:
        self.client.connection.receive_data(frame(PONG, payload), now)

    def _handle(self, req: Request, io: GeneratorIO) -> Iterator[Any]:
        io.window_until, io.send_window = CONFIRMED, self._window
        ws = io.accept_websocket()
        while True:
            yield ws.send(f"<{self.loop.clock():.4f}".ljust(TICK - 1, ".") + ">", 0)
            nap = Pending()
            due = self.loop.clock() + self._interval
            self.loop.runner.timers.add(due, lambda now, nap=nap: nap.settle(None))  # type: ignore[misc]
            yield nap

    def ages(self, seconds: float, skipped: float) -> list[float]:
        self.loop.advance(skipped)
        begins = self.loop.clock()
        self.loop.advance(seconds)
        totals = [total for _, total in self.path.arrivals]
        came = [
            (self.path.arrivals[bisect_left(totals, found.end())][0], float(found[1]))
            for found in _MARK.finditer(bytes(self.client.received))
        ]
        return [at - offered for at, offered in came if at >= begins]


@pytest.mark.parametrize("milliseconds", [1, 20, 100])
def test_a_window_that_follows_the_path_fills_it_with_fresh_messages(milliseconds: int) -> None:
    delay = milliseconds / 1000
    ages = Ticker(ScriptedPath(delay, RATE), "auto").ages(1, 30 * delay)
    assert len(ages) * TICK >= 0.93 * RATE
    assert median(ages) <= delay + TICK / RATE + 0.6 * 2 * delay + 0.001


def test_a_client_that_asks_by_itself_does_not_keep_the_path_from_being_measured() -> None:
    """What answers it lies behind the question, and nobody confirms that."""
    ticker = Ticker(ScriptedPath(0.0005, 400_000), "auto", ticks_a_second=50)
    ticker.loop.advance(0.01)
    ticker.path.rate = 8000
    for _ in range(100):
        ticker.loop.advance(0.09)
        ticker.client.send(frame(PING, b"x"))
    ticker.path.rate = 100_000
    ages = ticker.ages(5, 15)
    assert median(ages) <= 0.05
    assert len(ages) >= 5 * 40


def test_one_at_a_time_is_as_fresh_as_can_be_on_a_slow_path() -> None:
    ages = Ticker(ScriptedPath(0.01, 8000), 0).ages(10, 1)
    assert median(ages) <= 1.1 * (TICK / 8000 + 0.01)
