"""The command line that every backend has: `python -m httpng_BACKEND APP`."""

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import fields, replace
from difflib import get_close_matches
from typing import Any, NoReturn

from httpng_core import (
    COMPILED,
    PYTHON_DEFAULT_LISTEN,
    Application,
    CertificateFiles,
    ConfigError,
    ListenAddress,
    Settings,
    TlsFiles,
    parse_listen,
    parse_settings,
)
from httpng_driver.command.find_application import load
from httpng_driver.command.log_output import LogOutput
from httpng_driver.command.second_signal import SecondSignal

Run = Callable[..., None]

_ALIASES = {"default_send_window": "--send-window", "default_send_timeout": "--send-timeout"}
# What other servers call it, where that doesn't resemble our name.
_ELSEWHERE = {
    "--listen": (
        "addr",
        "address",
        "b",
        "bind",
        "fd",
        "host",
        "interface",
        "ip",
        "p",
        "port",
        "socket",
        "uds",
    ),
    "--certfile": ("c", "cert", "certificate", "ssl", "ssl-cert", "ssl-certfile", "tls", "tls-cert"),
    "--keyfile": ("k", "key", "private-key", "ssl-key", "ssl-keyfile", "tls-key"),
    "--threads": ("t", "thread", "processes", "w", "worker", "workers"),
    "--access-log": ("access-logfile", "accesslog", "log", "log-requests"),
    "--keepalive-timeout": ("keep-alive", "keepalive", "timeout-keep-alive"),
    "--shutdown-timeout": ("graceful-timeout", "timeout-graceful-shutdown"),
    "--max-body-len": ("limit-request-body", "max-body-size", "max-request-size"),
}


