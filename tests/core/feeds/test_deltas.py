"""Deltas: what a follower is sent of a value, by what it was sent last; that nothing wrong comes of it."""

import copy
import json
import logging
import random
import re
from contextlib import nullcontext
from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from tests.core.driving import Driven
from tests.core.feeds.test_broadcast import Client, Stage
from tests.core.feeds.test_feed import Following
from tests.core.feeds.test_feed_loops import Following as InLoop
from tests.core.feeds.test_feed_loops import Loop

from httpng_core import Feed, Keys, Resume, json_delta, json_merge, sse_event, text_delta
from httpng_core.testing import Clock


def told(base: bytes, new: bytes) -> bytes:
    """Payloads like `a1 and so on,`: a delta `a1>2,` tells what it is one to."""
    return base[:2] + b">" + new[1:2] + b","


def value(key: str, number: int) -> str:
    return f"{key}{number} and so on,"


def publish(feed: Feed, *names: str) -> None:
    """Each is a key and a number of one digit."""
    for name in names:
        feed.publish(value(name[0], int(name[1])), name[0])


def short(body: bytes) -> str:
    """A body with `and so on` left out."""
    return body.decode().replace(" and so on", "")


# What is sent -----------------------------------------------------------------------------------------


def test_a_delta_is_to_what_the_follower_was_sent_last() -> None:
    driven = Following(delta=told)
    publish(driven.feed, "a0", "b0")
    driven.follow()
    driven.push()
    publish(driven.feed, "a1")
    driven.push()
    publish(driven.feed, "a2", "b1", "a3")
    driven.push()
    assert short(driven.body) == "a0,b0,a0>1,a1>3,b0>1,"
    assert driven.positions == (len(driven.body),) * 2


def test_what_is_refused_is_no_base_and_what_is_offered_is_one_if_it_is_taken() -> None:
    driven = Following(delta=told)
    publish(driven.feed, "a0")
    driven.follow()
    driven.push()
    publish(driven.feed, "a1")
    driven.connection.data_to_send(driven.now)
    publish(driven.feed, "a2")
    driven.connection.bytes_accepted(0, driven.now)
    offer = b"".join(driven.connection.data_to_send(driven.now))
    publish(driven.feed, "a3")
    driven.wire += offer
    driven.connection.bytes_accepted(len(offer), driven.now)
    driven.push()
    assert short(driven.body) == "a0,a0>2,a2>3,"


def test_a_delta_in_transmission_is_not_torn() -> None:
    driven = Following(delta=told)
    publish(driven.feed, "a0")
    driven.follow()
    driven.push()
    publish(driven.feed, "a1")
    driven.push(4)
    publish(driven.feed, "a2", "a3")
    driven.push()
    assert short(driven.body) == "a0,a0>1,a1>3,"


def test_each_delta_is_made_once_for_all_that_have_the_base() -> None:
    asked: list[bytes] = []

    def delta(base: bytes, new: bytes) -> bytes:
        asked.append(base[:2] + new[:2])
        return told(base, new)

    feed = Feed(clock=Clock(), delta=delta)
    publish(feed, "a0")
    clients = [Driven() for _ in range(6)]
    for client in clients:
        client.exchange.follow(feed.follower(), 0)
        client.push()
    publish(feed, "a1")
    for client in clients[:3]:
        client.push()
    publish(feed, "a2")
    for client in clients:
        client.push()
    assert asked == [b"a0a1", b"a1a2", b"a0a2"]
    assert [short(client.body) for client in clients] == ["a0,a0>1,a1>2,"] * 3 + ["a0,a0>2,"] * 3


def test_those_in_step_share_it_and_stay_in_step() -> None:
    asked: list[bytes] = []

    def delta(base: bytes, new: bytes) -> bytes:
        asked.append(base[:2] + new[:2])
        return told(base, new)

    stage = Stage(4, delta=delta)
    publish(stage.feed, "a0")
    stage.settle()
    publish(stage.feed, "a1", "a2")
    assert not any(client.connection.wants_write for client in stage.clients)
    stage.settle()
    assert asked == [b"a0a2"]
    assert [short(body) for body in stage.bodies] == ["a0,a0>2,"] * 4
    assert [client.positions for client in stage.clients] == [(len(body),) * 2 for body in stage.bodies]


