"""Any order of publishing, of a kernel that takes what it likes, and of time, under any policy of lag.

No newest value is lost but of keys that a step has dropped, or as a step has closed; values of a key come in
order; and of all that was published for the follower each payload is in one column of the counts.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.core.driving import run_broadcasts
from tests.core.feeds.following import Following

from httpng_core import Broadcast, Feed, FollowStats, LagStep
from httpng_core.testing import Clock

KEYS = "abc"

actions = st.sampled_from(["conflate", "slow", "drop", "close"])
keys = st.sampled_from(KEYS)
publishing = st.tuples(st.just("publish"), keys)
pushing = st.tuples(st.just("push"), st.integers(0, 60))
passing = st.tuples(st.just("pass"), st.sampled_from([0.1, 0.9, 2.5]))
removing = st.tuples(st.just("remove"), keys)
doings = st.lists(st.one_of(publishing, publishing, pushing, passing, removing), max_size=60)


@st.composite
def policies(draw: Any) -> list[LagStep]:
    """A few steps, one after the other."""
    steps, after = list[LagStep](), 0.0
    for action in draw(st.lists(actions, min_size=1, max_size=4)):
        after += draw(st.sampled_from([0.5, 1.0, 2.0]))
        rate = draw(st.sampled_from([0.5, 3.0])) if action == "slow" else None
        dropped = [draw(keys)] if action == "drop" else None
        marks = draw(st.booleans())
        steps.append(
            LagStep(
                after,
                action,
                max_rate=rate,
                keys=dropped,
                mark="(up)" if marks else None,
                left="(down)" if marks else None,
            )
        )
        if action == "close":
            break
    return steps


def values_in(body: bytes) -> dict[str, list[int]]:
    """The numbers of each key, in the order in which they came."""
    found = defaultdict[str, list[int]](list)
    for piece in body.decode().replace("(up)", "").replace("(down)", "").split(",")[:-1]:
        found[piece[0]].append(int(piece[1:]))
    return found


class Run:
    """A follower under a policy, and what was published for it."""

    def __init__(self, policy: list[LagStep], *, every: bool) -> None:
        self.clock = Clock()
        self.broadcasts: list[Broadcast] = []
        self.every = every
        self.policy = policy
        self.feed = Feed(clock=self.clock, policy="every" if every else "latest")
        self.client = Following(self.clock, self.broadcasts)
        self.client.io.follow(self.feed, lag_policy=policy)
        self.client.push()
        self.newest: dict[str, int] = {}
        self.published = 0

    @property
    def counts(self) -> FollowStats:
        counts = self.client.io.get_follow_stats()
        assert counts is not None
        return counts

    def do(self, doing: str, value: Any) -> None:
        """One of `doings`."""
        if doing == "publish":
            self.published += 1
            self.newest[value] = self.published
            self.feed.publish(f"{value}{self.published},", value)
        elif doing == "push":
            self.client.push(value)
        elif doing == "pass":
            self.client.advance(value)
        elif not self.every:
            self.feed.remove(value)
            self.newest.pop(value, None)
        run_broadcasts(self.broadcasts, 100, self.clock())
        assert min(self.counts.delivered, self.counts.skipped, self.counts.pending) >= 0

    def rest(self) -> None:
        """The client takes all, for as long as it takes."""
        for _ in range(30):
            self.client.push()
            run_broadcasts(self.broadcasts, 100, self.clock())
            self.client.advance(1)

    def check(self) -> None:
        """Nothing was lost that may not be."""
        came, counts = values_in(self.client.body), self.counts
        assert all(numbers == sorted(set(numbers)) for numbers in came.values())
        if self.client.exchange.cause.label == "limit(lag_policy)":
            assert self.policy[-1].action == "close"
            return
        assert counts.pending == 0
        assert counts.delivered == sum(map(len, came.values()))
        dropping = [step for step in self.policy if step.action == "drop"] if counts.dropped else []
        for key, last in self.newest.items():
            if not any(step.drops(key) for step in dropping):
                assert came[key][-1:] == [last], f"the newest value of {key} was lost"
        if self.every and not dropping:
            assert counts.delivered + counts.skipped == self.published
            if all(step.action != "conflate" for step in self.policy):
                assert counts.skipped == 0, "without a step that conflates each message comes"


def run(policy: list[LagStep], steps: list[tuple[str, Any]], *, every: bool) -> None:
    one = Run(policy, every=every)
    for doing, value in steps:
        one.do(doing, value)
    one.rest()
    one.check()


@given(policies(), doings)
def test_the_newest_of_each_key(policy: list[LagStep], steps: list[tuple[str, Any]]) -> None:
    run(policy, steps, every=False)


@given(policies(), doings)
def test_where_every_message_counts(policy: list[LagStep], steps: list[tuple[str, Any]]) -> None:
    run([step for step in policy if step.action != "slow"], steps, every=True)
