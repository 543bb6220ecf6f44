"""Feeds by way of a broker, a test a sentence: with each broker, which is a real one."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import BlockingPortal
from tests.backends.test_workers import program as httpng_program
from tests.brokers.reading import gone, publish, served, stream, until
from tests.brokers.servers import BOUND, Broker, Nats, Redis, Relay
from tests.driver.harness import Client

from httpng import Resume, sse_event
from httpng.feeds import BrokerFeed, OutboxFullError
from httpng.feeds.nats import NatsFeed
from httpng.feeds.redis import RedisFeed


@contextmanager
def running(*feeds: BrokerFeed) -> Iterator[None]:
    with ExitStack() as exits:
        for feed in feeds:
            exits.enter_context(feed)
        yield


def two_feeds(broker: Broker, port: int | None = None, **options: Any) -> tuple[BrokerFeed, BrokerFeed]:
    """Those of two processes; the other one's way to the broker may be another."""
    options = {"resume": True} | options
    return broker.new_feed(**options), broker.new_feed(port, **options)


def values_of(feed: BrokerFeed) -> set[object]:
    return set(feed.keys_to_clear())


# What comes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_what_one_process_publishes_comes_to_the_followers_of_all(broker: Broker, loop: str) -> None:
    one, other = two_feeds(broker, on_remove=gone, snapshot_end=sse_event("end"))
    with served(one) as here, served(other, loop) as there:
        with stream(here) as near, stream(there) as far:
            until(lambda: one.get_stats().followers and other.get_stats().followers)
            publish(one, "a1", "b1")
            publish(other, "c1")
            for each in (near, far):
                # Else what is removed may be skipped.
                each.read_until("c1")
            assert one.remove("b")
            one.publish(sse_event("last"))
            for each in (near, far):
                assert each.read_until("last") == ["end", "a1", "b1", "c1", "-b", "last"]
        with stream(there) as later:
            assert later.read_until("end") == ["a1", "c1", "last", "end"]


