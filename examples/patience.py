"""What a write that timed out tells, and two things to do about it.

    python -m httpng_asyncio examples/patience.py:handler
    curl -sN --limit-rate 4M http://127.0.0.1:3300/drop | tail -c 60
    curl -sN --limit-rate 40M http://127.0.0.1:3300/go-on | wc -c

/drop gives a client half a second for 64 MB. What was not accepted by then is not sent, ever; the client
gets a line that tells how much that was. /go-on sends all of it, half a second at a time, for as long as the
client takes something. The log tells how often that fell short.
"""

import logging

from httpng_asyncio import IO, Request, Response

SIZE, SECONDS = 64_000_000, 0.5
BODY = memoryview(b"." * SIZE)
log = logging.getLogger("patience")


async def drop(io: IO) -> None:
    result = await io.write(BODY, SECONDS)
    if result is None:  # all was accepted
        await io.write("\nall of it\n")
    elif not result.cancelled:  # else the client is gone
        log.info("dropped all but %d bytes", result.body_bytes_sent)
        await io.write(f"\nonly {result.body_bytes_sent} of {SIZE} bytes in time\n")
        # The last write was whole: so the response ends cleanly, else it would be cut short.


async def go_on(io: IO) -> None:
    at = calls = 0
    while at < SIZE:
        result = await io.write(BODY[at:], SECONDS)
        calls += 1
        if result is None:
            break
        at += result.body_bytes_sent
        if result.cancelled or not result.body_bytes_sent:
            log.warning("gave up after %d bytes", at)
            return  # short of what was to be written: it is cut short
    log.info("all of it, in %d calls", calls)


async def handler(req: Request, io: IO) -> Response | None:
    if req.path == "/drop":
        await drop(io)
    elif req.path == "/go-on":
        io.headers["content-length"] = SIZE
        await go_on(io)
    else:
        return Response(status=404, body="/drop or /go-on\n")
    return None
