"""A feed that several processes share by a broker: what one publishes comes to the followers of all.

1. A thread with an event loop of its own speaks with the broker: one connection and one subscription for each
   process, whatever its event loops are and however many threads serve.
2. What is published goes to the broker, and to followers when it comes from there: so all see the same order.
3. When the connection is lost it is made again, and the newest values are restored. What was missed meanwhile
   is counted, and followers are told of a gap.
"""

import logging
import random
import re
import time
from abc import abstractmethod
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from threading import Event, Thread, current_thread
from types import TracebackType
from typing import Any, Final

import anyio
from anyio import to_thread
from anyio.from_thread import BlockingPortal

from httpng.feeds.mirror import Mirror
from httpng.feeds.outbox import Outbox
from httpng.feeds.session import BehindError, Session
from httpng.feeds.statistics import BrokerStatistics
from httpng_core import Resume
from httpng_driver import Feed

_log: Final = logging.getLogger("httpng")
_NAME: Final = re.compile(r"[A-Za-z0-9_-]+")
_DELAYS: Final = (0.05, 2.0)
"""Seconds, the least and the most, before a connection is made again."""
_WORTH_A_NEW_START: Final = 10.0
"""Seconds that a connection has lasted after which the next one is made at once."""


class BrokerFeed(Feed):
    """A feed that several processes share: `httpng.Feed`, fed by a broker. See its two kinds.

    Attributes:
        name: what it is called in the broker, in the log, and in ids.
    """

    def __init__(
        self,
        name: str,
        *,
        subscribes: bool = True,
        start_timeout: float = 5.0,
        max_unsent: int = 10_000_000,
        max_log: int = 10_000,
        resume: Resume | bool | None = None,
        **options: Any,
    ) -> None:
        if not isinstance(name, str):
            raise TypeError(f"name must be a str, not {name!r:.80}")
        if not _NAME.fullmatch(name):
            raise ValueError(f"name must be letters, digits, _ and -, not {name!r:.80}")
        for option, value in (("max_log", max_log), ("max_unsent", max_unsent)):
            if isinstance(value, bool) or not isinstance(value, int):
                raise TypeError(f"{option} must be an integer, not {value!r:.80}")
            if value < 1:
                raise ValueError(f"{option} must be 1 or more, not {value}")
        super().__init__(resume=_named(resume, name), **options)
        self.name = name
        self._max_log = max_log
        self._subscribes = subscribes
        self._start_timeout = start_timeout
        keeps_every = options.get("policy") == "every"
        self._outbox = Outbox(max_unsent, replaces=not keeps_every)
        self._mirror = Mirror(self, name, keeps_every=keeps_every)
        self._thread: Thread | None = None
        self._portal: BlockingPortal | None = None
        self._scope: anyio.CancelScope | None = None
        self._wake: anyio.Event | None = None
        self._is_ready = Event()
        self._connections = 0
        self._is_connected = self._is_late = False
        self._error: str | None = None

    # Publishing ---------------------------------------------------------------------------------------

    def publish(self, payload: bytes | str, key: Hashable = None) -> None:
        """Have `payload` be the newest value of `key` wherever this feed is followed. Never waits.

        It goes to the broker, and comes to the followers of this process from there. While there is no
        connection it waits; by the policy "latest" a newer one takes its place, and is told as a gap.

        Args:
            payload: the bytes, one at least; a `str` is sent as UTF-8.
            key: what it is the value of: a `str`, or `None`.

        Raises:
            TypeError, ValueError: wrong arguments.
            RuntimeError: the feed is closed.
            OutboxFullError: more bytes than `max_unsent` would wait for the broker.
        """
        body, name = _checked_body(payload), _checked_key(key)
        if self.is_closed:
            raise RuntimeError("the feed is closed")
        self._send(name, body)

    def publish_threadsafe(self, payload: bytes | str, key: Hashable = None) -> None:
        """Like `publish`; on a closed feed it does nothing."""
        body, name = _checked_body(payload), _checked_key(key)
        if not self.is_closed:
            self._send(name, body)

    def remove(self, key: Hashable, payload: bytes | str | None = None) -> bool:
        """Take the value of `key` away, wherever this feed is followed. Never waits.

        What tells it is what `on_remove` returns, in each process.

        Args:
            key: as for `publish`. One that has no value in the broker is left alone.
            payload: must be `None`.

        Returns:
            Whether this process knew a value of it when it asked.

        Raises:
            TypeError, ValueError: wrong arguments.
            RuntimeError: the feed is closed; or it keeps no values, by the policy "every".
            OutboxFullError: as for `publish`.
        """
        name = _checked_key(key)
        if payload is not None:
            raise ValueError("what tells a removal is on_remove, in each process: it can't be given here")
        self.keys_to_clear()  # Raises where nothing can be removed.
        was_known = self.has(name)  # Before: the removal may be back from the broker when `_send` returns.
        self._send(name, None)
        return was_known

    def flush(self, timeout: float = 5.0) -> bool:
        """Wait until the broker has all that this process has published. Blocks.

        Args:
            timeout: seconds, at most.

        Returns:
            Whether it has.
        """
        return self._outbox.wait_empty(timeout)

    # Running ------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Be connected meanwhile: what `Application(handler, lifespan=feed.running)` wants.

        It begins when the values are restored, or after `start_timeout`: then without them, as long as the
        broker isn't there. At its end it waits 5 s at most for what was published here.
        """
        await to_thread.run_sync(self.start)
        try:
            yield
        finally:
            with anyio.CancelScope(shield=True):
                await to_thread.run_sync(self.stop)

    def __enter__(self) -> "BrokerFeed":
        """Connect, as `running` does, in a program without an event loop."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop."""
        self.stop()

    def start(self) -> None:
        """Connect, and wait until the values are restored, `start_timeout` seconds at most. Blocks.

        Raises:
            RuntimeError: it runs already.
        """
        if self._thread is not None:
            raise RuntimeError(f"the feed {self.name} runs already")
        begun = Event()
        # A program that forgets to stop it ends all the same.
        self._thread = Thread(target=anyio.run, args=(self._run, begun), daemon=True)
        self._thread.start()
        begun.wait()
        if not self._is_ready.wait(self._start_timeout):
            self._is_late = True
            _log.warning("feed %s: no broker yet: %s", self.name, self._error or "no answer")

    def stop(self, timeout: float = 5.0) -> None:
        """Wait until the broker has what was published, `timeout` seconds at most, and disconnect. Blocks.

        Again: nothing.
        """
        thread, portal, scope = self._thread, self._portal, self._scope
        if thread is None or portal is None or scope is None:
            return
        if not self.flush(timeout):
            _log.error(
                "feed %s: %d publications never came to the broker: %s",
                self.name,
                len(self._outbox),
                self._error or "it was too slow",
            )
        self._portal = None
        self._call(portal, scope.cancel)
        thread.join()
        self._thread = None
        self._is_connected = False
        self._is_ready.clear()

    def broker_statistics(self) -> BrokerStatistics:
        """Return how it gets on with its broker."""
        mirror = self._mirror
        return BrokerStatistics(
            is_connected=self._is_connected,
            connections=self._connections,
            number=mirror.seen,
            received=mirror.received,
            missed=mirror.missed,
            waiting=len(self._outbox),
            error=self._error,
        )

    # What its kinds have ------------------------------------------------------------------------------

    @abstractmethod
    def _connect(self) -> AbstractAsyncContextManager[Session]:
        """Connect to the broker, and disconnect at the end."""

    # Inside -------------------------------------------------------------------------------------------

    def _send(self, key: str | None, body: bytes | None) -> None:
        self._outbox.put(key, body)
        # It looks at the outbox after it has set this, and before it waits.
        wake, portal = self._wake, self._portal
        if wake is not None and portal is not None:
            self._wake = None
            self._call(portal, wake.set)

    def _call(self, portal: BlockingPortal, function: Callable[[], object]) -> None:
        """Call a function in the thread of the feed."""
        if current_thread() is self._thread:
            # `on_remove` publishes, say.
            function()
            return
        with suppress(RuntimeError):
            # Else it has stopped meanwhile; that tells of what waits.
            portal.start_task_soon(function)

    async def _run(self, begun: Event) -> None:
        async with BlockingPortal() as portal:
            with anyio.CancelScope() as scope:
                self._portal, self._scope = portal, scope
                begun.set()
                await self._stay_connected()

    async def _stay_connected(self) -> None:
        delay, lost_at = _DELAYS[0], 0.0
        while True:
            began, before = time.monotonic(), self._connections
            try:
                async with self._connect() as session:
                    await self._speak(session, lost_at)
            except Exception as error:
                self._error = _told(error)
            was_connected = self._connections > before
            self._is_connected = False
            if was_connected:
                lost_at = time.monotonic()
                _log.warning("feed %s: lost the broker: %s", self.name, self._error)
            if was_connected and time.monotonic() - began > _WORTH_A_NEW_START:
                delay = _DELAYS[0]
            # Not all processes at once.
            await anyio.sleep(random.uniform(delay / 2, delay))
            delay = min(delay * 2, _DELAYS[1])

    async def _speak(self, session: Session, lost_at: float) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._publish_all, session)
            if not self._subscribes:
                self._note_connected(lost_at)
                return
            missed = self._mirror.missed
            while True:
                mirror = self._mirror
                mirror.restore(await session.restore(mirror.seen, mirror.base, mirror.keys))
                if not self._is_connected:
                    self._note_connected(lost_at, mirror.missed - missed)
                try:
                    async for entry in session.entries(mirror.seen):
                        mirror.take(entry, is_gapless=session.is_gapless)
                except BehindError:
                    continue

    async def _publish_all(self, session: Session) -> None:
        while True:
            wake = self._wake = anyio.Event()
            batch = self._outbox.take()
            if batch:
                await session.send(batch)
                self._outbox.sent()
            else:
                await wake.wait()

    def _note_connected(self, lost_at: float, missed: int = 0) -> None:
        self._connections += 1
        self._is_connected, self._error = True, None
        self._is_ready.set()
        if self._is_late:
            self._is_late = False
            _log.info("feed %s: has its broker now", self.name)
        if lost_at:
            away = time.monotonic() - lost_at
            _log.info(
                "feed %s: has its broker again after %.1f s; missed %d publications", self.name, away, missed
            )


def _named(resume: Resume | bool | None, name: str) -> Resume | bool | None:
    """Return how clients come back, by ids that are the same in all processes."""
    if resume is True:
        return Resume(name=name)
    if isinstance(resume, Resume) and resume.name is None:
        return Resume(
            id_line=resume.id_line,
            first=resume.first,
            gap=resume.gap,
            retry=resume.retry,
            max_replay=resume.max_replay,
            name=name,
        )
    return resume


def _checked_body(payload: object) -> bytes:
    if isinstance(payload, str):
        payload = payload.encode()
    if not isinstance(payload, bytes):
        raise TypeError(f"payload must be bytes or str, not {type(payload).__name__}")
    if not payload:
        raise ValueError("payload needs at least one byte")
    return payload


def _checked_key(key: object) -> str | None:
    if key is not None and not isinstance(key, str):
        raise TypeError(f"the key of a feed of a broker must be a str or None, not {key!r:.80}")
    if key == "":
        raise ValueError("the key of a feed of a broker needs at least one character")
    return key


def _told(error: BaseException) -> str:
    """Return what the first error of a group, or this one, says."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}".rstrip(": ")
