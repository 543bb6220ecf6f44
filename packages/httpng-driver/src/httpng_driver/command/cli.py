"""The command line that every backend has: `python -m httpng_BACKEND APP`."""

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import Any, NoReturn

from httpng_core import (
    PYTHON_DEFAULT_LISTEN,
    Application,
    CertificateFiles,
    ConfigError,
    ListenAddress,
    Settings,
    TlsFiles,
    parse_listen,
)
from httpng_driver.command.find_application import load
from httpng_driver.command.second_signal import SecondSignal

Run = Callable[..., None]

_ALIASES = {"default_send_window": "--send-window", "default_send_timeout": "--send-timeout"}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"httpng: {message} (see --help)\n")


def main(run: Run, program: str, version: str, argv: Sequence[str] | None, *, uvloop: bool = False) -> int:
    """Runs the command line; the exit status: 0 after a shutdown, 2 for what can't be started.

    Args:
        run: the backend's `run`.
        program: how the program is called, for the help.
        version: what `--version` prints.
        argv: the arguments, `None` for the program's own.
        uvloop: whether the backend has `--uvloop`.
    """
    options = _parser(program, version, uvloop).parse_args(argv)
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s", level=logging.INFO, stream=sys.stderr)
    try:
        # First, so that an address of the application's own is not even looked at.
        listen = _listen(options)
        with SecondSignal() as watch:
            # Where Lua loops for ever, nothing of Python's hears of Ctrl-C.
            watch.listen()
            application = load(options.app, _settings(options), options.lua, listen)
        run(application, listen=listen, **({"uvloop": options.uvloop} if uvloop else {}))
    except ConfigError as error:
        print(f"httpng: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        # A second SIGINT, after the server had ended and stopped listening to signals.
        pass
    return 0


def announce(urls: Sequence[str]) -> None:
    """Says where a server listens, a line each."""
    for url in urls:
        print(f"httpng: listening on {url}", file=sys.stderr, flush=True)


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
    parser.add_argument(
        "--listen", metavar="ADDR:PORT", action="append",
        help="where to listen; repeatable; port 0 picks one; wins over the application's own",
    )  # fmt: skip
    parser.add_argument(
        "--certfile", metavar="FILE",
        help="serve TLS with this certificate wherever --listen doesn't say http://; SIGHUP reloads it",
    )  # fmt: skip
    parser.add_argument("--keyfile", metavar="FILE", help="its private key (default: in the same file)")
    if uvloop:
        parser.add_argument(
            "--uvloop", action=argparse.BooleanOptionalAction, default=None,
            help="run on uvloop (default: if it is installed)",
        )  # fmt: skip
    parser.add_argument("--lua", metavar="RUNTIME", help="luajit21 or lua54, for an APP in Lua")
    parser.add_argument("--version", action="version", version=f"httpng {version}")
    _add_settings(parser.add_argument_group("settings, which win over the application's own"))
    return parser


def _add_settings(group: Any) -> None:
    for setting in fields(Settings):
        names = [f"--{setting.name.replace('_', '-')}"]
        if setting.name in _ALIASES:
            names.insert(0, _ALIASES[setting.name])
        told = f"default: {str(setting.default).lower()}"
        if isinstance(setting.default, bool):
            group.add_argument(*names, action=argparse.BooleanOptionalAction, default=None, help=told)
        else:
            group.add_argument(*names, metavar="VALUE", dest=setting.name, help=told)


def _settings(options: argparse.Namespace) -> dict[str, object]:
    named = {setting.name: getattr(options, setting.name) for setting in fields(Settings)}
    return {name: value for name, value in named.items() if value is not None}


def _listen(options: argparse.Namespace) -> tuple[ListenAddress, ...] | None:
    """Where to listen by the command line, `None` if it doesn't say."""
    values: list[str] | None = options.listen
    tls = _tls(options.certfile, options.keyfile)
    if values is None:
        return None if tls is None else tuple(replace(one, tls=tls) for one in PYTHON_DEFAULT_LISTEN)
    for value in values:
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
