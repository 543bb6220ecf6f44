"""The command line that every backend has: `python -m httpng_BACKEND APP`, and `httpng APP`."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final

from httpng_core import Application, ConfigError, ListenAddress, parse_settings
from httpng_driver.command.arguments import Given, Parser
from httpng_driver.command.find_application import load
from httpng_driver.command.listen_options import listen_options
from httpng_driver.command.log_output import LogOutput
from httpng_driver.command.logging_options import configure_logging
from httpng_driver.command.options import Option, options
from httpng_driver.command.second_signal import SecondSignal
from httpng_driver.command.systemd import take_listen_fds
from httpng_driver.command.variables import read_env_file, variables

Run = Callable[..., None]

AUTO: Final = "auto"
"""The loop of a backend that nobody chose."""


def main(loops: Mapping[str, Run], program: str, version: str, argv: Sequence[str] | None) -> int:
    """Run the command line; the exit status: 0 after a shutdown, 2 for what can't be started.

    Args:
        loops: the backend's `run` by the names of the event loops that it can choose among; "auto" is one.
        program: how the program is called, for the help.
        version: what `--version` prints.
        argv: the arguments, `None` for the program's own.
    """
    arguments, known = sys.argv[1:] if argv is None else argv, options(tuple(loops))
    parser = Parser(program, version, known)
    app, given = parser.read(arguments)
    with LogOutput():
        try:
            given = _with_variables(given, known)
            if app is None:
                parser.error("the following arguments are required: APP")
            configure_logging(given)
            run = _loop(given, loops)
            # First, so that an address of the application's own is not even looked at.
            listen = listen_options(given)
            with SecondSignal() as watch:
                # Where Lua loops for ever, nothing of Python's hears of Ctrl-C.
                watch.listen()
                application = _load(app, _settings(given, known), listen, given)
            run(application, listen=listen)
        except ConfigError as error:
            _say(f"httpng: {error}")
            return 2
        except KeyboardInterrupt:
            # A second SIGINT, after the server had ended and stopped listening to signals.
            pass
    return 0


def _load(
    app: str,
    settings: Mapping[str, object],
    listen: Sequence[ListenAddress] | None,
    given: Mapping[str, Given],
) -> Application:
    values = {key: one.value for key, one in given.items()}
    return load(
        app,
        settings,
        values.get("lua"),
        listen,
        app_dir=values.get("app_dir"),
        factory=values.get("factory", False),
    )


def announce(urls: Sequence[str]) -> None:
    """Say where a server listens, a line each."""
    for url in urls:
        _say(f"httpng: listening on {url}")


def _say(line: str) -> None:
    # A full disk behind stderr, or nobody who reads it, is no reason not to serve.
    with suppress(OSError):
        print(line, file=sys.stderr, flush=True)


def _with_variables(given: dict[str, Given], known: Sequence[Option]) -> dict[str, Given]:
    """Return what the command line gives and, where it doesn't, the environment."""
    take_listen_fds(os.environ)
    file = given.get("env_file") or variables(known, os.environ).get("env_file")
    if file is not None:
        read_env_file(str(file.value))
    return variables(known, os.environ) | given


def _loop(given: Mapping[str, Given], loops: Mapping[str, Run]) -> Run:
    uvloop, named = given.get("uvloop"), given.get("loop")
    if named is None:
        return loops[AUTO] if uvloop is None else loops["uvloop" if uvloop.value else "asyncio"]
    if uvloop is not None:
        raise ConfigError(f"{uvloop.told} beside {named.told}: give one of them")
    run = loops.get(str(named.value).lower())
    if run is None:
        raise ConfigError(f"{named.told}: the loops are {', '.join(loops)}")
    return run


def _settings(given: Mapping[str, Given], known: Sequence[Option]) -> dict[str, object]:
    found: dict[str, object] = {}
    for option in known:
        one = given.get(option.key)
        if not option.is_setting or one is None:
            continue
        value = option.words.get(one.value, one.value) if isinstance(one.value, str) else one.value
        try:
            parse_settings({option.key: value})
        except ConfigError as error:
            raise ConfigError(f"{one.told}: {error}") from error
        found[option.key] = value
    return found
