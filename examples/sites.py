"""A directory of static files beside handlers: the first site that takes a path has it.

python -m httpng_asyncio examples/sites.py:app
curl -i http://127.0.0.1:3300/static/about.txt
curl http://127.0.0.1:3300/api/time
curl -I http://127.0.0.1:3300/static/css/main.css
"""

import time
from pathlib import Path

from httpng_asyncio import Application, Request, Response

# The directory beside this file, wherever the server was started.
PUBLIC = Path(__file__).parent / "public"


def tell_time(req: Request) -> str:
    return f"{time.time():.3f}\n"


def no_call(req: Request) -> Response:
    return Response(status=404, body="no such call\n")


def rest(req: Request) -> str:
    return f"nothing at {req.path}, try /static/about.txt\n"


app = Application(
    rest,  # the same as a last site "/"; without it all else is 404
    sites=[
        {"path": "/api/time", "handler": tell_time},
        {"path": "/api", "handler": no_call},
        {"path": "/static", "handler": PUBLIC},
    ],
)
