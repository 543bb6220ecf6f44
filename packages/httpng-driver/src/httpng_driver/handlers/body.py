"""The body of an async handler's request, read while it comes in."""

from collections.abc import Callable

from anyio.lowlevel import checkpoint

from httpng_core import Incoming, Read
from httpng_driver.handlers.driving import Driving
from httpng_driver.handlers.turn import LoopTurns, Turn


class BodyReader:
    """What `req.read` and `req.stream` of an async handler use. It keeps nothing of the exchange."""

    def __init__(
        self,
        incoming: Incoming,
        clock: Callable[[], float],
        pump: Driving,
        check_thread: Callable[[], None],
        turns: LoopTurns,
    ) -> None:
        """Read `incoming`, which comes by `pump`; `check_thread` raises in other threads."""
        self._incoming = incoming
        self._clock = clock
        self._pump = pump
        self._check_thread = check_thread
        self._turns = turns
        self._turn: Turn | None = None

    async def read(self, limit: int | None, timeout: float | None) -> bytes:
        """See `Request.read`."""
        self._check_thread()
        read = self._incoming.read(limit, self._clock(), timeout)
        if not read.settled:
            await self._until_settled(read)
            self._turn = None
        elif self._turn is None:
            self._turn = Turn(self._clock, self._turns)
        elif self._turn.is_over(self._clock, self._turns):
            # There was something to read for long enough: let others run.
            await self._let_others_run(read)
        piece: bytes = read.value
        return piece

    async def _until_settled(self, read: Read) -> None:
        self._pump.wake()
        try:
            await self._turns.until_settled(read)
        except BaseException:
            self._incoming.withdraw(read, self._clock())
            raise

    async def _let_others_run(self, read: Read) -> None:
        try:
            await checkpoint()
        except BaseException:
            self._incoming.withdraw(read, self._clock())
            raise
        self._turn = None
