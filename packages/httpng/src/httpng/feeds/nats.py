"""Feeds by way of NATS with JetStream: `NatsFeed`. Needs the extra `nats`.

By the policy "latest" the feed NAME is the key-value bucket NAME, so that every program that can put
something in a bucket can publish; by "every" it is the stream NAME, with the subjects `NAME.KEY`.

Numbers are those of the stream, on top of the time when it was made, in microseconds.
"""

import logging
import secrets
from collections.abc import AsyncIterator, Sequence, Set
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Any, Final

import anyio

from httpng.feeds.broker import BrokerFeed
from httpng.feeds.outbox import Outgoing
from httpng.feeds.session import Entry, Restored, Session
from httpng.feeds.subjects import key_of, subject_of

try:
    import nats
    from nats.js.api import (
        AckPolicy,
        ConsumerConfig,
        DeliverPolicy,
        DiscardPolicy,
        KeyValueConfig,
        StreamConfig,
    )
    from nats.js.errors import NotFoundError

    from httpng.feeds.nats_client import Client, End
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "httpng.feeds.nats needs the package nats-py: pip install 'httpng[nats]'", name=error.name
    ) from error

__all__ = ["NatsFeed"]

_log: Final = logging.getLogger("httpng")
_TIMEOUT: Final = 5.0
_PING_EVERY: Final = 3
_LOOK_EVERY: Final = 10.0
"""Seconds without a message after which the server is asked whether it still knows that we wait for some."""
_OPERATION: Final = "KV-Operation"
_COUNT: Final = "Httpng-Count"

_ASKED_AT_ONCE: Final = 100
"""About how many keys NATS is asked at the same time."""
_ASKED_UNTIL_LOST: Final = 5
"""How often NATS is asked what is pending, a second apart, if it delivers nothing."""


