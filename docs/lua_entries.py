"""Entries of the reference from the comments of our Lua files.

A comment that begins with three hyphens is an entry: on its first line the call as a user writes it (several
with commas between), then what it does. Paragraphs that begin with `Returns:`, `Raises:` or `Waits:` tell
what their names say. A function's entry must have the first of these; one without the last doesn't wait.
"""

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

from httpng_lua.runtime import PARTS

LUA = Path("packages/httpng-lua/src/httpng_lua")

_ENTRY = re.compile(r"^--- (.+)\n((?:--(?: .*)?\n)*)", re.MULTILINE)
_NAME = re.compile(r"([A-Za-z_.:]+)(?=\(|, |$)")
_FIELD = re.compile(r"^(Returns|Raises|Waits): ", re.MULTILINE)


@dataclass(frozen=True)
class LuaEntry:
    """One comment.

    Attributes:
        calls: its first line.
        text: the rest.
    """

    calls: str
    text: str

    @property
    def names(self) -> list[str]:
        """What it is about, with a dot for a colon: `io.write`."""
        return [name.replace(":", ".") for name in _NAME.findall(re.sub(r"\([^)]*\)", "()", self.calls))]

    @property
    def is_call(self) -> bool:
        """Whether it is about a function."""
        return "(" in self.calls

    @property
    def section(self) -> str:
        """The module or object that it belongs to."""
        return self.names[0].rpartition(".")[0]

    def markdown(self, level: int) -> str:
        """Return the entry as it stands on a page."""
        title = "#" * level + f" `{self.calls}`"
        if not self.is_call:
            return f"{title}\n\n{self.text}\n"
        body, *fields = _FIELD.split(self.text)
        told = dict(zip(fields[::2], fields[1::2], strict=True))
        if "Returns" not in told:
            raise LookupError(f"the comment of {self.calls} doesn't tell what it returns")
        told.setdefault("Waits", "never.")
        bullets = [
            _bullet(f"**{name}** {told[name].strip()}")
            for name in ("Returns", "Raises", "Waits")
            if name in told
        ]
        return "\n\n".join([title, *([body.strip()] if body.strip() else []), "\n".join(bullets)]) + "\n"


def _bullet(text: str) -> str:
    return "* " + textwrap.indent(text, "  ").lstrip()


def read_entries(root: Path) -> list[LuaEntry]:
    """All entries, in the order in which the files run."""
    found = []
    for part in PARTS:
        for calls, comment in _ENTRY.findall((root / LUA / part).read_text()):
            lines = [line.removeprefix("--").removeprefix(" ") for line in comment.splitlines()]
            found.append(LuaEntry(calls, "\n".join(lines).strip()))
    return found