class _Parser(argparse.ArgumentParser):
    """Tells a mistake in one line.

    Attributes:
        known: the names of all options.
    """

    def __init__(self, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.known = ["-h", "--help"]

    def option(self, group: Any, *names: str, **keywords: Any) -> None:
        """Add an option to `group`, which may be the parser itself."""
        self.known += group.add_argument(*names, **keywords).option_strings

    def refuse_unknown(self, argv: Sequence[str]) -> None:
        """Exit if there is an option that isn't known: else its value might be taken for the application."""
        for one in argv:
            name = one.partition("=")[0]
            if one == "--":
                return
            if re.fullmatch(r"--?[a-zA-Z][\w-]*", name) and name not in self.known:
                nearest = _nearest(name, self.known)
                told = "" if nearest is None else f"; the nearest known one is {nearest}"
                self.error(f"unrecognized arguments: {name}{told}")

    def error(self, message: str) -> NoReturn:
        """Exit with a message."""
        self.exit(2, f"httpng: {message} (see --help)\n")


def _nearest(name: str, known: Sequence[str]) -> str | None:
    # A value may stand right behind the letter of a short one.
    word = name[2:] if name.startswith("--") else name[1]
    named = [option for option, words in _ELSEWHERE.items() if word.lower() in words]
    return next(iter(named or get_close_matches(name.lower(), known, n=1)), None)


def main(run: Run, program: str, version: str, argv: Sequence[str] | None, *, uvloop: bool = False) -> int:
    """Run the command line; the exit status: 0 after a shutdown, 2 for what can't be started.

    Args:
        run: the backend's `run`.
        program: how the program is called, for the help.
        version: what `--version` prints.
        argv: the arguments, `None` for the program's own.
        uvloop: whether the backend has `--uvloop`.
    """
    arguments, parser = sys.argv[1:] if argv is None else argv, _parser(program, version, uvloop)
    parser.refuse_unknown(arguments)
    options = parser.parse_args(arguments)
    with LogOutput():
        try:
            # First, so that an address of the application's own is not even looked at.
            listen = _listen(options)
            with SecondSignal() as watch:
                # Where Lua loops for ever, nothing of Python's hears of Ctrl-C.
                watch.listen()
                application = load(options.app, _settings(options), options.lua, listen)
            run(application, listen=listen, **({"uvloop": options.uvloop} if uvloop else {}))
        except ConfigError as error:
            _say(f"httpng: {error}")
            return 2
        except KeyboardInterrupt:
            # A second SIGINT, after the server had ended and stopped listening to signals.
            pass
    return 0


def announce(urls: Sequence[str]) -> None:
    """Say where a server listens, a line each."""
    for url in urls:
        _say(f"httpng: listening on {url}")


def _say(line: str) -> None:
    # A full disk behind stderr, or nobody who reads it, is no reason not to serve.
    with suppress(OSError):
        print(line, file=sys.stderr, flush=True)


def _parser(program: str, version: str, uvloop: bool) -> _Parser:
    parser = _Parser(
        prog=program,
        allow_abbrev=False,
        description="Serves an HTTP application that knows what its slow clients have got.",
    )
    parser.add_argument(
        "app", metavar="APP",
        help="path.lua, path.py:name, package.module:name, or a directory whose files are served",
    )  # fmt: skip
    parser.option(
        parser, "--listen", metavar="ADDR:PORT", action="append",
        help="where to listen; repeatable; port 0 picks one; wins over the application's own",
    )  # fmt: skip
    parser.option(
        parser, "--certfile", metavar="FILE",
        help="serve TLS with this certificate wherever --listen doesn't say http://; SIGHUP reloads it",
    )  # fmt: skip
    parser.option(parser, "--keyfile", metavar="FILE", help="its private key (default: in the same file)")
    if uvloop:
        parser.option(
            parser, "--uvloop", action=argparse.BooleanOptionalAction, default=None,
            help="run on uvloop (default: if it is installed)",
        )  # fmt: skip
    parser.option(parser, "--lua", metavar="RUNTIME", help="luajit21 or lua54, for an APP in Lua")
    parser.option(
        parser,
        "--version",
        action="version",
        version=f"httpng {version} ({'compiled' if COMPILED else 'pure'})",
    )
    _add_settings(parser)
    return parser


def _add_settings(parser: _Parser) -> None:
    group = parser.add_argument_group("settings, which win over the application's own")
    for setting in fields(Settings):
        names = [_option(setting.name)]
        if setting.name in _ALIASES:
            names.append(f"--{setting.name.replace('_', '-')}")
        told = f"default: {str(setting.default).lower()}"
        if isinstance(setting.default, bool):
            parser.option(group, *names, action=argparse.BooleanOptionalAction, default=None, help=told)
        else:
            parser.option(group, *names, metavar="VALUE", dest=setting.name, help=told)


def _option(setting: str) -> str:
    return _ALIASES.get(setting, f"--{setting.replace('_', '-')}")


def _settings(options: argparse.Namespace) -> dict[str, object]:
    named = {setting.name: getattr(options, setting.name) for setting in fields(Settings)}
    given = {name: value for name, value in named.items() if value is not None}
    for name, value in given.items():
        try:
            parse_settings({name: value})
        except ConfigError as error:
            raise ConfigError(f"{_option(name)} {value}: {error}") from error
    return given


def _listen(options: argparse.Namespace) -> tuple[ListenAddress, ...] | None:
    """Return where to listen by the command line, `None` if it doesn't say."""
    values: list[str] | None = options.listen
    tls = _tls(options.certfile, options.keyfile)
    if values is None:
        return None if tls is None else tuple(replace(one, tls=tls) for one in PYTHON_DEFAULT_LISTEN)
    for value in values:
        if tls is None and re.match("https(://|$)", value, re.IGNORECASE):
            raise ConfigError(
                f"--listen {value}: TLS needs --certfile FILE, and --keyfile FILE if the key is apart"
            )
        try:
            parse_listen(value, default=(), tls=tls)
        except ConfigError as error:
            raise ConfigError(f"--listen {value}: {error}") from error
    addresses = parse_listen(values, default=(), tls=tls)
    if tls is not None and all(address.tls is None for address in addresses):
        raise ConfigError("--certfile: every --listen is plain text")
    return addresses


def _tls(certificate: str | None, key: str | None) -> TlsFiles | None:
    if certificate is None:
        if key is not None:
            raise ConfigError("--keyfile needs --certfile")
        return None
    return TlsFiles((CertificateFiles(certificate, key or certificate),))


__all__ = ["Application", "announce", "main"]
