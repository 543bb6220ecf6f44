"""Commands of the servers that several benchmarks measure: one worker each, as fast as it goes."""

from servers import python  # type: ignore[import-not-found]

Command = tuple[str, ...]

GO: Command = ("TMP/hello", "PORT")


def httpng(app: str, *options: str, backend: str = "asyncio") -> Command:
    """Serve a handler of bench_apps.py, or a script."""
    app = app if app.endswith(".lua") else f"bench_apps:{app}"
    how = ("--listen", "127.0.0.1:PORT", "--log-level", "error")
    command: Command = python("-m", f"httpng_{backend}", app, *how, *options)
    return command


def uvicorn(app: str, *options: str) -> Command:
    """Serve an ASGI application by uvicorn, on uvloop and httptools."""
    command: Command = python(
        *("-m", "uvicorn", app, "--port", "PORT", "--loop", "uvloop", "--http", "httptools"),
        *("--no-access-log", "--log-level", "error", *options),
    )
    return command


def granian(app: str, *options: str) -> Command:
    """Serve an ASGI application by granian, on uvloop, with one worker and one thread of its runtime."""
    command: Command = python(
        *("-m", "granian", app, "--interface", "asgi", "--port", "PORT", "--loop", "uvloop"),
        *("--http", "1", "--no-ws", "--workers", "1", "--runtime-threads", "1", "--no-access-log"),
        *("--log-level", "error", *options),
    )
    return command
