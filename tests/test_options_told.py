"""Each option of a feed and of a follow has a row in the reference."""

import inspect
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from httpng_core import Feed
from httpng_driver import IO, WebSocket

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "docs/reference"
LUA = ROOT / "packages/httpng-lua/src/httpng_lua/lua"


def rows(page: str, heading: str) -> set[str]:
    """What the tables of a section begin their rows with; a line between two of them would be no row."""
    section = re.split(r"\n#+ ", (REFERENCE / page).read_text().split(f"\n{heading}\n")[1])[0]
    found = set()
    for table in re.findall(r"(?:\|.*\n)+", section):
        head, line, *body = table.splitlines()
        assert set(line) <= set("|- "), f"no head: {head}"
        found |= {match[1] for row in body if (match := re.match(r"\| `([a-z_]+)`", row))}
    return found


def options_of(call: Callable[..., Any]) -> set[str]:
    given = inspect.signature(call).parameters.values()
    return {each.name for each in given if each.kind is inspect.Parameter.KEYWORD_ONLY}


def options_of_lua(module: str, name: str) -> set[str]:
    (listed,) = re.findall(rf"local {name} =\s*{{(.*?)}}", (LUA / module).read_text(), re.DOTALL)
    return set(re.findall(r"'([a-z_]+)'", listed))


def test_of_a_feed_in_python() -> None:
    assert options_of(Feed.__init__) - {"clock", "lock"} == rows("python.md", "## Feeds")


@pytest.mark.parametrize(
    ("heading", "known"),
    [
        ("### Options of a feed", [options_of_lua("feed.lua", "FEED_NAMES")]),
        (
            "### Options of follow",
            [options_of_lua("feed.lua", "FOLLOW_NAMES"), options_of_lua("websocket.lua", "FOLLOW_NAMES")],
        ),
    ],
)
def test_in_lua(heading: str, known: Iterable[set[str]]) -> None:
    assert set[str]().union(*known) == rows("lua.md", heading)


def test_what_lua_has_is_what_python_has() -> None:
    assert options_of_lua("feed.lua", "FOLLOW_NAMES") == options_of(IO.follow)
    assert options_of_lua("websocket.lua", "FOLLOW_NAMES") == options_of(WebSocket.follow)
