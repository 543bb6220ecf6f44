"""Confirmations of streams that are no WebSockets: a token in the first event, and small requests."""

import json
from collections.abc import Callable, Iterator
from math import inf
from typing import Any

import pytest
from tests.core.driving import Driven
from tests.core.websocket.speaking import Socket

from httpng_core import (
    Confirmations,
    EndKind,
    Feed,
    GeneratorIO,
    Host,
    Pending,
    Request,
    Response,
    ResponseStateError,
    Router,
    confirmations,
    sse_event,
    sse_headers,
)
from httpng_core.testing import Loopback

SETTINGS: dict[str, Any] = {"confirm_every": 10_000, "confirm_interval": 1.0, "confirm_timeout": 5.0}


class Stream:
    """A stream of events, its client, and requests that confirm."""

    def __init__(self, handler: Any, *, method: str = "GET", **settings: Any) -> None:
        self.confirmations = confirmations("/confirm")
        self.io: Any = None
        self._handler = handler
        router = Router()
        router.route("/confirm", self.confirmations)
        router.route("/", self._stream)
        self.loop = Loopback(router, **{**SETTINGS, **settings})
        self.client = self.loop.connect()
        self.other = self.loop.connect()
        self.client.get(method=method)

    def _stream(self, req: Request, io: GeneratorIO) -> Iterator[Any]:
        self.io = io
        io.headers = dict(sse_headers())
        yield io.write(self.confirmations.event(io))
        io.window_until = "confirmed"
        yield from self._handler(io)

    @property
    def events(self) -> list[str]:
        """What has come, event by event."""
        (response,) = self.client.responses()
        return response.body.decode().split("\n\n")[:-1]

    @property
    def token(self) -> str:
        kind, data = self.events[0].split("\n")
        assert kind == "event: confirmations"
        told = json.loads(data.removeprefix("data: "))
        assert told["path"] == "/confirm"
        return str(told["token"])

    @property
    def marks(self) -> list[int]:
        return [int(each.split("data: ")[1]) for each in self.events if each.startswith("event: confirm\n")]

    @property
    def told(self) -> list[str]:
        return [each.removeprefix("data: ") for each in self.events if each.startswith("data: ")]

    def post(self, body: str, method: str = "POST") -> Any:
        before = len(self.other.responses())
        head = f"{method} /confirm HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"
        self.other.send((head + body).encode())
        return self.other.responses()[before]

    def confirm(self, index: int = -1) -> None:
        assert self.post(f"{self.token} {self.marks[index]}").status == 204


def test_a_write_waits_until_what_went_before_is_confirmed() -> None:
    results: list[Any] = []

    def handler(io: GeneratorIO) -> Iterator[Any]:
        io.send_window = 150
        for count in range(3):
            results.append((yield io.write(sse_event(f"{count}".ljust(100)), 100)))
        results.append((yield io.wait(0, 100)))

    stream = Stream(handler)
    assert len(stream.confirmations) == 1
    assert stream.told == [], "the first event is in flight"
    assert len(stream.marks) == 1
    for count in range(3):
        stream.confirm()
        assert [each.strip() for each in stream.told] == [f"{one}" for one in range(count + 1)]
    assert results == [None, None, None]
    stream.confirm()
    assert results[3].reached
    assert stream.client.responses()[0].complete
    assert len(stream.confirmations) == 0, "it is over"
    assert stream.post("x 1").status == 404


def test_a_follower_gets_the_newest_when_its_client_has_confirmed() -> None:
    def handler(io: GeneratorIO) -> Iterator[Any]:
        yield io.follow(feed)

    feed = Feed(clock=lambda: 0.0)
    stream = Stream(handler)
    stream.confirm()
    for count in range(5):
        feed.publish(sse_event(f"{count}"), key="k")
        stream.loop.settle()
    assert stream.told == ["0"]
    stream.confirm()
    assert stream.told == ["0", "4"]
    stats = stream.io.get_send_stats()
    assert stats.confirmed < stats.sent == stats.current
    stream.confirm()
    stats = stream.io.get_send_stats()
    assert stats.confirmed == stats.sent == stats.current == stream.marks[-1]


def test_no_question_stands_in_the_middle_of_an_event() -> None:
    naps = [Pending() for _ in range(3)]

    def handler(io: GeneratorIO) -> Iterator[Any]:
        for nap, piece in zip(naps, ("data: a", "b\n", "\ndata: c\n\n"), strict=True):
            yield nap
            yield io.write(piece)
        yield Pending()

    stream = Stream(handler)
    stream.confirm()
    for nap in naps:
        (response,) = stream.client.responses()
        assert not response.body.endswith(b"b\n\nevent")
        nap.settle(None)
        stream.loop.settle()
        stream.loop.advance(2)
    assert stream.told == ["ab", "c"]
    assert len(stream.marks) == 2
    stream.confirm()
    assert stream.io.get_send_stats().confirmed == stream.io.get_send_stats().current