def test_what_was_known_is_told_also_if_the_removal_comes_back_at_once(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = broker.new_feed()
    start_soon = BlockingPortal.start_task_soon

    def and_wait(portal: BlockingPortal, *what: Any) -> None:
        start_soon(portal, *what)
        until(lambda: not feed.has("a"), "the removal comes back")

    with running(feed):
        publish(feed, "a1")
        until(lambda: feed.has("a"))
        monkeypatch.setattr(BlockingPortal, "start_task_soon", and_wait)
        assert feed.remove("a")
        assert not feed.remove("a")
        monkeypatch.undo()


def test_keys_may_be_any_text(broker: Broker) -> None:
    one, other = two_feeds(broker)
    keys = {"A.B/c-d_9", ".x..", "é ü", "=", "=41", "a b*>$%", "x" * 200, None}
    with running(one, other):
        for key in keys:
            one.publish("1", key)
        until(lambda: values_of(other) == keys, str(values_of(other)))
        until(lambda: values_of(one) == keys)
        one.clear()
        until(lambda: not values_of(other), str(values_of(other)))


def test_by_the_policy_every_each_message_comes_once_and_in_order(broker: Broker) -> None:
    one, other = two_feeds(broker, policy="every")
    numbers = [f"m{number}" for number in range(200)]
    with served(one), served(other) as there, stream(there) as client:
        until(lambda: other.get_stats().followers)
        for number in numbers:
            one.publish(sse_event(number))
        assert client.read_until("m199") == numbers


def test_values_are_restored_when_a_process_begins(broker: Broker) -> None:
    first = broker.new_feed()
    with first:
        publish(first, "a1", "b1", "a2")
        first.remove("b")
    later = broker.new_feed(resume=True)
    with served(later) as server, stream(server) as client:
        assert client.read_until("a2") == ["a2"]


def test_one_that_subscribes_to_nothing_publishes_alone(broker: Broker) -> None:
    publisher, other = broker.new_feed(subscribes=False), broker.new_feed()
    with running(publisher, other):
        publish(publisher, "a1")
        until(lambda: other.has("a"))
        assert not publisher.has("a")
        assert broker.subscriptions() == 1


# Ids ----------------------------------------------------------------------------------------------------


def test_an_id_of_one_process_goes_on_at_another_and_after_a_restart(broker: Broker) -> None:
    one, other = two_feeds(broker, on_remove=gone)
    with served(one) as here, served(other) as there:
        with stream(here) as client:
            until(lambda: one.get_stats().followers)
            publish(one, "a1", "b1", "c1")
            client.read_until("c1")
        since = client.last_id
        publish(one, "b2")
        one.remove("a")
        one.publish(sse_event("last"))
        until(lambda: other.has(None))
        with stream(there, since) as client:
            assert client.read_until("last") == ["b2", "-a", "last"]
    # Nobody was there when these were published but one that is gone.
    publisher = broker.new_feed(subscribes=False)
    with publisher:
        publish(publisher, "c2")
    again = broker.new_feed(resume=True, on_remove=gone)
    with served(again) as server, stream(server, since) as client:
        assert client.read_until("c2") == ["b2", "-a", "last", "c2"]


def test_messages_are_replayed_after_a_restart(broker: Broker) -> None:
    first = broker.new_feed(policy="every", resume=True)
    with served(first) as server, stream(server) as client:
        until(lambda: first.get_stats().followers)
        publish(first, "m1")
        client.read_until("m1")
        since = client.last_id
        publish(first, "m2", "m3")
    again = broker.new_feed(policy="every", resume=True)
    with served(again) as server, stream(server, since) as client:
        assert client.read_until("m3") == ["m2", "m3"]


def test_ids_begin_with_the_name_unless_it_is_given_another(broker: Broker) -> None:
    assert broker.new_feed(resume=True).incarnation == "ticks"
    assert broker.new_feed(resume=Resume(id_line="{id} ")).incarnation == "ticks"
    assert broker.new_feed(resume=Resume(name="other")).incarnation == "other"
    assert broker.new_feed().incarnation is None


# What is missed -----------------------------------------------------------------------------------------


def test_when_its_connection_was_lost_the_newest_values_come_behind_a_gap(broker: Broker) -> None:
    with Relay(broker.port) as relay:
        one, other = two_feeds(broker, relay.port, on_remove=gone)
        with (
            served(one),
            served(other) as there,
            stream(there) as client,
            stream(there, path="/?a") as a_only,
        ):
            until(lambda: other.get_stats().followers == 2)
            publish(one, "a1", "b1")
            client.read_until("b1")
            a_only.read_until("a1")
            relay.cut()
            until(lambda: not other.broker_statistics().is_connected)
            # Of these 5 are never seen: a2 to a4, b2, which goes with its key, and c1.
            publish(one, "a2", "a3", "a4", "a5", "b2", "c1", "c2")
            one.remove("b")
            relay.mend()
            client.read_until("-b")
            assert client.events[2:] == ["gap 5", "a5", "c2", "-b"]
            # Nobody knows any more of which key b2 was; NATS knows that of none.
            most = 4 if isinstance(broker, Redis) else 5
            assert a_only.read_until("a5") == ["a1", f"gap {most}", "a5"]
            stats = other.broker_statistics()
            assert (stats.is_connected, stats.connections, stats.missed) == (True, 2, 5)
            assert stats.number == one.broker_statistics().number
            publish(one, "d1")
            client.read_until("d1")


def test_messages_are_not_missed_while_the_broker_has_them(broker: Broker) -> None:
    with Relay(broker.port) as relay:
        one, other = two_feeds(broker, relay.port, policy="every", max_log=3)
        with served(one), served(other) as there, stream(there) as client:
            until(lambda: other.get_stats().followers)
            publish(one, "m1")
            client.read_until("m1")
            relay.cut()
            until(lambda: not other.broker_statistics().is_connected)
            publish(one, "m2", "m3")
            relay.mend()
            assert client.read_until("m3") == ["m1", "m2", "m3"]


def test_what_was_published_without_a_broker_comes_when_it_is_back(broker: Broker) -> None:
    one, other = two_feeds(broker)
    with served(one), served(other) as there, stream(there) as client:
        until(lambda: other.get_stats().followers)
        publish(one, "a1", "b1")
        client.read_until("b1")
        broker.kill()
        # Until it is known that the broker is gone a value may be on its way to it: that one counts as sent.
        until(lambda: not one.broker_statistics().is_connected)
        for value in ("a2", "a3", "a4", "b2"):
            one.publish(sse_event(value), value[0])
        assert not one.flush(0.01)
        broker.start()
        assert one.flush(BOUND)
        client.read_until("b2")
        # Of a2 and a3 it is told that they were.
        assert client.events[2:] == ["gap 2", "a4", "b2"]
        assert other.broker_statistics().missed == 2


def test_what_was_sent_twice_is_published_once(broker: Broker) -> None:
    with Relay(broker.port) as relay:
        one, other = two_feeds(broker, relay.port, policy="every")
        with served(one) as here, running(other), stream(here) as client:
            until(lambda: one.get_stats().followers)
            publish(other, "m1")
            client.read_until("m1")
            relay.loses_answers = True
            other.publish(sse_event("m2"))
            # The broker has it, and its publisher doesn't know.
            client.read_until("m2")
            assert other.broker_statistics().waiting == 1
            relay.cut()
            until(lambda: not other.broker_statistics().is_connected)
            relay.mend()
            publish(other, "m3")
            assert client.read_until("m3") == ["m1", "m2", "m3"]


def test_a_broker_that_has_forgotten_all_is_believed(
    broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    one, other = two_feeds(broker, on_remove=gone)
    with served(one) as here, served(other), stream(here) as client:
        until(lambda: one.get_stats().followers)
        publish(one, "a1", "b1")
        client.read_until("b1")
        since = client.last_id
        before = one.broker_statistics().number
        broker.kill()
        broker.forget()
        broker.start()
        until(lambda: not values_of(one) and not values_of(other))
        publish(one, "c1")
        until(lambda: other.has("c"))
        client.read_until("c1")
        assert sorted(client.events[2:4]) == ["-a", "-b"]
        assert one.broker_statistics().number == other.broker_statistics().number > before
        with stream(here, since) as again:
            assert again.read_until("c1") == ["event: gap null", "c1"]
    assert "the broker has forgotten what was published" in caplog.text


def test_a_broker_that_is_put_back_to_what_it_had_is_believed(broker: Broker) -> None:
    with Relay(broker.port) as relay:
        one, other = (
            broker.new_feed(subscribes=False),
            broker.new_feed(relay.port, resume=True, on_remove=gone),
        )
        with served(other) as server:
            with running(one):
                publish(one, "a1")
            broker.kill()
            broker.save()
            broker.start()
            with running(one):
                publish(one, "a2", "b1")
            with stream(server) as client:
                client.read_until("b1")
                relay.cut()
                broker.kill()
                broker.go_back()
                broker.start()
                with running(one):
                    # It gets the number that a2 had.
                    publish(one, "a3")
                relay.mend()
                until(lambda: {"a3", "-b"} <= set(client.events))
            with stream(server) as client:
                client.read_until("a3")


def test_messages_of_a_broker_that_has_forgotten_all_come(broker: Broker) -> None:
    with Relay(broker.port) as relay:
        one, other = two_feeds(broker, relay.port, policy="every")
        with served(other) as server, stream(server) as client:
            until(lambda: other.get_stats().followers)
            with running(one):
                publish(one, "m1", "m2")
            client.read_until("m2")
            relay.cut()
            broker.kill()
            broker.forget()
            broker.start()
            with running(one):
                publish(one, "m3", "m4")
            relay.mend()
            until(lambda: other.broker_statistics().connections == 2)
            publish(other, "m5")
            assert client.read_until("m5") == ["m1", "m2", "m3", "m4", "m5"]


def test_what_is_published_while_a_process_restores_the_values_is_neither_lost_nor_told_as_removed(
    broker: Broker,
) -> None:
    removed: list[object] = []
    publisher = broker.new_feed(subscribes=False)
    feed = broker.new_feed(on_remove=removed.append, resume=True, snapshot_end=sse_event("end"))
    with running(publisher), served(feed) as server:
        for mark in range(6):
            with publishing(publisher) as newest:
                for _ in range(6):
                    feed.stop()
                    feed.start()
            publisher.publish(sse_event("mark"), f"mark {mark}")
            until(partial(feed.has, f"mark {mark}"))
            with stream(server) as client:
                assert set(newest.values()) <= set(client.read_until("end"))
    assert removed == []


@contextmanager
def publishing(feed: BrokerFeed) -> Iterator[dict[str, str]]:
    """Meanwhile a thread publishes values of a few keys; gives the newest of each."""
    newest: dict[str, str] = {}
    is_over = threading.Event()

    def publish_on() -> None:
        for number in count():
            if is_over.is_set():
                break
            key = f"key-{number % 20}"
            newest[key] = f"{key} {number}"
            feed.publish(sse_event(newest[key]), key)
            if number % 20 == 19:
                assert feed.flush(BOUND)

    thread = threading.Thread(target=publish_on)
    thread.start()
    try:
        until(lambda: len(newest) == 20)
        yield newest
    finally:
        is_over.set()
        thread.join(BOUND)
    assert not thread.is_alive()


def test_a_broker_that_comes_late_is_waited_for(broker: Broker, caplog: pytest.LogCaptureFixture) -> None:
    broker.kill()
    feed = broker.new_feed(resume=True, start_timeout=0.05)
    with served(feed) as server, stream(server) as client:
        assert "feed ticks: no broker yet" in caplog.text
        until(lambda: feed.get_stats().followers)
        until(lambda: feed.broker_statistics().error is not None)
        feed.publish(sse_event("a1"), "a")
        broker.start()
        assert client.read_until("a1") == ["a1"]
        assert feed.broker_statistics().error is None


def test_what_tells_a_removal_may_publish(broker: Broker) -> None:
    def told(key: object) -> bytes:
        feed.publish(sse_event(f"{key} is gone"), "news")
        return sse_event(f"-{key}")

    feed = broker.new_feed(resume=True, on_remove=told)
    with served(feed) as server, stream(server) as client:
        until(lambda: feed.get_stats().followers)
        publish(feed, "a1")
        client.read_until("a1")
        feed.remove("a")
        assert client.read_until("a is gone") == ["a1", "-a", "a is gone"]
        publish(feed, "b1")
        client.read_until("b1")


def test_a_removal_that_nothing_can_tell_is_logged(broker: Broker, caplog: pytest.LogCaptureFixture) -> None:
    def fails(key: object) -> str:
        raise LookupError(key)

    one, other = broker.new_feed(), broker.new_feed(on_remove=fails)
    with running(one, other):
        publish(one, "a1", "b1")
        until(lambda: other.has("b"))
        one.remove("a")
        until(lambda: not other.has("a"))
        publish(one, "c1")
        until(lambda: other.has("c"))
        assert other.broker_statistics().connections == 1
    assert "on_remove raised for 'a', whose removal isn't told" in caplog.text


@pytest.mark.parametrize("kind", [RedisFeed, NatsFeed])
def test_a_connection_that_fails_while_it_is_made_is_closed(kind: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(BOUND)
        feed = kind(
            f"{kind.__name__[:-4].lower()}://127.0.0.1:{listener.getsockname()[1]}", "a", start_timeout=0.01
        )
        with feed:
            for _ in range(2):
                sock, _ = listener.accept()
                with sock:
                    sock.settimeout(BOUND)
                    sock.sendall(b"what this port doesn't speak\r\n")
                    while sock.recv(4096):
                        pass


# Mistakes -----------------------------------------------------------------------------------------------


def test_wrong_arguments_raise_at_the_call(broker: Broker) -> None:
    feed = broker.new_feed(on_remove=gone)
    for key in (3, ("a",), b"a"):
        with pytest.raises(TypeError, match="must be a str or None"):
            feed.publish("x", key)
    with pytest.raises(ValueError, match="at least one character"):
        feed.publish("x", "")
    with pytest.raises(ValueError, match="at least one byte"):
        feed.publish("")
    with pytest.raises(TypeError, match="payload must be"):
        feed.publish(3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="on_remove, in each process"):
        feed.remove("a", "gone")
    with pytest.raises(RuntimeError, match="keeps no values"):
        broker.new_feed(policy="every").remove("a")
    feed.close()
    with pytest.raises(RuntimeError, match="the feed is closed"):
        feed.publish("x")
    feed.publish_threadsafe("x")
    assert feed.broker_statistics().waiting == 0


def test_a_url_that_is_none_is_told() -> None:
    with NatsFeed("nats://127.0.0.1:port", "a", start_timeout=0.2) as feed:
        until(lambda: feed.broker_statistics().error is not None)
        assert "nats: invalid connect url option" in str(feed.broker_statistics().error)


@pytest.mark.parametrize("kind", [RedisFeed, NatsFeed])
def test_a_name_must_be_one_that_all_brokers_know(kind: Any) -> None:
    for name in ("", "a b", "a.b", "é", "{a}"):
        with pytest.raises(ValueError, match="name must be letters"):
            kind("redis://127.0.0.1", name)
    with pytest.raises(TypeError, match="name must be a str"):
        kind("redis://127.0.0.1", None)
    for wrong in (0, -1):
        with pytest.raises(ValueError, match="max_log must be"):
            kind("redis://127.0.0.1", "a", max_log=wrong)
    with pytest.raises(TypeError, match="max_log must be"):
        kind("redis://127.0.0.1", "a", max_log="9")


def test_more_than_may_wait_for_a_broker_that_is_gone_is_refused(broker: Broker) -> None:
    feed = broker.new_feed(max_unsent=100)
    feed.publish("x" * 90, "a")
    feed.publish("y" * 99, "a")
    with pytest.raises(OutboxFullError, match="100 bytes wait for the broker"):
        feed.publish("z", "b")
    feed.publish("y" * 9, "a")
    feed.publish("z", "b")
    assert feed.broker_statistics().waiting == 2


def test_it_runs_once_at_a_time_and_may_run_again(broker: Broker) -> None:
    feed = broker.new_feed()
    feed.stop()
    for _ in range(2):
        with feed, pytest.raises(RuntimeError, match="runs already"):
            feed.start()
    with feed:
        publish(feed, "a1")
        until(lambda: feed.has("a"))


def test_what_never_came_to_the_broker_is_told_at_the_end(
    broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    feed = broker.new_feed()
    feed.start()
    broker.kill()
    feed.publish("1", "a")
    feed.stop(timeout=0.01)
    assert "feed ticks: 1 publications never came to the broker" in caplog.text


@pytest.mark.parametrize(("module", "library"), [("redis", "redis"), ("nats", "nats")])
def test_without_its_library_the_extra_is_named(module: str, library: str) -> None:
    code = f"import sys; sys.modules[{library!r}] = None; import httpng.feeds.{module}"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert f"pip install 'httpng[{module}]'" in ended.stderr


# Workers ------------------------------------------------------------------------------------------------

APP = """
import os
from httpng import Application, sse_headers
from httpng.feeds.{module} import {kind}

feed = {kind}("{url}", "ticks", resume=True)

async def handler(req, io):
    if req.path == "/pid":
        return str(os.getpid())
    io.headers = dict(sse_headers())
    await io.write(f"id: {{os.getpid()}}\\ndata: pid\\n\\n")
    await io.follow(feed, since=req.headers.get("last-event-id"))

app = Application(handler, lifespan=feed.running)
"""


def test_each_worker_subscribes_once_however_many_threads_it_has(broker: Broker, tmp_path: Path) -> None:
    module, kind = ("redis", "RedisFeed") if isinstance(broker, Redis) else ("nats", "NatsFeed")
    (tmp_path / "app.py").write_text(APP.format(module=module, kind=kind, url=broker.url()))
    options = ["--listen", "127.0.0.1:0", "--workers", "2", "--threads", "2"]
    publisher = broker.new_feed(subscribes=False)
    with publisher, httpng_program(tmp_path, "-m", "httpng", "app.py:app", *options) as server:
        server.until(lambda: len({server.get("/pid") for _ in range(20)}) == 2, "both serve")
        server.until(lambda: broker.subscriptions() == 2, "both follow the broker")
        publish(publisher, "a1")
        found: set[str] = set()
        while len(found) < 2:
            with Client(server.address) as client:
                client.request()
                while b"data: a1" not in client.body:
                    assert client.receive()
                found |= set(re.findall(r"id: (\d+)\ndata: pid", client.body.decode()))
        assert broker.subscriptions() == 2
        os.kill(int(found.pop()), signal.SIGKILL)
        server.until(lambda: "another one starts in" in server.log, "it is noticed")
        server.until(lambda: server.log.count(" serves\n") == 3, "another one serves")
        server.until(lambda: broker.subscriptions() == 2, "it follows the broker in its place")
        assert server.end() == 0
    until(lambda: broker.subscriptions() == 0)


def test_a_payload_that_nats_does_not_take_is_not_in_the_way(
    program: Callable[[str], str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Nats(program(Nats.name), tmp_path / "broker") as broker, broker.new_feed() as feed:
        feed.publish("x" * 2_000_000, "a")
        feed.publish("y", "b")
        until(lambda: feed.has("b"))
        assert not feed.has("a")
    assert "feed ticks: dropped a payload of 2000000 bytes for 'a'" in caplog.text


@pytest.fixture
def nats(program: Callable[[str], str], tmp_path: Path) -> Iterator[Nats]:
    broker = Nats(program(Nats.name), tmp_path / "broker")
    with broker:
        yield broker


def test_what_others_take_out_of_a_bucket_is_told_as_removed_and_what_they_write_is_kept(nats: Nats) -> None:
    feed = nats.new_feed(resume=True, on_remove=gone)
    with served(feed) as server, stream(server) as client:
        until(lambda: feed.get_stats().followers)
        publish(feed, "a1", "b1", "c1")
        nats.ask(lambda stream: stream.publish("$KV.ticks.k=1", b"data: theirs\n\n"))
        until(lambda: feed.has("k=1"))
        client.read_until("theirs")
        feed.stop()
        nats.ask(lambda stream: stream.purge_stream("KV_ticks", subject="$KV.ticks.a"))
        nats.ask(lambda stream: stream.publish("$KV.ticks.d", b"data: d1\n\n"))
        # The last of all goes as well.
        nats.ask(lambda stream: stream.publish("$KV.ticks.e", b"data: e1\n\n"))
        nats.ask(lambda stream: stream.purge_stream("KV_ticks", subject="$KV.ticks.e"))
        feed.start()
        until(lambda: client.events[-1] == "-a")
        assert values_of(feed) == {"b", "c", "d", "k=1"}
        publish(feed, "f1")
        client.read_until("f1")
        # e1 is the one that is missing.
        assert client.events[4:] == ["gap 1", "d1", "-a", "f1"]


def test_a_log_whose_end_was_taken_away_is_no_obstacle(nats: Nats) -> None:
    feed = nats.new_feed(policy="every", resume=True, start_timeout=BOUND)
    with served(feed) as server, stream(server) as client:
        until(lambda: feed.get_stats().followers)
        publish(feed, "a1")
        client.read_until("a1")
        feed.stop()
        nats.ask(lambda stream: stream.publish("ticks.b", b"data: b1\n\n"))
        nats.ask(lambda stream: stream.purge_stream("ticks", subject="ticks.b"))
        feed.start()
        assert feed.broker_statistics().is_connected
        publish(feed, "c1")
        assert client.read_until("c1") == ["a1", "gap 1", "c1"]


def test_a_program_ends_that_forgets_to_stop(broker: Broker) -> None:
    module, kind = ("redis", "RedisFeed") if isinstance(broker, Redis) else ("nats", "NatsFeed")
    code = f"""
from httpng.feeds.{module} import {kind}
feed = {kind}("{broker.url()}", "ticks")
feed.start()
feed.publish("1", "a")
print(feed.flush(20))
"""
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert (ended.stdout, ended.returncode) == ("True\n", 0), ended.stderr