class NatsFeed(BrokerFeed):
    """A feed that several processes share by way of NATS with JetStream, 2.9 or newer; see `httpng.Feed`.

    What one of them publishes comes to the followers of all. The newest value of each key is restored from
    the bucket, and ids by which clients come back are known in all processes. Where something was missed
    while NATS was gone it is known how much, but not of which keys: followers that want some keys alone are
    told of that many at most.

    Attributes:
        name: what it is called in NATS, in the log, and in ids.
    """

    def __init__(
        self,
        url: str | Sequence[str],
        name: str,
        *,
        subscribes: bool = True,
        start_timeout: float = 5.0,
        max_unsent: int = 10_000_000,
        max_log: int = 10_000,
        replicas: int = 1,
        connect: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        """Connect when it is started: by `running`, `start` or `with`.

        Args:
            url: "nats://HOST:PORT", or several.
            name: letters, digits, `_` and `-`.
            subscribes: whether what is published is to come here; without, it can only publish.
            start_timeout: seconds that its start waits for NATS.
            max_unsent: how many bytes may wait here for NATS.
            max_log: by the policy "every", how many publications NATS keeps; a process that begins has these.
            replicas: how many servers keep the bucket or stream, if it isn't there yet and is made.
            connect: more arguments for `nats.connect`: credentials, TLS.
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
        self._servers = [url] if isinstance(url, str) else list(url)
        self._connect_options = connect or {}
        every = options.get("policy") == "every"
        stream, prefix = (name, f"{name}.") if every else (f"KV_{name}", f"$KV.{name}.")
        self._place = _Place(name, stream, prefix, max_log, replicas, is_bucket=not every)
        # It stays the same over connections: what was sent twice is known by it.
        self._publisher = secrets.token_urlsafe(9)

    @asynccontextmanager
    async def _connect(self) -> AsyncIterator[Session]:
        end = End()
        # Not by `nats.connect`: what that had of a connection that failed would stay open.
        client = Client()
        try:
            await client.connect(
                self._servers,
                name=f"httpng {self.name}",
                # It is made anew here, so that what was missed is seen.
                allow_reconnect=False,
                max_reconnect_attempts=1,
                reconnect_time_wait=0,
                connect_timeout=int(_TIMEOUT),
                ping_interval=_PING_EVERY,
                max_outstanding_pings=2,
                error_cb=end.note_error,
                closed_cb=end.note_closed,
                **self._connect_options,
            )
            session = _NatsSession(client, self._place, self._publisher)
            await session.begin()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(end.fail, client)
                yield session
                tasks.cancel_scope.cancel()
        except nats.errors.NoServersError as error:
            raise ConnectionError(str(end.error or error)) from error
        finally:
            # It asserts that it has got as far as to a socket: where it hasn't, what was wrong is raised.
            with anyio.CancelScope(shield=True), anyio.move_on_after(1), suppress(AssertionError):
                await client.close()


class _Place:
    """Where a feed is in NATS.

    Attributes:
        written: the subjects of keys that others have written in another way than we would.
    """

    def __init__(
        self, name: str, stream: str, prefix: str, max_log: int, replicas: int, *, is_bucket: bool
    ) -> None:
        self.name = name
        self.stream = stream
        self.prefix = prefix
        self.max_log = max_log
        self.replicas = replicas
        self.is_bucket = is_bucket
        self.written: dict[str | None, str] = {}

    def note_written(self, key: str | None, subject: str | None) -> None:
        """Note the subject of a key that others have written; `None`: it has no value any more."""
        if subject is None:
            self.written.pop(key, None)
        else:
            self.written[key] = subject


class _NatsSession(Session):
    """A connection to NATS, with one subscription."""

    # Of each key the newest is there, whatever else has gone.
    is_gapless = False

    def __init__(self, client: Any, place: _Place, publisher: str) -> None:
        self._client = client
        self._stream = client.jetstream(timeout=_TIMEOUT)
        self._place = place
        self._publisher = publisher
        self._subscription: Any = None
        self._base = 0
        self._delivered = 0

    async def begin(self) -> None:
        """Make the bucket or the stream, if there is none."""
        place = self._place
        try:
            await self._stream.stream_info(place.stream)
        except NotFoundError:
            if place.is_bucket:
                bucket = KeyValueConfig(place.name, replicas=place.replicas)
                await self._stream.create_key_value(bucket)
                return
            config = StreamConfig(
                name=place.stream,
                subjects=[f"{place.prefix}>"],
                max_msgs=place.max_log,
                discard=DiscardPolicy.OLD,
                num_replicas=place.replicas,
            )
            await self._stream.add_stream(config)

    async def restore(self, seen: int, base: int, known: Set[str | None]) -> Restored:
        """See `Session`."""
        place = self._place
        info = await self._stream.stream_info(place.stream)
        self._base = _microseconds(info.created)
        newest = self._base + info.state.last_seq
        is_new = self._base != base or newest < seen
        first = None
        if place.is_bucket:
            policy, horizon = DeliverPolicy.LAST_PER_SUBJECT, self._base
        else:
            policy, horizon = DeliverPolicy.ALL, self._base + max(info.state.first_seq - 1, 0)
            if not is_new:
                policy, first = DeliverPolicy.BY_START_SEQUENCE, seen - self._base + 1
        await self._subscribe(policy, first)
        entries, number = await self._restored(self._base if is_new else seen, newest)
        return Restored(
            base=self._base,
            horizon=horizon,
            number=number,
            is_new=is_new,
            entries=entries,
            gone=await self._gone(known - {entry.key for entry in entries}),
        )

    async def entries(self, after: int) -> AsyncIterator[Entry]:
        """See `Session`."""
        while True:
            try:
                message = await self._subscription.next_msg(timeout=_LOOK_EVERY)
            except nats.errors.TimeoutError:
                # Raises if the server has forgotten it.
                await self._subscription.consumer_info()
                continue
            yield self._entry(message)

    async def send(self, batch: Sequence[Outgoing]) -> None:
        """See `Session`."""
        for each in batch:
            headers = {"Nats-Msg-Id": f"{self._publisher}-{each.ordinal}"}
            if each.body is None:
                headers[_OPERATION] = "DEL"
            if each.count > 1:
                headers[_COUNT] = str(each.count)
            body, subject = each.body or b"", self._place.prefix + subject_of(each.key)
            try:
                await self._stream.publish(subject, body, stream=self._place.stream, headers=headers)
            except nats.errors.MaxPayloadError:
                # It would be in the way of all that come after it.
                _log.error(
                    "feed %s: dropped a payload of %d bytes for %r: NATS takes no longer ones than "
                    "its max_payload",
                    self._place.name,
                    len(body),
                    each.key,
                )

    # Inside -------------------------------------------------------------------------------------------

    async def _subscribe(self, policy: DeliverPolicy, first: int | None) -> None:
        if self._subscription is not None:
            await self._subscription.unsubscribe()
        config = ConsumerConfig(
            deliver_policy=policy, opt_start_seq=first, ack_policy=AckPolicy.NONE, mem_storage=True
        )
        self._delivered = 0
        self._subscription = await self._stream.subscribe(
            f"{self._place.prefix}>", stream=self._place.stream, config=config
        )

    async def _restored(self, after: int, newest: int) -> tuple[list[Entry], int]:
        """Return all that is there up to the number `newest`, and up to which number that is all.

        While others publish, NATS delivers some twice, and what it says is pending is too low. That there is
        nothing before `newest` any more is asked for. What is newer may be among the entries as well.
        """
        info = await self._subscription.consumer_info()
        # Bounded, as there is always something pending where others publish fast.
        owed = info.delivered.consumer_seq + info.num_pending
        entries: dict[int, Entry] = {}
        while self._delivered < owed:
            message = await self._owed()
            if message is None:
                break
            entry = self._entry(message)
            entries[entry.number] = entry
            if not message.metadata.num_pending:
                break
        number = await self._complete_to(max((after, *entries)), newest)
        while number < newest:
            entry = self._entry(await self._subscription.next_msg(timeout=_TIMEOUT))
            entries[entry.number] = entry
            number = await self._complete_to(max(number, entry.number), newest)
        return [entries[number] for number in sorted(entries)], number

    async def _owed(self) -> Any:
        """Return the next message; `None` if there is none, as others have taken it out of the stream."""
        for _ in range(_ASKED_UNTIL_LOST):
            with suppress(nats.errors.TimeoutError):
                return await self._subscription.next_msg(timeout=1)
            info = await self._subscription.consumer_info()
            if not info.num_pending and info.delivered.consumer_seq <= self._delivered:
                return None
        raise ConnectionError("NATS doesn't deliver what it says is pending")

    async def _complete_to(self, after: int, newest: int) -> int:
        """Return up to which number nothing is left to come, beginning with what follows `after`.

        That may be less than `newest`, the last number that was given when it was asked.
        """
        if after >= newest:
            return after
        try:
            message = await self._stream.get_msg(
                self._place.stream, after - self._base + 1, f"{self._place.prefix}>", next=True
            )
        except NotFoundError:
            return newest  # Others have taken these out of the stream.
        return self._base + int(message.seq) - 1

    async def _gone(self, missing: Set[str | None]) -> set[str | None]:
        """Return which keys have nothing in the bucket, not even a removal.

        What was restored isn't of one moment: one that it lacks may have been there with a value that a newer
        one has replaced meanwhile, and that is still to come.
        """
        gone = set(missing)
        limiter = anyio.CapacityLimiter(_ASKED_AT_ONCE)

        async def ask(key: str | None) -> None:
            subject = self._place.written.get(key) or subject_of(key)
            async with limiter:
                with suppress(NotFoundError):
                    await self._stream.get_last_msg(self._place.stream, f"{self._place.prefix}{subject}")
                    gone.discard(key)

        async with anyio.create_task_group() as tasks:
            for key in missing:
                tasks.start_soon(ask, key)
        return gone

    def _entry(self, message: Any) -> Entry:
        sequence = message.metadata.sequence
        self._delivered += 1
        if sequence.consumer != self._delivered:
            raise ConnectionError("messages were lost on their way: the process is too slow")
        headers = message.headers or {}
        is_removal = headers.get(_OPERATION) in ("DEL", "PURGE")
        # What has no bytes, as other programs may put it in a bucket, is no value either.
        body = None if is_removal or not message.data else bytes(message.data)
        number, count = self._base + sequence.stream, headers.get(_COUNT, "1")
        subject = message.subject.removeprefix(self._place.prefix)
        key = key_of(subject)
        if self._place.is_bucket and subject != subject_of(key):
            self._place.note_written(key, None if body is None else subject)
        return Entry(
            number=number,
            first=number,
            base=self._base,
            key=key,
            body=body,
            count=int(count) if count.isdigit() else 1,
        )


def _microseconds(created: datetime) -> int:
    """Return when a stream was made, which it is known by."""
    return int(created.replace(microsecond=0).timestamp()) * 1_000_000 + created.microsecond