def test_a_newer_value_does_not_end_a_pass() -> None:
    stage = Stage(delta=told)
    publish(stage.feed, "a0")
    stage.settle()
    publish(stage.feed, "a1")
    stage.broadcast(2)
    publish(stage.feed, "a2", "a3")
    stage.settle()
    assert [short(body) for body in stage.bodies] == ["a0,a0>1,a1>3,"] * 3


@pytest.mark.parametrize("taken", [0, 1, 4, 8])
def test_who_steps_out_of_a_pass_goes_on_from_what_it_was_sent(taken: int) -> None:
    stage = Stage(delta=told)
    publish(stage.feed, "a0", "b0")
    stage.settle()
    slow = stage.clients[1]
    slow.room = taken
    publish(stage.feed, "a1")
    stage.broadcast(2)
    publish(stage.feed, "a2", "b1")
    slow.room = 1 << 30
    stage.settle()
    assert short(slow.body) == ("a0,b0,a0>1,a1>2,b0>1," if taken else "a0,b0,a0>2,b0>1,")
    assert [short(body) for body in stage.bodies[::2]] == ["a0,b0,a0>1,a1>2,b0>1,"] * 2


def test_who_steps_out_of_a_pass_that_has_reached_it_goes_on_from_that() -> None:
    stage = Stage(delta=told)
    publish(stage.feed, "a0")
    stage.settle()
    publish(stage.feed, "a1")
    stage.broadcast(2)
    for client in stage.clients:
        client.wait(1000, 100)
    publish(stage.feed, "a2")
    stage.settle()
    assert [short(body) for body in stage.bodies] == ["a0,a0>1,a1>2,"] * 2 + ["a0,a0>2,"]


# When it is whole -------------------------------------------------------------------------------------


def test_a_whole_value_is_sent_after_so_many() -> None:
    driven = Following(delta=told, full_every=3)
    driven.follow()
    for number in range(8):
        publish(driven.feed, f"a{number}")
        driven.push()
    assert short(driven.body) == "a0,a0>1,a1>2,a3,a3>4,a4>5,a6,a6>7,"


def test_who_skips_the_whole_value_gets_one_later() -> None:
    driven = Following(delta=told, full_every=3)
    publish(driven.feed, "a0")
    driven.follow()
    driven.push()
    publish(driven.feed, "a1", "a2", "a3", "a4")
    driven.push()
    publish(driven.feed, "a5")
    driven.push()
    assert short(driven.body) == "a0,a4,a4>5,"


@pytest.mark.parametrize("made", [None, b"a0 and so on.", b"x" * 100, "x" * 13])
def test_a_delta_that_is_none_or_not_shorter_is_not_sent(made: Any) -> None:
    driven = Following(delta=lambda base, new: made)
    driven.follow()
    for name in ("a0", "a1"):
        publish(driven.feed, name)
        driven.push()
    assert short(driven.body) == "a0,a1,"


def test_a_removed_key_begins_anew() -> None:
    driven = Following(delta=told, on_remove=lambda key: f"-{key},")
    driven.follow()
    for names in (["a0"], ["a1"]):
        publish(driven.feed, *names)
        driven.push()
    driven.feed.remove("a")
    driven.push()
    publish(driven.feed, "a2")
    driven.push()
    driven.feed.remove("a")
    publish(driven.feed, "a3")
    driven.push()
    assert short(driven.body) == "a0,a0>1,-a,a2,a3,"


def test_a_removal_under_way_is_no_base_of_what_is_published_meanwhile() -> None:
    driven = Following(delta=told, on_remove=lambda key: f"-{key},")
    driven.follow()
    publish(driven.feed, "a0")
    driven.push()
    driven.feed.remove("a")
    offer = b"".join(driven.connection.data_to_send(driven.now))
    publish(driven.feed, "a1")
    driven.wire += offer
    driven.connection.bytes_accepted(len(offer), driven.now)
    publish(driven.feed, "a2")
    driven.push()
    publish(driven.feed, "a3")
    driven.push()
    assert short(driven.body) == "a0,-a,a2,a2>3,"


