"""Docstrings of Google's style as Markdown."""

import re
import textwrap
from collections.abc import Iterator

WIDTH = 110
"""Of the lines of all pages."""

_SECTION = re.compile(r"^(Args|Attributes|Raises|Returns):\n((?:(?: .*)?\n)*(?: .*)?)", re.MULTILINE)
_ITEM = re.compile(r"^([^\s:][^:\n]*): ((?:.*\n?)(?: .*\n?)*)", re.MULTILINE)


def prose(doc: str, types: dict[str, str] | None = None) -> list[str]:
    """Return a docstring as Markdown; `types` are those of the attributes that it tells."""
    lines = []
    at = 0
    for section in _SECTION.finditer(doc + "\n"):
        lines += [doc[at : section.start()].strip(), ""]
        lines += [*_section(section[1], textwrap.dedent(section[2]).strip(), types or {}), ""]
        at = section.end()
    return [*lines, doc[at:].strip(), ""]


def attributes(doc: str) -> dict[str, str]:
    """Return what a docstring tells of each attribute."""
    for section in _SECTION.finditer(doc + "\n"):
        if section[1] == "Attributes":
            return dict(_items(textwrap.dedent(section[2]).strip()))
    return {}


def filled(text: str, indent: str) -> str:
    """Return a paragraph in lines; all but the first are indented."""
    return textwrap.fill(
        text, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def _items(section: str) -> Iterator[tuple[str, str]]:
    for item in _ITEM.finditer(section):
        yield item[1], " ".join(item[2].split())


def _section(name: str, text: str, types: dict[str, str]) -> list[str]:
    if name == "Returns":
        return [filled(f"* **Returns** {' '.join(text.split())}", "  ")]
    bullets = []
    for title, told in _items(text):
        ticked = ", ".join(f"`{one}`" for one in title.split(", "))
        of_type = f" (`{types[title]}`)" if title in types else ""
        bullets.append(
            filled(f"* {'**Raises** ' if name == 'Raises' else ''}{ticked}{of_type}: {told}", "  ")
        )
    return bullets
