"""Feeds by way of Redis, or of what speaks its protocol: `RedisFeed`. Needs the extra `redis`.

What the feed NAME keeps there has keys that begin with `httpng:{NAME}:`

* `meta`: `base`, what its numbers began with; `number`, that of the newest publication; `horizon`, up to
  which removed keys may be forgotten;
* `values`: of each key `NUMBER TOTAL PAYLOAD`, where TOTAL counts the publications since it has a value;
* `removed`: the keys that were removed, by number;
* `log`: a stream of what was published last, with the numbers as ids;
* `from:PUBLISHER`: up to which ordinal something of a publisher is there, for an hour.

Numbers begin with the time, in microseconds: so those of a Redis that has forgotten all are higher than
before.
"""

import secrets
from collections.abc import AsyncIterator, Sequence, Set
from contextlib import asynccontextmanager
from typing import Any, Final

import anyio

from httpng.feeds.broker import BrokerFeed
from httpng.feeds.outbox import Outgoing
from httpng.feeds.session import BehindError, Entry, Restored, Session

try:
    from redis.asyncio import Redis
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "httpng.feeds.redis needs the package redis: pip install 'httpng[redis]'", name=error.name
    ) from error

__all__ = ["RedisFeed"]

_MAX_REMOVED: Final = 65_536
_BLOCK: Final = 2_000
"""Milliseconds that Redis waits for something new before it answers that there is nothing."""
_TIMEOUT: Final = 5.0
"""Seconds without an answer, beyond those, after which a connection is lost."""
_PAGE: Final = 1_000

_BEGIN: Final = """
local function begin(meta, least)
  local time = redis.call('TIME')
  local base = math.max(time[1] * 1000000 + time[2], least)
  local text = string.format('%.0f', base)
  redis.call('HSET', meta, 'base', text, 'number', text, 'horizon', text)
end
"""

_OPEN: Final = (
    _BEGIN
    + """
local meta, removed = KEYS[1], KEYS[2]
local seen = tonumber(ARGV[1])
local number = redis.call('HGET', meta, 'number')
if not number or tonumber(number) < seen then
  begin(meta, seen + 1)
  redis.call('DEL', removed)
end
return 1
"""
)
"""Begins numbers where there are none, or lower ones than somebody has seen."""

_PUBLISH: Final = (
    _BEGIN
    + """
local meta, values, removed, log, from = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local ordinal, kind, key, body, count = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local done = redis.call('GET', from)
if done and tonumber(done) >= tonumber(ordinal) then return 0 end
redis.call('SET', from, ordinal, 'EX', 3600)
-- One that takes the place of values which never came here is told, as they are counted.
if kind == 'remove' and redis.call('HDEL', values, key) == 0 and count == '1' then return 0 end
if redis.call('EXISTS', meta) == 0 then begin(meta, 0) end
local number = string.format('%.0f', redis.call('HINCRBY', meta, 'number', count))
local base = redis.call('HGET', meta, 'base')
local total = tonumber(count)
if kind == 'value' then
  local old = redis.call('HGET', values, key)
  if old then total = total + tonumber(string.match(old, '^%d+ (%d+) ')) end
  redis.call('HSET', values, key, number .. ' ' .. total .. ' ' .. body)
  redis.call('ZREM', removed, key)
elseif kind == 'remove' then
  redis.call('ZADD', removed, number, key)
  if redis.call('ZCARD', removed) > tonumber(ARGV[7]) then
    redis.call('HSET', meta, 'horizon', string.format('%.0f', redis.call('ZPOPMIN', removed)[2]))
  end
end
redis.call('XADD', log, 'MAXLEN', '~', ARGV[6], number .. '-0', 'kind', kind, 'key', key, 'body', body,
  'count', count, 'total', total, 'base', base)
return 1
"""
)


class RedisFeed(BrokerFeed):
    """A feed that several processes share by way of Redis, 6.2 or newer; see `httpng.Feed`.

    What one of them publishes comes to the followers of all. The newest value of each key is restored from
    Redis, ids by which clients come back are known in all processes, and where something was missed while
    Redis was gone it is known how much, and of which keys. That lasts as long as Redis keeps what it has
    acknowledged: `appendonly yes` and `appendfsync always`, should it be killed.

    Attributes:
        name: what it is called in Redis, in the log, and in ids.
    """

    def __init__(
        self,
        url: str,
        name: str,
        *,
        subscribes: bool = True,
        start_timeout: float = 5.0,
        max_unsent: int = 10_000_000,
        max_log: int = 10_000,
        **options: Any,
    ) -> None:
        """Connect when it is started: by `running`, `start` or `with`.

        Args:
            url: as redis-py has it: "redis://HOST:PORT/DATABASE", "rediss://…" or "unix://PATH".
            name: letters, digits, `_` and `-`.
            subscribes: whether what is published is to come here; without, it can only publish.
            start_timeout: seconds that its start waits for Redis.
            max_unsent: how many bytes may wait here for Redis.
            max_log: about how many publications Redis keeps. By the policy "every" a process that begins has
                these; by "latest" a process that is behind by more of them restores all values.
            **options: those of `httpng.Feed`.

        Raises:
            TypeError, ValueError: wrong arguments.
        """
        super().__init__(
            name,
            subscribes=subscribes,
            start_timeout=start_timeout,
            max_unsent=max_unsent,
            max_log=max_log,
            **options,
        )
        self._url = url
        self._keeps_log = options.get("policy") == "every"
        # It stays the same over connections: what was sent twice is known by it.
        self._publisher = secrets.token_urlsafe(9)
        # A mistake in it is told at once.
        Redis.from_url(url)

    @asynccontextmanager
    async def _connect(self) -> AsyncIterator[Session]:
        client = Redis.from_url(
            self._url,
            protocol=2,
            retry=Retry(NoBackoff(), 0),
            socket_connect_timeout=_TIMEOUT,
            socket_timeout=_BLOCK / 1000 + _TIMEOUT,
            client_name=f"httpng:{self.name}",
        )
        try:
            session = _RedisSession(client, self.name, self._publisher, self._max_log, every=self._keeps_log)
            await session.begin()
            yield session
        finally:
            with anyio.CancelScope(shield=True), anyio.move_on_after(1):
                await client.aclose()


