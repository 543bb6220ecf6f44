"""Feeds across machines: `httpng.feeds.redis` and `httpng.feeds.nats`."""

from httpng.feeds.broker import BrokerFeed
from httpng.feeds.outbox import OutboxFullError
from httpng.feeds.statistics import BrokerStatistics

__all__ = ["BrokerFeed", "BrokerStatistics", "OutboxFullError"]