def test_a_removal_that_a_pass_sends_is_no_base_of_what_is_published_meanwhile() -> None:
    stage = Stage(delta=told, on_remove=lambda key: f"-{key},")
    publish(stage.feed, "a0")
    stage.settle()
    stage.feed.remove("a")
    stage.broadcast(2)
    publish(stage.feed, "a1")
    stage.broadcast(1)
    publish(stage.feed, "a2")
    stage.settle()
    publish(stage.feed, "a3")
    stage.settle()
    assert [short(body) for body in stage.bodies] == ["a0,-a,a2,a2>3,"] * 3


def test_a_key_that_is_wanted_again_begins_anew() -> None:
    driven, keys = Following(delta=told), Keys(["a"])
    driven.follow(keys=keys)
    publish(driven.feed, "a0")
    driven.push()
    keys.discard("a")
    publish(driven.feed, "a1")
    keys.add("a")
    driven.push()
    publish(driven.feed, "a2")
    driven.push()
    assert short(driven.body) == "a0,a1,a1>2,"


def test_what_has_expired_is_no_base() -> None:
    stage = Stage(1, delta=told)
    choosy = stage.join(max_age=1)
    publish(stage.feed, "a0")
    stage.settle()
    publish(stage.feed, "a1")
    stage.clock.now += 2
    stage.settle()
    publish(stage.feed, "a2")
    stage.settle()
    publish(stage.feed, "a3")
    assert not choosy.connection.wants_write, "it is in step again"
    stage.settle()
    assert [short(body) for body in stage.bodies] == ["a0,a0>1,a1>2,a2>3,", "a0,a0>2,a2>3,"]


@pytest.mark.parametrize("then", ["it changes", "it is removed", "limits change"])
def test_who_comes_back_gets_what_had_expired_before_there_are_deltas_to_it(then: str) -> None:
    ids = Resume(id_line="<{id}>", first=None)
    stage = Stage(1, delta=told, resume=ids, on_remove=lambda key: f"-{key},")
    client = stage.join(max_age=1)
    publish(stage.feed, "a0")
    stage.settle()
    publish(stage.feed, "a1")
    stage.clock.now += 2
    if then == "limits change":
        client.push()
        client.follower.set_pace(5, ..., ...)
    publish(stage.feed, "b0")
    stage.settle()
    assert re.sub(r"<[^>]*>", "", short(client.body)) == "a0,b0,"
    if then == "it changes":
        publish(stage.feed, "a2")
        stage.settle()
    elif then == "it is removed":
        stage.feed.remove("a")
        stage.settle()
    back = stage.join(since=re.findall(r"<(.*?)>", client.body.decode())[-1])
    publish(stage.feed, "a3")
    stage.settle()
    # It knows `a0` at most, if it is told of none that is newer.
    expected = {"it changes": "a2>3,", "it is removed": "a3,", "limits change": "a1,b0,a1>3,"}
    assert re.sub(r"<[^>]*>", "", short(back.body)) == expected[then]


def test_marks_and_notices_of_gaps_are_sent_as_they_are() -> None:
    driven = Following(delta=told, snapshot_end="end of the snapshot,")
    publish(driven.feed, "a0")
    driven.follow(on_gap=lambda lost: f"[{lost}]")
    driven.push()
    publish(driven.feed, "a1", "a2")
    driven.push()
    assert short(driven.body) == "a0,end of the snapshot,[1]a0>2,"


def test_what_was_merged_is_a_base_as_it_was_sent() -> None:
    def merge(older: bytes, newer: bytes) -> bytes:
        return b"m" + newer[1:]

    driven = Following(delta=told, merge=merge)
    publish(driven.feed, "a0")
    driven.follow()
    driven.push()
    publish(driven.feed, "a1", "a2")
    driven.push()
    publish(driven.feed, "a3")
    driven.push()
    publish(driven.feed, "a4")
    driven.push()
    assert short(driven.body) == "a0,a0>2,m2>3,a3>4,"


def test_what_was_merged_stays_the_base_of_those_in_step_when_another_key_is_removed() -> None:
    stage = Stage(delta=told, merge=lambda older, newer: b"m" + newer[1:])
    publish(stage.feed, "a0")
    stage.settle()
    publish(stage.feed, "a1", "a2")
    stage.settle()
    publish(stage.feed, "b0")
    stage.feed.remove("b")
    stage.settle()
    publish(stage.feed, "a3")
    stage.settle()
    assert [short(body) for body in stage.bodies] == ["a0,a0>2,m2>3,"] * 3


