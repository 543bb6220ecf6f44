"""What stands on the command line, by the names of the options."""

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, NoReturn

from httpng_core import COMPILED
from httpng_driver.command.options import ELSEWHERE, GROUPS, Option
from httpng_driver.handlers import turn

_DRIVER: Final = not turn.__file__.endswith(".py")
"""Whether the driver is compiled."""


def _build() -> str:
    """Return whether core, driver, and the handlers in Lua if they are installed, are compiled."""
    parts = [COMPILED, _DRIVER]
    # Looked for, not imported: that would need lupa.
    lua = find_spec("httpng_lua")
    if lua is not None and lua.origin is not None:
        files = Path(lua.origin).parent.glob("handler.*")
        parts.append(any(file.name.endswith(tuple(EXTENSION_SUFFIXES)) for file in files))
    return "compiled" if all(parts) else "compiled in part" if any(parts) else "pure"


@dataclass(frozen=True, slots=True)
class Given:
    """A value of an option, and who gave it.

    Attributes:
        value: as it was written; of a flag a boolean, of what may come several times a list.
        source: who gave it: "--threads", "HTTPNG_THREADS" or "httpng.toml".
        told: the same with the value, for messages.
    """

    value: Any
    source: str
    told: str

    def told_of(self, one: object) -> str:
        """Return `told` for one of several values."""
        return f"{self.source} {one}" if self.source.startswith("-") else self.told


class Parser(argparse.ArgumentParser):
    """Reads a command line, and tells a mistake in one line."""

    def __init__(self, program: str, version: str, options: Sequence[Option]) -> None:
        """Know these options, beside `--help` and `--version`."""
        super().__init__(
            prog=program,
            usage=f"{program} [options] APP",
            allow_abbrev=False,
            formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=34, width=110),
            description="Serves an HTTP application that knows what its slow clients have got.",
        )
        self._known = ["-h", "--help", "--version"]
        self.add_argument(
            "app", metavar="APP", nargs="?",
            help="module:name, path.py:name, path.lua, or a directory whose files are served",
        )  # fmt: skip
        self.add_argument("--version", action="version", version=f"httpng {version} ({_build()})")
        for title in GROUPS:
            group = self.add_argument_group(title)
            for option in options:
                if option.group == title:
                    self._add(group, option)

    def read(self, argv: Sequence[str]) -> tuple[str | None, dict[str, Given]]:
        """Return what is to be served, and what is given by the keys of the options. Exits for a mistake."""
        self._refuse_unknown(argv)
        named = vars(self.parse_args(argv))
        app: str | None = named.pop("app")
        return app, {key: given for key, given in named.items() if given is not None}

    def error(self, message: str) -> NoReturn:
        """Exit with a message."""
        self.exit(2, f"httpng: {message} (see --help)\n")

    def _add(self, group: Any, option: Option) -> None:
        names, keywords = list(option.names), dict[str, Any]()
        if option.kind == "switch":
            keywords = {"nargs": 0}
        elif option.kind == "flag":
            names += [f"--no-{name.removeprefix('--')}" for name in names]
            keywords = {"nargs": 0}
        else:
            keywords = {"metavar": option.metavar, "const": option.kind == "list"}
        # A percent sign would begin a conversion.
        told = option.help.replace("%", "%%")
        action = group.add_argument(*names, dest=option.key, action=_Keep, help=told, **keywords)
        self._known += action.option_strings

    def _refuse_unknown(self, argv: Sequence[str]) -> None:
        """Exit if there is an option that isn't known: else its value might be taken for the application."""
        for one in argv:
            name = one.partition("=")[0]
            if one == "--":
                return
            if re.fullmatch(r"--?[a-zA-Z][\w-]*", name) and name not in self._known:
                nearest = _nearest(name, self._known)
                told = "" if nearest is None else f"; the nearest known one is {nearest}"
                self.error(f"unrecognized arguments: {name}{told}")


class _Keep(argparse.Action):
    """Keeps a value with the name by which it was given; of what comes several times, all of them."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        name: str | None = None,
    ) -> None:
        """Keep it."""
        source = name or ""
        before: Given | None = getattr(namespace, self.dest)
        if self.nargs == 0:
            given = Given(not source.startswith("--no-"), source, source)
        else:
            given = Given(values, source, f"{source} {values}")
        if self.const:
            given = Given([*(before.value if before else []), values], source, given.told)
        setattr(namespace, self.dest, given)


def _nearest(name: str, known: Sequence[str]) -> str | None:
    # A value may stand right behind the letter of a short one.
    word = name[2:] if name.startswith("--") else name[1]
    named = [option for option, words in ELSEWHERE.items() if word.lower() in words]
    return next(iter(named or get_close_matches(name.lower(), known, n=1)), None)
