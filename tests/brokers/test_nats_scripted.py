"""What NATS says of a bucket while others publish, scripted: its order and its counts are as seen of 2.9."""

import queue
from datetime import UTC, datetime
from functools import partial
from types import SimpleNamespace
from typing import Any

import nats.errors
import pytest
from anyio import to_thread
from nats.aio import client
from nats.js.errors import NotFoundError
from tests.brokers.reading import gone, served, stream, until
from tests.brokers.servers import BOUND

from httpng import sse_event
from httpng.feeds import BrokerFeed
from httpng.feeds.nats import NatsFeed

CREATED = datetime(2026, 1, 1, tzinfo=UTC)
PREFIX = "$KV.ticks."


class Bucket:
    """A bucket as a client of NATS has it; what it delivers and counts is the test's."""

    def __init__(self) -> None:
        self.last_seq = 0
        self.owed = 0
        self.owed_later = 0
        """What is pending, when a subscription begins, and when nothing comes any more."""
        self.there: dict[int, str] = {}
        """What it has by the time that it is asked: keys by number."""
        self.subscriptions = 0
        self._delivered = 0
        self._messages: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def deliver(self, number: int, key: str, *, pending: int = 0) -> None:
        self._delivered += 1
        self._messages.put(
            SimpleNamespace(
                subject=PREFIX + key,
                data=sse_event(f"{key} {number}"),
                headers=None,
                metadata=SimpleNamespace(
                    num_pending=pending,
                    sequence=SimpleNamespace(consumer=self._delivered, stream=number),
                ),
            )
        )

    def begin(self) -> None:
        """Wait for another subscription, with nothing delivered."""
        self._delivered = 0
        self._messages = queue.SimpleQueue()

    # What the library has -----------------------------------------------------------------------------

    async def stream_info(self, _: str) -> Any:
        state = SimpleNamespace(last_seq=self.last_seq, first_seq=1, messages=len(self.there))
        return SimpleNamespace(created=CREATED, state=state)

    async def subscribe(self, *_: object, **__: object) -> "Bucket":
        self.subscriptions += 1
        return self

    async def unsubscribe(self) -> None:
        pass

    async def consumer_info(self) -> Any:
        owed, self.owed = self.owed, self.owed_later
        return SimpleNamespace(num_pending=owed, delivered=SimpleNamespace(consumer_seq=0))

    async def next_msg(self, **_: object) -> Any:
        try:
            return await to_thread.run_sync(partial(self._messages.get, timeout=0.01))
        except queue.Empty:
            raise nats.errors.TimeoutError from None

    async def get_msg(self, _: str, seq: int, subject: str, *, next: bool) -> Any:
        assert next
        assert subject == f"{PREFIX}>"
        for number in sorted(self.there):
            if number >= seq:
                return SimpleNamespace(seq=number)
        raise NotFoundError

    async def get_last_msg(self, _: str, subject: str) -> Any:
        if subject.removeprefix(PREFIX) not in self.there.values():
            raise NotFoundError
        return SimpleNamespace()


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Bucket:
    made = Bucket()

    async def connect(*_: object, **__: object) -> None:
        pass

    monkeypatch.setattr(client.Client, "connect", connect)
    monkeypatch.setattr(client.Client, "close", connect)
    monkeypatch.setattr(client.Client, "jetstream", lambda *_, **__: made)
    return made


def new_feed(**options: Any) -> NatsFeed:
    return NatsFeed("nats://127.0.0.1", "ticks", resume=True, on_remove=gone, **options)


def hold_two(bucket: Bucket, first: str) -> None:
    """Have the bucket deliver the values of two keys: `first`, and b."""
    bucket.last_seq, bucket.owed = 2, 2
    bucket.there = {1: first, 2: "b"}
    bucket.deliver(1, first, pending=1)
    bucket.deliver(2, "b", pending=0)


def numbers_and_missed(feed: BrokerFeed) -> tuple[int, int]:
    stats = feed.broker_statistics()
    return stats.number - int(CREATED.timestamp()) * 1_000_000, stats.missed


def test_what_comes_later_than_the_counts_say_is_waited_for(bucket: Bucket) -> None:
    bucket.last_seq, bucket.owed = 40, 4
    bucket.there = {10: "a", 20: "b", 30: "c", 40: "d"}
    bucket.deliver(10, "a", pending=1)
    # It has delivered some twice, and counts two too few.
    bucket.deliver(20, "b", pending=0)
    bucket.deliver(30, "c")
    bucket.deliver(40, "d")
    with new_feed(start_timeout=BOUND) as feed:
        assert set(feed.keys_to_clear()) == {"a", "b", "c", "d"}
        assert numbers_and_missed(feed) == (40, 0)
        bucket.deliver(42, "d")
        until(lambda: numbers_and_missed(feed) == (42, 1))