def test_what_comes_to_a_loop_is_a_delta_to_what_was_sent_there() -> None:
    feed, loops = Feed(clock=Clock(), lock=nullcontext(), delta=told), (Loop(), Loop())
    clients = [InLoop(loop) for loop in loops]
    publish(feed, "a0")
    for client in clients:
        client.follow(feed)
    publish(feed, "a1")
    clients[0].turn()
    publish(feed, "a2")
    for client in clients:
        client.turn()
    assert [short(client.body) for client in clients] == ["a0,a0>1,a1>2,", "a0,a0>2,"]


# What goes wrong --------------------------------------------------------------------------------------


class Odd(BaseException):
    """Neither an Exception nor meant for the program."""


@pytest.mark.parametrize("raised", [ZeroDivisionError(), Odd(), BaseExceptionGroup("several", [Odd()])])
def test_a_delta_that_fails_is_logged_once_and_values_are_sent_whole(
    raised: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    def delta(base: bytes, new: bytes) -> bytes:
        raise raised

    stage = Stage(delta=delta)
    stage.clients[0].wait(1000, 100)
    for name in ("a0", "a1", "a2"):
        publish(stage.feed, name)
        stage.settle()
    assert [short(body) for body in stage.bodies] == ["a0,a1,a2,"] * 3
    [record] = caplog.records
    assert record.levelno == logging.ERROR
    assert "delta of a feed failed" in record.message


def test_a_delta_that_ends_follows_touches_no_others() -> None:
    stage: Stage

    def delta(base: bytes, new: bytes) -> bytes:
        stage.clients[0].exchange.reset(stage.clock.now)
        stage.feed.publish("from within,", "c")
        return told(base, new)

    stage = Stage(4, delta=delta)
    stage.clients[3].wait(1000, 100)
    for name in ("a0", "a1"):
        publish(stage.feed, name)
        stage.settle()
    assert stage.clients[0].outcomes == ["reset"]
    assert [short(client.body) for client in stage.clients[1:3]] == ["a0,a0>1,from within,"] * 2
    assert sorted(short(stage.clients[3].body).split(",")) == ["", "a0", "a0>1", "from within"]


def test_mistakes_raise() -> None:
    wrong: Any
    for wrong, error in [
        ({"delta": 5}, TypeError),
        ({"delta": told, "policy": "every"}, ValueError),
        ({"delta": told, "full_every": 0}, ValueError),
        ({"delta": told, "full_every": 1.5}, TypeError),
        ({"delta": told, "full_every": True}, TypeError),
    ]:
        with pytest.raises(error, match=r"delta|full_every"):
            Feed(clock=Clock(), **wrong)
    wrong = 5
    with pytest.raises(TypeError, match="json_delta needs names of members, not 5"):
        json_delta(wrong)


# JSON and text ----------------------------------------------------------------------------------------


def patched(target: Any, patch: Any) -> Any:
    """RFC 7396, section 2."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = patched(result.get(name), value)
    return result


def spliced(text: str, change: list[Any]) -> str:
    at, out, put = change
    units = text.encode("utf-16-le")
    changed: bytes = units[: 2 * at] + put.encode("utf-16-le") + units[2 * (at + out) :]
    return changed.decode("utf-16-le")


values = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from([1.0, 0.5]) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(st.sampled_from("abcd"), values, max_size=4)


@given(older=objects, newer=objects)
@hypothesis_settings(max_examples=300, deadline=None, derandomize=True)
def test_a_patch_makes_the_newer_object_of_the_older(older: Any, newer: Any) -> None:
    made = json_delta("a")(json.dumps(older).encode(), json.dumps(newer).encode())
    if made is not None:
        patch = json.loads(made)
        assert list(patch) == ["delta"]
        result = patched(older, patch["delta"])
        assert json.dumps(result, sort_keys=True) == json.dumps(newer, sort_keys=True)


@given(older=st.text("ab\n\u00e4\U0001f600", max_size=12), newer=st.text("ab\n\u00e4\U0001f600", max_size=12))
@hypothesis_settings(max_examples=300, deadline=None, derandomize=True)
def test_a_change_makes_the_newer_text_of_the_older(older: str, newer: str) -> None:
    made = text_delta()(older.encode(), newer.encode())
    assert made is not None
    assert made.startswith(b"\0")
    assert spliced(older, json.loads(made[1:])) == newer
    made = text_delta()(sse_event(older), sse_event(newer, id=5))
    assert made is not None
    head, _, data = made.partition(b"data: ")
    assert head == b"event: delta\nid: 5\n"
    assert spliced(older, json.loads(data)) == newer


@pytest.mark.parametrize(
    ("older", "newer", "patch"),
    [
        ({"id": 1, "a": 1, "b": [1]}, {"id": 1, "a": 2, "b": [1]}, {"id": 1, "a": 2}),
        ({"id": 1, "a": 1}, {"id": 1}, {"id": 1, "a": None}),
        ({"id": 1}, {"id": 1}, {"id": 1}),
        ({"a": 1}, {"a": True}, {"a": True}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}, {"a": {"c": 3}}),
        ({"a": None, "b": 1}, {"a": None, "b": 2}, {"b": 2}),
        ({"b": 1}, {"b": [None]}, {"b": [None]}),
        ({"b": 1}, {"b": None}, None),
        ({"b": 1}, {"b": {"c": None}}, None),
        ({"id": {"a": 1}, "b": 1}, {"id": {"a": 1}, "b": 2}, {"b": 2}),
    ],
)
def test_patches(older: Any, newer: Any, patch: Any) -> None:
    made = json_delta("id")(json.dumps(older).encode(), json.dumps(newer).encode() + b"\n")
    assert (None if made is None else json.loads(made)["delta"]) == patch
    assert made is None or made.endswith(b"}\n")


@pytest.mark.parametrize("event", [None, "quote"])
def test_the_type_of_an_event_tells_that_it_is_a_delta(event: str | None) -> None:
    base = sse_event('{"id":1,"a":1}', event=event, id=7)
    new = sse_event('{"id":1,\n"a":2}', event=event, id=8, comment="c")
    made = json_delta("id")(base, new)
    name = "quote-delta" if event else "delta"
    assert made == sse_event('{"id":1,"a":2}', event=name, id=8).replace(b"id: 8", b": c\nid: 8")


@pytest.mark.parametrize(
    ("base", "new"),
    [
        (b"data: 1\n\n", b"1"),
        (b"event: a\ndata: x\n\n", b"event: b\ndata: y\n\n"),
        (b"data: x\n\ndata: y\n\n", b"data: x\n\ndata: z\n\n"),
        (b"data: x\n", b"data: y\n"),
        (b": x\n\n", b": y\n\n"),
        (b"data: x\nother: 1\n\n", b"data: y\nother: 1\n\n"),
    ],
)
def test_what_is_no_event_of_the_same_type_is_sent_whole(base: bytes, new: bytes) -> None:
    assert text_delta()(base, new) is None
    assert json_merge("last")(b"1", b"2") == b"2"


def test_other_line_ends_are_understood() -> None:
    assert text_delta()(b"data: x1\r\n\r\n", b"data: x2\r\r") == b'event: delta\ndata: [1,1,"2"]\n\n'


# Nothing is ever made wrong ---------------------------------------------------------------------------


class Screen:
    """What a client makes of what it reads, event by event; the id is the last that it has seen."""

    def __init__(self) -> None:
        self.values: dict[str, dict[str, Any]] = {}
        self.deltas = 0
        self.rest = b""
        self.id: str | None = None

    def read(self, body: bytes) -> None:
        *events, self.rest = body.split(b"\n\n")
        for event in events:
            if found := re.match(rb"id: (.*)\n", event):
                self.id, event = found[1].decode(), event[found.end() :]
            if event.startswith(b"retry: "):
                continue
            head, _, data = event.partition(b"data: ")
            value = json.loads(data)
            key = value["key"]
            if head == b"event: gone\n":
                self.values.pop(key, None)
                continue
            if head == b"event: delta\n":
                value, self.deltas = patched(self.values[key], value), self.deltas + 1
            self.values[key] = value
            assert value["sum"] == total(value)


def total(value: dict[str, Any]) -> int:
    return sum(number for name, number in value.items() if name.startswith("f") and number)


def gone(key: Any) -> bytes:
    return sse_event(json.dumps({"key": key}), event="gone")


class Play:
    """A feed, and clients to which all may happen; each value has its sum, so that a wrong one is seen."""

    def __init__(self, seed: int, *, resumes: bool) -> None:
        self.rng = random.Random(seed)
        self.resumes = resumes
        self.stage = Stage(3, delta=json_delta("key"), full_every=7, on_remove=gone, resume=resumes)
        self.now: dict[str, dict[str, Any]] = {}
        self.live = Keys(["a", "b"])
        self.gone: list[Client] = []
        # What those that have come back knew before.
        self.before: dict[Client, Screen] = {}

    def publish(self) -> None:
        key = self.rng.choice("abc")
        value = {**self.now.get(key, {}), "key": key}
        for _ in range(self.rng.randrange(1, 4)):
            name = f"f{self.rng.randrange(8)}"
            value[name] = self.rng.randrange(100) if self.rng.random() < 0.95 else None
            if self.rng.random() < 0.2:
                del value[name]
        value["sum"] = total(value)
        self.now[key] = value
        self.stage.feed.publish(sse_event(json.dumps(value)), key)

    def remove(self) -> None:
        key = self.rng.choice("abc")
        self.stage.feed.remove(key)
        self.now.pop(key, None)

    def broadcast(self) -> None:
        for client in self.stage.clients:
            client.room = self.rng.choice([0, 1, 9, 60, 1 << 30, 1 << 30])
        self.stage.broadcast(self.rng.randrange(1, 6))

    def push(self) -> None:
        self.rng.choice(self.stage.clients).push(self.rng.choice([0, 1, 9, 60, 200, 1000]))

    def wait(self) -> None:
        self.stage.clock.now += 1.2 if self.resumes else 0.6

    def step_out(self) -> None:
        client = self.rng.choice(self.stage.clients)
        client.wait(client.stats.current + 50, 100)

    def change_keys(self) -> None:
        key = self.rng.choice("abc")
        if key in self.live:
            self.live.discard(key)
        else:
            self.live.add(key)

    def join(self) -> None:
        if len(self.stage.clients) < 6:
            often = {"max_age": 1} if self.resumes else {}
            options: dict[str, Any] = self.rng.choice([{}, often, {"keys": self.live}, {"max_age": 1}])
            self.stage.join(**options)

    def cut(self) -> None:
        """A connection breaks, perhaps amid an event; its client comes back, with an id or without."""
        if len(self.stage.clients) > 1:
            cut = self.stage.clients.pop(self.rng.randrange(len(self.stage.clients)))
            cut.lost()
            self.gone.append(cut)
            # Keys that were not wanted once say nothing of what the client has of them.
            if not self.resumes or cut.follower.keys is not None:
                self.stage.join()
                return
            screen = self.read(cut)
            age = cut.follower.max_age
            back = self.stage.join(since=screen.id, max_age=None if age == inf else age)
            self.before[back] = screen

    def read(self, client: Client) -> Screen:
        """What a client knows by now."""
        screen = copy.deepcopy(self.before.get(client, Screen()))
        screen.read(client.body)
        return screen


MOVES = [Play.publish] * 12 + [Play.broadcast] * 6 + [Play.push] * 6
MOVES += [Play.remove, Play.wait, Play.step_out, Play.change_keys, Play.join, Play.cut]
RESUMING = [*MOVES, *[Play.cut, Play.wait, Play.join] * 2]


@pytest.mark.parametrize("resumes", [False, True])
@pytest.mark.parametrize("seed", range(16))
def test_whatever_is_skipped_removed_or_cut_no_client_makes_a_wrong_value(seed: int, resumes: bool) -> None:
    play = Play(seed, resumes=resumes)
    for _ in range(200):
        play.rng.choice(RESUMING if resumes else MOVES)(play)
    for client in play.stage.clients:
        client.room = 1 << 30
    play.stage.settle()
    deltas = 0
    for client in [*play.gone, *play.stage.clients]:
        screen = play.read(client)
        deltas += screen.deltas
        if client in play.gone:
            continue
        assert screen.rest == b""
        if client.follower.keys is None and client.follower.max_age > 1:
            assert screen.values == play.now
    assert deltas > 0


@pytest.mark.parametrize("delta", [None, json_delta("symbol")])
def test_quotes_take_a_tenth_of_the_bytes(delta: Any) -> None:
    """Quotes of 1 KB of which 2 fields move, and a client that skips one in ten."""
    rng = random.Random(1)
    quote: dict[str, Any] = {f"field_{number:02}": f"{rng.randrange(10**9):09}" for number in range(43)}
    driven = Following(delta=delta)
    driven.follow()
    sent, quotes = 0, []
    for number in range(1000):
        quote |= {"symbol": "ACME", "bid": rng.randrange(10**5) / 100, "ask": rng.randrange(10**5) / 100}
        payload = sse_event(json.dumps(quote, separators=(",", ":")))
        assert 1000 < len(payload) < 1100
        driven.feed.publish(payload, "ACME")
        # The next one takes its place, or it is sent.
        if number % 10:
            sent += len(payload)
            quotes.append(quote.copy())
            driven.push()
    assert (driven.told.delivered, driven.told.skipped) == (900, 100)
    assert sent >= (1 if delta is None else 10) * len(driven.body)
    shown: Any = {}
    for event, expected in zip(driven.body.split(b"\n\n"), quotes, strict=False):
        head, _, data = event.partition(b"data: ")
        shown = patched(shown, json.loads(data)) if head else json.loads(data)
        assert shown == expected


def test_of_a_removed_key_that_nothing_tells_the_next_value_is_whole() -> None:
    stage = Stage(2, delta=told)
    alone = stage.join()
    alone.room = 0
    publish(stage.feed, "a0")
    alone.push(0)
    stage.broadcast()
    alone.push()
    stage.feed.remove("a")
    publish(stage.feed, "a1")
    stage.settle()
    publish(stage.feed, "a2")
    alone.exchange.wait(0, alone.now)
    stage.feed.remove("a")
    publish(stage.feed, "a3")
    alone.room = 1 << 20
    stage.settle()
    assert [short(body) for body in stage.bodies] == ["a0,a1,a3,"] * 3


def test_deltas_to_very_many_values_are_made_again() -> None:
    made: list[bytes] = []

    def counted(base: bytes, new: bytes) -> bytes:
        made.append(base[:3])
        return told(base, new)

    feed, clients = Feed(clock=Clock(), delta=counted, full_every=1000), list[Driven]()
    for number in range(20):
        feed.publish(f"{number:02} and so on,")
        clients.append(Driven())
        clients[-1].exchange.follow(feed.follower(), 0)
        clients[-1].push()
    feed.publish("99 and so on,")
    for client in clients:
        client.push()
    assert [client.body for client in clients] == [
        b"%02d and so on,%02d>9," % (one, one) for one in range(20)
    ]
    assert len(set(made)) == len(made) == 20


@pytest.mark.parametrize("order", [{"a": 1, "b": 3}, {}])
def test_limits_that_come_later_keep_what_had_expired(order: Any) -> None:
    """It is owed still: who comes back must not get a delta to it."""
    driven, keys = Following(delta=told, resume=Resume(id_line="<{id}>", first=None)), Keys(["a", "b"])
    publish(driven.feed, "a0", "b0")
    driven.follow(max_age=1, keys=keys)
    driven.push()
    publish(driven.feed, "a1", "b1")
    driven.advance(2)
    driven.push()
    driven.follower.set_pace(..., ..., order)
    keys.discard("b")
    publish(driven.feed, "a2")
    driven.push()
    body = short(driven.body)
    assert re.sub(r"<[^>]*>", "", body) == "a0,b0,a0>2,"
    marks = [int(mark.rpartition(".")[2]) for mark in re.findall(r"<(.*?)>", body)]
    assert marks[-1] == 5, "nothing is owed of a key that is wanted no more"


def test_an_object_has_no_delta_to_what_is_none() -> None:
    for base, new in ((b"[1]", b'{"a":1}'), (b'{"a":1}', b"[1]"), (b"1", b"2")):
        assert json_delta()(base, new) is None