def test_a_client_that_stops_confirming_has_stalled() -> None:
    def handler(io: GeneratorIO) -> Iterator[Any]:
        yield io.wait(0, inf)

    stream = Stream(handler)
    stream.loop.advance(4.9)
    assert not stream.loop.exchanges[0].is_over
    stream.loop.advance(0.2)
    assert stream.loop.exchanges[0].cause.kind is EndKind.STALLED
    assert len(stream.confirmations) == 0


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("", 400),
        ("TOKEN", 400),
        ("TOKEN x", 400),
        ("TOKEN -1", 400),
        ("TOKEN " + "1" * 200, 400),
        ("TOKEN 1 2", 400),
        ("TOKEN 99999", 409),
        ("TOKEN 0", 204),
        ("TOKEN 1", 204),
        ("nobody 1", 404),
    ],
)
def test_what_a_client_may_say(body: str, status: int) -> None:
    def handler(io: GeneratorIO) -> Iterator[Any]:
        yield io.wait(0, inf)

    stream = Stream(handler)
    answer = stream.post(body.replace("TOKEN", stream.token))
    assert answer.status == status
    assert bool(answer.body) == (status != 204)
    confirmed = stream.io.get_send_stats().confirmed
    assert confirmed == (1 if body == "TOKEN 1" else 0)


def test_pages_get_a_script_and_other_methods_are_not_allowed() -> None:
    stream = Stream(lambda io: iter([io.wait(0, inf)]))
    script = stream.post("", method="GET")
    assert script.status == 200
    assert script.headers["content-type"] == "text/javascript; charset=utf-8"
    assert b"export function confirming(source)" in script.body
    assert len(script.body.splitlines()) <= 30
    assert stream.post("", method="PUT").status == 405


def test_a_client_of_another_stream_counts_bytes_by_itself() -> None:
    told: list[str] = []

    def _bytes(io: GeneratorIO) -> Iterator[Any]:
        told.append(confirming.token(io))
        with pytest.raises(ResponseStateError, match="already"):
            confirming.event(io)
        io.window_until, io.send_window = "confirmed", 0
        yield io.write(b"x" * 1000, 100)
        told.append("confirmed")

    confirming = Confirmations("/confirm")
    router = Router()
    router.route("/confirm", confirming)

    def stream(req: Request, io: GeneratorIO) -> Iterator[Any]:
        yield from _bytes(io)

    router.route("/", stream)
    loop = Loopback(router, **SETTINGS)
    client = loop.connect()
    client.get()
    assert client.responses()[0].body == b"x" * 1000
    (token,) = told
    assert confirming.confirm(f"{token} 999".encode()) == (204, "")
    loop.settle()
    assert told == [token]
    assert confirming.confirm(f"{token} 1000".encode()) == (204, "")
    loop.settle()
    assert told == [token, "confirmed"]


def test_a_response_without_a_body_is_asked_nothing() -> None:
    ended: list[Any] = []

    def handler(io: GeneratorIO) -> Iterator[Any]:
        ended.append((yield io.write("data: x\n\n", 10)))

    stream = Stream(handler, method="HEAD")
    assert len(ended) == 1
    assert stream.client.responses("HEAD")[0].body == b""
    assert len(stream.confirmations) == 0


@pytest.mark.parametrize("path", [b"/x", None, 5, "x", ""])
def test_a_path_begins_with_a_slash(path: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="path of confirmations"):
        confirmations(path)


def test_it_is_a_handler_like_any_other() -> None:
    loop = Loopback(confirmations("/confirm"))
    client = loop.connect()
    client.get()
    assert client.responses()[0].status == 200
    assert isinstance(Response(), Response)


def test_a_language_of_its_own_has_the_exchange_in_hand() -> None:
    driven, confirming = Driven(**SETTINGS), Confirmations("/confirm")
    token = confirming.begin_bytes(driven.exchange, driven.clock)
    driven.write(bytes(1000))
    driven.push()
    assert confirming.confirm(f"{token} 400".encode()) == (204, "")
    assert driven.stats.confirmed == 400


def test_who_confirms_may_be_in_another_thread() -> None:
    calls: list[Callable[[], object]] = []
    host = Host(lambda: None, call_in_loop=calls.append)
    driven, confirming = Driven(host=host, **SETTINGS), Confirmations("/confirm")
    token = confirming.begin_bytes(driven.exchange, driven.clock)
    driven.write(bytes(1000))
    driven.push()
    assert confirming.confirm(f"{token} 400".encode()) == (204, "")
    assert driven.stats.confirmed == 0, "not in this thread"
    for call in calls:
        call()
    assert driven.stats.confirmed == 400


def test_a_response_that_is_over_has_nothing_to_confirm() -> None:
    driven, confirming = Driven(**SETTINGS), Confirmations("/confirm")
    driven.lost()
    token = confirming.begin_bytes(driven.exchange, driven.clock)
    assert len(confirming) == 0
    assert confirming.confirm(f"{token} 0".encode())[0] == 404


def test_a_websocket_needs_no_token() -> None:
    driven, confirming = Socket(), Confirmations("/confirm")
    with pytest.raises(ResponseStateError, match="without a token"):
        confirming.begin_bytes(driven.exchange, driven.clock)


def test_a_response_with_a_length_or_behind_its_end_is_asked_nothing() -> None:
    for length in (None, 1000):
        driven, confirming = Driven(**SETTINGS), Confirmations("/confirm")
        if length is not None:
            driven.header(headers={"content-length": length})
        confirming.begin_events(driven.exchange, driven.clock)
        driven.exchange.write(b"x" * 1000, driven.now, 1, 1 << 20)
        if length is None:
            driven.exchange.finish(driven.now)
        driven.advance(0)
        driven.push()
        assert driven.body == b"x" * 1000, "nothing is put into it"
