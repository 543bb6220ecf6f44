"""Routes: which handler has which path and method, with placeholders, and a function that is asked first.

python -m httpng_asyncio examples/router.py:router
curl http://127.0.0.1:3300/users/ada
curl http://127.0.0.1:3300/files/2024/report.txt
curl -X DELETE -H 'x-token: secret' http://127.0.0.1:3300/users/ada
"""

from httpng_asyncio import IO, Request, Response, Router

users = {"ada": "Ada Lovelace", "alan": "Alan Turing"}
router = Router()


def check_token(req: Request) -> Response | None:
    """Whoever changes something must know the token. What this returns, if not `None`, is the answer."""
    reads = req.method in ("GET", "HEAD")
    if reads or req.headers.get("x-token") == "secret":
        return None
    return Response(status=403, body="no token\n")


def hello(req: Request) -> str:
    return "hello guest\n"


def show(req: Request) -> str | Response:
    user = users.get(req.stash["name"])
    return f"{user}\n" if user else Response(status=404, body="no such user\n")


def delete(req: Request) -> Response:
    users.pop(req.stash["name"], None)
    return Response(status=204)


async def send_file(req: Request, io: IO) -> None:
    await io.write(f"you want {req.stash['path']}\n")


router.before(check_token)
router.route("/", hello, method="GET")
router.route("/users/:name", show, method="GET")
# Another method of the same path. Any third one is answered with 405, and an Allow header that names these.
router.route("/users/:name", delete, method="DELETE")
router.route("/files/*path", send_file)
