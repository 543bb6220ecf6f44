"""Handlers, sites and settings are replaced while the server runs: all, or, if something is wrong, nothing.

python -m httpng_asyncio examples/reload.py:app
curl http://127.0.0.1:3300/            the first version
curl http://127.0.0.1:3300/switch      gives it the second, and back
curl http://127.0.0.1:3300/mistake     is refused, and changes nothing
"""

from httpng_asyncio import Application, ConfigError, Request


def first(req: Request) -> str:
    return "the first version\n"


def second(req: Request) -> str:
    return "the second version\n"


versions = [first, second]


def switch(req: Request) -> str:
    versions.reverse()
    app.reconfigure(versions[0], sites=SITES)
    return "switched\n"


def mistake(req: Request) -> str:
    try:
        app.reconfigure(first, sites=SITES, threads=1000)
    except ConfigError as error:
        return f"refused: {error}\n"
    return "taken\n"


SITES = [{"path": "/switch", "handler": switch}, {"path": "/mistake", "handler": mistake}]
app = Application(first, sites=SITES)
