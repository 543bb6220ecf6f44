"""Files for the core, read so that a slow disk doesn't stall the loop.

What the kernel has in memory is read in place, for which Linux has a read that never waits for the disk
(`RWF_NOWAIT`). All else, opening included, is done in worker threads.
"""

import os
import platform
import re
import sys
from collections.abc import Callable, Sequence
from functools import partial
from threading import Lock

import anyio
import anyio.to_thread

from httpng_core import FileInfo, FileRead, Pending
from httpng_driver.handlers.open_below import open_below
from httpng_driver.reactor import Reactor

_THREADS = 16


def _linux_version() -> tuple[int, ...]:
    """Return the version of Linux, empty on other systems."""
    if not sys.platform.startswith("linux"):
        return ()
    return tuple(map(int, re.findall(r"\d+", platform.release())[:2]))


# Linux gives a change the time of the last tick, of 10 ms at most; since 6.13 never one that was seen before.
_TICK_NS = 0 if _linux_version() >= (6, 13) else 20_000_000
_NOWAIT: int | None = getattr(os, "RWF_NOWAIT", None) if hasattr(os, "preadv") else None


class DiskFiles:
    """The files of one event loop."""

    def __init__(self, reactor: Reactor, wall_clock: Callable[[], float]) -> None:
        """Read files by `wall_clock`, seconds since 1970, as the file system has it."""
        self.wall_clock = wall_clock
        self._reactor = reactor
        # Our own, so that a disk that hangs leaves the threads of handlers alone.
        self._limiter = anyio.CapacityLimiter(_THREADS)

    def open(self, directory: str, names: Sequence[bytes]) -> "DiskFile":
        """See `httpng_core.Files`."""
        return DiskFile(self, directory, names)

    def in_thread(self, pending: Pending, work: Callable[[], None]) -> None:
        """Have a worker thread do `work()`; then `pending` settles, with the error that it raised."""
        self._reactor.spawn(self._run, pending, work)

    async def _run(self, pending: Pending, work: Callable[[], None]) -> None:
        try:
            await anyio.to_thread.run_sync(work, limiter=self._limiter)
        except Exception as error:
            pending.settle(None, error)
        else:
            pending.settle(None)


class DiskFile:
    """A `File` on disk: a descriptor, which a worker thread may be using when it is closed.

    Attributes:
        opening: see `httpng_core.File`.
    """

    def __init__(self, files: DiskFiles, directory: str, names: Sequence[bytes]) -> None:
        self.opening = Pending()
        self._files = files
        self._info: FileInfo | None = None
        self._fd = -1
        self._lock = Lock()
        self._in_use = self._closed = False
        self._in_thread(self.opening, partial(self._open, directory, names))

    @property
    def info(self) -> FileInfo:
        """See `httpng_core.File`."""
        assert self._info is not None
        return self._info

    def read(self, offset: int, size: int) -> FileRead:
        """See `httpng_core.File`."""
        read = FileRead()
        read.data = _read_cached(self._fd, offset, size)
        if read.data:
            read.settle(None)
        else:
            self._in_thread(read, partial(self._read, read, offset, size))
        return read

    def close(self) -> None:
        """See `httpng_core.File`; a descriptor in use is given back by the thread that uses it."""
        with self._lock:
            self._closed = True
            if self._in_use:
                return
            fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _in_thread(self, pending: Pending, work: Callable[[], None]) -> None:
        self._files.in_thread(pending, partial(self._use, work))

    def _use(self, work: Callable[[], None]) -> None:
        with self._lock:
            if self._closed:
                return
            self._in_use = True
        try:
            work()
        finally:
            with self._lock:
                self._in_use, closed = False, self._closed
            if closed:
                self.close()

    def _open(self, directory: str, names: Sequence[bytes]) -> None:
        self._fd = open_below(directory, names)
        # Before, so that what is changed in between counts as changed since.
        asked_at = self._files.wall_clock()
        status = os.fstat(self._fd)
        self._info = FileInfo(
            size=status.st_size,
            mtime_ns=status.st_mtime_ns,
            ctime_ns=status.st_ctime_ns,
            inode=status.st_ino,
            device=status.st_dev,
            tick_ns=_TICK_NS,
            opened_at=asked_at,
        )

    def _read(self, read: FileRead, offset: int, size: int) -> None:
        read.data = os.pread(self._fd, size, offset)


def _read_cached(fd: int, offset: int, size: int) -> bytes:
    """Return what the kernel has in memory from there on; empty if nothing, or if it can't tell."""
    if _NOWAIT is None:
        return b""
    buffer = bytearray(size)
    try:
        taken = os.preadv(fd, [buffer], offset, _NOWAIT)
    except OSError:
        # It would wait, or this file system has no such read; what is really wrong the next read tells.
        return b""
    return bytes(memoryview(buffer)[:taken])
