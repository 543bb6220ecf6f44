"""A client of NATS that tells each end of its connection. Needs the extra `nats`."""

from typing import Any

import anyio
import nats.aio.client


class Client(nats.aio.client.Client):
    """A client whose end is always told.

    The library sends what is pending when it closes a connection. Where that has been reset this raises: then
    neither is the end told, nor are its tasks ended. There is nothing of ours: whatever is published is
    acknowledged, or sent again. A version of the library that has other names for these does as without this.
    """

    async def _close(self, status: int, do_cbs: bool = True) -> None:
        self._pending = []
        self._pending_data_size = 0
        await super()._close(status, do_cbs)


class End:
    """How a connection ends.

    Attributes:
        error: what has failed last.
    """

    def __init__(self) -> None:
        self.error: Exception | None = None
        self._closed = anyio.Event()

    async def note_error(self, error: Exception) -> None:
        """Note an error, of which the library would write a traceback otherwise."""
        self.error = error

    async def note_closed(self) -> None:
        """Note that the connection is gone."""
        self._closed.set()

    async def fail(self, client: Any) -> None:
        """Raise when the connection is gone: who waits for messages isn't told."""
        await self._closed.wait()
        raise ConnectionError(str(self.error or client.last_error or "the connection was closed"))