class _RedisSession(Session):
    """A connection to Redis that waits for what is new, and one by which it is published."""

    def __init__(self, client: Any, name: str, publisher: str, max_log: int, *, every: bool) -> None:
        prefix = f"httpng:{{{name}}}:"
        self._meta, self._values, self._removed, self._log = (
            prefix + one for one in ("meta", "values", "removed", "log")
        )
        self._from = f"{prefix}from:{publisher}"
        self._client = client
        self._max_log = max_log
        self._every = every
        self._publish = ""
        # Entries of the log go when there are more than `max_log`, whatever their keys.
        self.is_gapless = not every

    async def begin(self) -> None:
        """Have Redis know the script."""
        self._publish = await self._client.script_load(_PUBLISH)

    async def restore(self, seen: int, base: int, known: Set[str | None]) -> Restored:
        """See `Session`."""
        # One that has forgotten some begins anew by this, and has another base.
        await self._client.eval(_OPEN, 2, self._meta, self._removed, seen)
        return await (self._restored_log(seen, base) if self._every else self._restored_values(base, known))

    async def entries(self, after: int) -> AsyncIterator[Entry]:
        """See `Session`."""
        while True:
            found = await self._client.xread({self._log: f"{after}-0"}, count=_PAGE, block=_BLOCK)
            for _, entries in found or ():
                for id_, fields in entries:
                    entry = _entry(id_, fields)
                    yield entry
                    after = entry.number
            if not found and await self._number() < after:
                raise BehindError  # It has forgotten all, and nothing new comes by which that could be seen.

    async def send(self, batch: Sequence[Outgoing]) -> None:
        """See `Session`."""
        keys = (self._meta, self._values, self._removed, self._log, self._from)
        async with self._client.pipeline(transaction=False) as pipeline:
            for each in batch:
                kind = "remove" if each.body is None else "message" if self._every else "value"
                given = each.ordinal, kind, each.key or "", each.body or b"", each.count
                pipeline.evalsha(self._publish, len(keys), *keys, *given, self._max_log, _MAX_REMOVED)
            await pipeline.execute()

    # Inside -------------------------------------------------------------------------------------------

    async def _restored_values(self, seen_base: int, known: Set[str | None]) -> Restored:
        # All of one moment.
        async with self._client.pipeline(transaction=True) as pipeline:
            pipeline.hmget(self._meta, "base", "number", "horizon")
            pipeline.hgetall(self._values)
            pipeline.zrange(self._removed, 0, -1, withscores=True)
            meta, values, removed = await pipeline.execute()
        base, number, horizon = map(int, meta)
        entries = [_value(base, key, value) for key, value in values.items()]
        for key, score in removed:
            removal = int(score)
            entries.append(Entry(number=removal, first=removal, base=base, key=_key(key), body=None))
        entries.sort(key=lambda entry: entry.number)
        return Restored(
            base=base,
            horizon=horizon,
            number=number,
            is_new=base != seen_base,
            entries=entries,
            # Of the keys that were removed Redis keeps the last ones.
            gone=known - {entry.key for entry in entries},
        )

    async def _restored_log(self, seen: int, base: int) -> Restored:
        now, number = map(int, await self._client.hmget(self._meta, "base", "number"))
        after = seen if now == base else 0
        entries: list[Entry] = []
        while True:
            # "(" leaves out the one that is named.
            page = await self._client.xrange(self._log, f"({after}-0", "+", count=_PAGE)
            entries += (_entry(id_, fields) for id_, fields in page)
            if len(page) < _PAGE:
                break
            after = entries[-1].number
        horizon = entries[0].first - 1 if entries else number
        number = max(number, entries[-1].number) if entries else number
        entries = [_of_base(entry, now) for entry in entries]
        return Restored(base=now, horizon=horizon, number=number, is_new=now != base, entries=entries)

    async def _number(self) -> int:
        return int(await self._client.hget(self._meta, "number") or 0)


def _entry(id_: bytes, fields: dict[bytes, bytes]) -> Entry:
    number, count = int(id_.partition(b"-")[0]), int(fields[b"count"])
    return Entry(
        number=number,
        first=number - count + 1,
        base=int(fields[b"base"]),
        key=_key(fields[b"key"]),
        body=None if fields[b"kind"] == b"remove" else fields[b"body"],
        count=count,
        total=int(fields[b"total"]),
    )


def _of_base(entry: Entry, base: int) -> Entry:
    """Return one that the log has kept from before Redis forgot some, as one of now."""
    if entry.base == base:
        return entry
    return Entry(number=entry.number, first=entry.first, base=base, key=entry.key, body=entry.body)


def _value(base: int, key: bytes, value: bytes) -> Entry:
    number, total, body = value.split(b" ", 2)
    return Entry(number=int(number), first=int(number), base=base, key=_key(key), body=body, total=int(total))


def _key(key: bytes) -> str | None:
    return key.decode(errors="surrogateescape") if key else None
