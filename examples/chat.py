"""A chat: whoever listens gets every message that is said from then on, each client at its own pace.

    python -m httpng_asyncio examples/chat.py:app
    curl -N http://127.0.0.1:3300/
    curl -d 'hello all' 'http://127.0.0.1:3300/say?as=ada'       # in another terminal

Nobody waits for a slow client: up to 64 KiB wait for it, then the oldest messages are skipped, and it is
told.
"""

import re

from httpng_asyncio import IO, Application, Feed, Request, Response, Router

messages = Feed(policy="every", max_queued=65536, overflow="drop_oldest")


async def listen(req: Request, io: IO) -> None:
    io.headers = {"content-type": "text/plain; charset=utf-8", "cache-control": "no-store"}
    await io.write("welcome\n")
    await io.follow(messages, on_gap=lambda missed: f"(you have missed {missed} messages)\n")


def say(req: Request) -> Response:
    named = re.fullmatch(r"as=(\w+)", req.query or "")
    text = re.sub(rb"[\0-\x1f]", b" ", req.body)
    if not text:
        return Response(status=400, body="say something\n")
    messages.publish((named[1] if named else "somebody").encode() + b": " + text + b"\n")
    return Response(status=202, body=f"{messages.get_stats().followers} listen\n")


router = Router()
router.route("/", listen, method="GET")
router.route("/say", say, method="POST")

app = Application(router, max_body_len=1000)
