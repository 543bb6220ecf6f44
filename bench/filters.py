"""What publishing costs with 10,000 followers of 20 keys of 5,000 each, beside those alone that want the key.

In memory: connections whose kernel takes everything, and a driver that sends what feeds have. Each key is
published to a feed that all follow, and to one that those follow that want it, by the same filters. If a
publication costs what its followers cost, the ratio of the two is 1: the others cost nothing. It is above it
as far as those that want a key lie far apart in memory, where the others lie between them; with as many that
want each key of 1,000 followers (`--followers 1000 --keys 500`) that is no matter.

    python bench/filters.py [--followers 10000] [--keys 5000] [--each 20] [--sampled 100] [--rounds 5]
"""

import argparse
import gc
import random
import statistics
import time

from httpng_core import Application, Broadcast, Connection, Feed, Host, RequestReceived

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
PAYLOAD = b"data: " + b"." * 192 + b"\n\n"


class Stage:
    """A feed, its followers, and a driver that serves them."""

    def __init__(self, wanted: list[frozenset[int]]) -> None:
        self.feed = Feed(clock=time.monotonic)
        self._broadcasts: list[Broadcast] = []
        self._waiting: dict[Connection, None] = {}
        application = Application(lambda request: None)
        for keys in wanted:
            self._follow(application, keys)
        self.deliver()

    def _follow(self, application: Application, keys: frozenset[int]) -> None:
        def ready() -> None:
            self._waiting[connection] = None

        host = Host(feed_ready=self._broadcasts.append, payload_ready=ready, direct_send=len)
        connection = application.connection(0.0, host=host)
        connection.receive_data(GET, 0.0)
        event = connection.next_event()
        assert isinstance(event, RequestReceived)
        event.exchange.follow(self.feed.follower(keys=keys), 0.0)
        ready()

    def deliver(self) -> None:
        """Send what there is to send, as the driver of a server does."""
        while self._waiting or self._broadcasts:
            waiting, self._waiting = self._waiting, {}
            for connection in waiting:
                while connection.wants_write:
                    connection.bytes_accepted(sum(map(len, connection.data_to_send(0.0))), 0.0)
            for _ in range(len(self._broadcasts)):
                broadcast = self._broadcasts.pop(0)
                wire, sends, todo = broadcast.next_sends(256)
                for index in todo:
                    sends[index](wire)
                if broadcast.passed(todo, 0.0):
                    self._broadcasts.append(broadcast)

    def publish(self, key: int) -> tuple[float, float]:
        """Publish something of a key; return the seconds that took, and those until all have it."""
        before = time.process_time()
        self.feed.publish(PAYLOAD, key)
        published = time.process_time()
        self.deliver()
        return published - before, time.process_time() - before


def main() -> None:
    """Measure, and print the ratios."""
    options = _options()
    chance = random.Random(5)
    wanted = [frozenset(chance.sample(range(options.keys), options.each)) for _ in range(options.followers)]
    everyone, few = Stage(wanted), dict[int, Stage]()
    took: dict[str, list[float]] = {}
    for key in chance.sample(range(options.keys), options.sampled):
        few[key] = Stage([keys for keys in wanted if key in keys])
    gc.freeze()
    for round_ in range(options.rounds + 1):
        for key, alone in few.items():
            for name, stage in (("of all", everyone), ("of those that want it", alone)):
                published, delivered = stage.publish(key)
                if round_:
                    took.setdefault(f"publishing, {name}", []).append(published)
                    took.setdefault(f"publishing and sending, {name}", []).append(delivered)
    matching = options.followers * options.each / options.keys
    print(f"{options.followers} followers of {options.each} keys of {options.keys}: {matching:.0f} want each")
    for what in ("publishing", "publishing and sending"):
        whole, part = took[f"{what}, of all"], took[f"{what}, of those that want it"]
        middle, middle_part = statistics.median(whole) * 1e6, statistics.median(part) * 1e6
        ratio = statistics.median(a / b for a, b in zip(whole, part, strict=True))
        print(
            f"{what:23} {middle:7.1f} µs, with those alone that want it {middle_part:7.1f}; "
            f"{middle / matching:5.2f} for each; ratio {ratio:.2f}"
        )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--followers", type=int, default=10_000)
    parser.add_argument("--keys", type=int, default=5_000)
    parser.add_argument("--each", type=int, default=20, help="keys that each follower wants")
    parser.add_argument("--sampled", type=int, default=100, help="keys that are published")
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args()


if __name__ == "__main__":
    main()