def test_what_was_replaced_before_it_could_come_is_not_waited_for(bucket: Bucket) -> None:
    bucket.last_seq, bucket.owed = 4, 3
    bucket.there = {1: "a", 2: "b", 6: "c"}
    bucket.deliver(1, "a", pending=2)
    bucket.deliver(2, "b", pending=0)
    with new_feed(start_timeout=BOUND) as feed:
        assert numbers_and_missed(feed) == (5, 0)
        bucket.deliver(6, "c")
        until(lambda: feed.has("c"))
        assert numbers_and_missed(feed) == (6, 0)


def test_it_begins_when_as_much_has_come_as_was_there_whatever_is_published_meanwhile(bucket: Bucket) -> None:
    bucket.last_seq, bucket.owed = 2, 2
    bucket.there = {1: "a", 2: "b", 3: "c"}
    for number, key in bucket.there.items():
        bucket.deliver(number, key, pending=1)
    with new_feed(start_timeout=BOUND) as feed:
        until(lambda: feed.has("c"))
        assert feed.broker_statistics().received == 1
        assert numbers_and_missed(feed) == (3, 0)


def test_one_that_is_delivered_twice_counts_once(bucket: Bucket) -> None:
    bucket.last_seq, bucket.owed = 1, 3
    bucket.there = {1: "a", 2: "b"}
    bucket.deliver(1, "a", pending=2)
    bucket.deliver(2, "b", pending=1)
    bucket.deliver(2, "b", pending=0)
    with new_feed(start_timeout=BOUND) as feed:
        bucket.deliver(2, "b")
        bucket.deliver(4, "b")
        until(lambda: numbers_and_missed(feed) == (4, 1))
        assert feed.broker_statistics().received == 1


@pytest.mark.parametrize("key", ["a", "=C3=A9", "k=1", "user:1", "user=3A1:2", "=61"])
def test_a_key_whose_value_is_replaced_while_it_is_looked_up_keeps_it_until_the_new_one_comes(
    bucket: Bucket, key: str
) -> None:
    hold_two(bucket, key)
    feed = new_feed()
    with served(feed) as server, stream(server) as client:
        client.read_until("b 2")
        feed.stop()
        # The third replaces the first, and is stored when the second has been delivered.
        bucket.begin()
        bucket.last_seq, bucket.owed = 2, 2
        bucket.there = {2: "b", 3: key}
        bucket.deliver(2, "b", pending=0)
        feed.start()
        assert len(feed.keys_to_clear()) == 2
        bucket.deliver(3, key)
        assert client.read_until(f"{key} 3") == [f"{key} 1", "b 2", f"{key} 3"]


def test_a_key_that_nothing_is_left_of_is_told_as_removed(bucket: Bucket) -> None:
    hold_two(bucket, "a")
    feed = new_feed()
    with served(feed) as server, stream(server) as client:
        client.read_until("b 2")
        feed.stop()
        bucket.begin()
        bucket.owed = 1
        bucket.there = {2: "b"}
        bucket.deliver(2, "b", pending=0)
        feed.start()
        assert client.read_until("-a") == ["a 1", "b 2", "-a"]


def test_what_was_owed_and_has_been_taken_out_of_the_bucket_is_not_waited_for(bucket: Bucket) -> None:
    bucket.last_seq, bucket.owed = 2, 2
    bucket.there = {1: "a"}
    bucket.deliver(1, "a", pending=1)
    with new_feed(start_timeout=BOUND) as feed:
        assert feed.broker_statistics().is_connected
        assert numbers_and_missed(feed) == (2, 0)
        assert bucket.subscriptions == 1


def test_a_bucket_that_does_not_deliver_what_it_has_is_left_and_asked_again(bucket: Bucket) -> None:
    bucket.last_seq, bucket.owed, bucket.owed_later = 2, 2, 1
    bucket.there = {1: "a", 2: "b"}
    bucket.deliver(1, "a", pending=1)
    with new_feed(start_timeout=0.01) as feed:
        until(lambda: bucket.subscriptions == 2)
        assert not feed.has("a")
        assert "NATS doesn't deliver what it says is pending" in str(feed.broker_statistics().error)
