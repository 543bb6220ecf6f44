"""One application, written once for each framework: what its routes answer is the same."""

from collections.abc import AsyncIterator

import anyio
import anyio.lowlevel

PIECES = [b"one,", b"two,", b"three"]


class Done:
    """Whether a background task has run."""

    def __init__(self) -> None:
        self.count = 0

    async def note(self) -> None:
        await anyio.lowlevel.checkpoint()
        self.count += 1


async def events() -> AsyncIterator[bytes]:
    """Three server-sent events."""
    for number in range(3):
        await anyio.lowlevel.checkpoint()
        yield f"data: {number}\n\n".encode()
