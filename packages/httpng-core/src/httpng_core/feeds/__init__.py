"""Feeds: payloads published once, of which each follower gets what is still worth sending."""

from httpng_core.feeds.backlog import EveryBacklog, LatestBacklog, Payload
from httpng_core.feeds.broadcast import Broadcast
from httpng_core.feeds.changes import json_delta, text_delta
from httpng_core.feeds.checks import MAX_QUEUED, OnRemove, Overflow, Policy
from httpng_core.feeds.deltas import FULL_EVERY, Delta
from httpng_core.feeds.feed import Feed
from httpng_core.feeds.follower import Follower
from httpng_core.feeds.gaps import OnGap
from httpng_core.feeds.keys import KeyFilter, Keys
from httpng_core.feeds.ladder import LagAction, LagStep
from httpng_core.feeds.lag import LAG_LIMITS, OnLag
from httpng_core.feeds.merging import Merge
from httpng_core.feeds.pace import Priority
from httpng_core.feeds.per_loop import FeedLoopStatistics, FeedStatistics
from httpng_core.feeds.resume import Resume
from httpng_core.feeds.stats import FeedStats, FollowStats
from httpng_core.feeds.values import json_merge

__all__ = [
    "FULL_EVERY",
    "LAG_LIMITS",
    "MAX_QUEUED",
    "Broadcast",
    "Delta",
    "EveryBacklog",
    "Feed",
    "FeedLoopStatistics",
    "FeedStatistics",
    "FeedStats",
    "FollowStats",
    "Follower",
    "KeyFilter",
    "Keys",
    "LagAction",
    "LagStep",
    "LatestBacklog",
    "Merge",
    "OnGap",
    "OnLag",
    "OnRemove",
    "Overflow",
    "Payload",
    "Policy",
    "Priority",
    "Resume",
    "json_delta",
    "json_merge",
    "text_delta",
]
