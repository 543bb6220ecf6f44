"""The server of test_budget_of_many.py, in a process of its own."""

import resource

from httpng_core import Request
from httpng_driver import IO

PIECES, SIZE = 64, 64 * 1024
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)


async def app(req: Request, io: IO) -> str | None:
    """/big sends pieces of its own; anything else tells how long the body was."""
    if req.path != "/big":
        return f"{len(req.body)} bytes"
    for number in range(PIECES):
        if await io.write(bytes([number]) * SIZE, timeout=600):
            break
    return None
