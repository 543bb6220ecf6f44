"""The command line that every backend has: `python -m httpng_BACKEND APP`, and `httpng APP`."""

import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, Final

from httpng_core import Application, ConfigError, ListenAddress, StartupError, parse_settings
from httpng_driver.command.arguments import Given, Parser
from httpng_driver.command.config_file import APP, SITES, read_config
from httpng_driver.command.find_application import Wanted, load
from httpng_driver.command.listen_options import listen_options
from httpng_driver.command.log_output import LogOutput
from httpng_driver.command.logging_options import configure_logging
from httpng_driver.command.options import Option, options
from httpng_driver.command.print_config import config_lines
from httpng_driver.command.second_signal import SecondSignal
from httpng_driver.command.systemd import take_listen_fds
from httpng_driver.command.top import top
from httpng_driver.command.variables import read_env_file, unknown_variables, variables
from httpng_driver.serving.endpoints import check_listening

_log = logging.getLogger("httpng")

Run = Callable[..., None]

AUTO: Final = "auto"
"""The loop of a backend that nobody chose."""
_LINE: Final = "the command line"
_CHECK: Final = "check_config"
_PRINT: Final = "print_config"


def main(loops: Mapping[str, Run], program: str, version: str, argv: Sequence[str] | None) -> int:
    """Run the command line; the exit status: 0 after a shutdown, 2 for what can't be started.

    It is 3 if the application's own start has failed.

    Args:
        loops: the backend's `run` by the names of the event loops that it can choose among; "auto" is one.
        program: how the program is called, for the help.
        version: what `--version` prints.
        argv: the arguments, `None` for the program's own.
    """
    arguments, known = sys.argv[1:] if argv is None else argv, options(tuple(loops))
    if arguments[:1] == ["top"]:
        return top(list(arguments[1:]))
    parser = Parser(program, version, known)
    app, on_the_line = parser.read(arguments)
    with LogOutput():
        try:
            given = _with_the_rest(on_the_line, known)
            if app is not None:
                given[APP] = Given(app, _LINE, app)
            elif APP not in given and SITES not in given:
                parser.error("the following arguments are required: APP")
            configure_logging(given)
            run = _loop(given, loops)
            # First, so that an address of the application's own is not even looked at.
            listen = listen_options(given)
            looks = any(name in given and given[name].value for name in (_CHECK, _PRINT))
            with SecondSignal() as watch:
                # Where Lua loops for ever, nothing of Python's hears of Ctrl-C.
                watch.listen()
                application = _load(given, known, listen, opens=not looks)
            if looks:
                _look_only(application, listen, given, known)
            else:
                application.settings_again = partial(_settings_again, on_the_line, known, given)
                run(application, listen=listen)
        except ConfigError as error:
            _say(f"httpng: {error}")
            return 2
        except StartupError as error:
            _say(f"httpng: {error}")
            return 3
        except KeyboardInterrupt:
            # A second SIGINT, after the server had ended and stopped listening to signals.
            pass
    return 0


def _load(
    given: Mapping[str, Given],
    known: Sequence[Option],
    listen: Sequence[ListenAddress] | None,
    *,
    opens: bool,
) -> Application:
    values: dict[str, Any] = {key: one.value for key, one in given.items()}
    wanted = Wanted(
        name=values.get(APP),
        settings=_settings(given, known),
        listen=listen,
        lua=values.get("lua"),
        app_dir=values.get("app_dir"),
        factory=values.get("factory", False),
        sites=values.get(SITES),
        opens=opens,
    )
    try:
        return load(wanted)
    except (ConfigError, TypeError) as error:
        if SITES not in given or (wanted.name is not None and str(error).startswith(wanted.name)):
            raise
        # What is wrong with sites doesn't say whose they are.
        raise ConfigError(f"{given[SITES].source}: {error}") from error


def _look_only(
    application: Application,
    listen: Sequence[ListenAddress] | None,
    given: Mapping[str, Given],
    known: Sequence[Option],
) -> None:
    """Check what a server would need, and say what counts, or that all is right."""
    configuration = application.configuration
    check_listening(configuration if listen is None else replace(configuration, listen=listen))
    if _PRINT in given and given[_PRINT].value:
        print(*config_lines(application, listen, given, known), sep="\n")
    else:
        print("httpng: the configuration is right")


def announce(urls: Sequence[str], admin: str | None = None) -> None:
    """Say where a server listens, a line each, and where operators ask it."""
    if admin is not None:
        _say(f"httpng: operators ask at {admin}")
    for url in urls:
        _say(f"httpng: listening on {url}")


def _say(line: str) -> None:
    # A full disk behind stderr, or nobody who reads it, is no reason not to serve.
    with suppress(OSError):
        # In one piece: other processes may write there as well.
        print(f"{line}\n", end="", file=sys.stderr, flush=True)


def _with_the_rest(given: dict[str, Given], known: Sequence[Option]) -> dict[str, Given]:
    """Return what the command line gives; where it doesn't the environment; where that doesn't the file."""
    take_listen_fds(os.environ)
    file = given.get("env_file") or variables(known, os.environ).get("env_file")
    if file is not None:
        read_env_file(str(file.value))
    found = variables(known, os.environ) | given
    for name, nearest in unknown_variables(known, os.environ):
        _log.warning("%s means nothing; the nearest that does is %s", name, nearest)
    if (config := found.get("config")) is None:
        return found
    in_file = read_config(str(config.value), config.told, known)
    if (file := in_file.get("env_file")) is not None and "env_file" not in found:
        read_env_file(str(file.value))
        found = variables(known, os.environ) | given
    return in_file | found


def _settings_again(
    on_the_line: dict[str, Given], known: Sequence[Option], before: Mapping[str, Given]
) -> Mapping[str, object]:
    """Return the settings as they are given now; say which others have changed, which don't count."""
    given = _with_the_rest(on_the_line, known)
    if APP in before and before[APP].source == _LINE:
        given[APP] = before[APP]
    others = {option.key for option in known if not option.is_setting} | {APP, SITES}
    changed = [key for key in sorted(others) if _value(given, key) != _value(before, key)]
    if changed:
        _log.warning("%s: what is new there needs a new process: SIGUSR2 starts one", ", ".join(changed))
    return _settings(given, known)


def _value(given: Mapping[str, Given], key: str) -> object:
    return given[key].value if key in given else None


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
