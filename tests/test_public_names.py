"""Tests use public names: no private members, and of our packages what stands in an `__all__`.

Those are the names of a package and of its folders. So a part can be made anew without its tests; where they
have to look inside, there is a `statistics()`, which operators have as well.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from tests.test_architecture import MODULES, Module, exported, imports

TESTS = Path(__file__).parent
OURS = re.compile(r"httpng_\w+(\.\w+)*")
FOLDERS = {module.name: exported(MODULES, module.name) for module in MODULES if module.is_package}
FOLDERS["httpng_core.languages"] = exported(MODULES, "httpng_core.languages")
FOLDERS["httpng_core"] |= {"testing"}


@cache
def _parsed(source: str) -> ast.Module:
    return ast.parse(source)


def private_members(source: str) -> Iterator[str]:
    """The private attributes of others than `self` and `cls`."""
    for node in ast.walk(_parsed(source)):
        if isinstance(node, ast.Attribute) and re.match("_[^_]", node.attr):
            own = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
            if not own:
                yield node.attr


def private_imports(source: str) -> Iterator[str]:
    """The modules that are imported past public names, or such names; also what is replaced there."""
    found = [(one.origin, one.name) for one in imports(Module("tests", source))]
    for origin, name in [*found, *_replaced(source)]:
        if OURS.fullmatch(origin) and not _is_public(origin, name):
            past = f"{origin}.{name}" if origin in FOLDERS else origin
            yield past.removeprefix("httpng_")


def _replaced(source: str) -> Iterator[tuple[str, str | None]]:
    """What `monkeypatch.setattr("module.name", ...)` replaces."""
    for node in ast.walk(_parsed(source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("setattr", "delattr")):
            first = node.args[0] if node.args else None
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                origin, _, name = first.value.rpartition(".")
                yield origin, name


def _is_public(origin: str, name: str | None) -> bool:
    return origin in FOLDERS and (name is None or name in FOLDERS[origin])


def _found(of: Callable[[str], Iterator[str]]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for path in sorted(TESTS.rglob("*.py")):
        for name in of(path.read_text()):
            found[path.relative_to(TESTS).with_suffix("").as_posix()].add(name)
    return found


def test_no_private_members_are_used() -> None:
    assert _found(private_members) == {}


def test_no_private_names_are_imported() -> None:
    assert _found(private_imports) == {}


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("server._hub.pumps", ["_hub"]),
        ("self._server._hub", ["_hub"]),
        ("a._b._c", ["_c", "_b"]),
        ("self._mine, cls._ours, a.public, a.__doc__, Hub.__init__.__kwdefaults__", []),
    ],
)
def test_private_members_are_seen(source: str, found: list[str]) -> None:
    assert list(private_members(source)) == found


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("from httpng_core.feeds.feed import Feed", ["core.feeds.feed"]),
        ("from httpng_driver.loop import hub", ["driver.loop.hub"]),
        ("from httpng_lua import Script", ["lua.Script"]),
        ("import httpng_core.timers", ["core.timers"]),
        ("patch.setattr('httpng_driver.loop.hub.CAN_TELL', 0)", ["driver.loop.hub"]),
        ("from httpng_core import Feed, testing", []),
        ("from httpng_core.feeds import Follower", []),
        ("from httpng_core.languages import Later", []),
        ("import httpng_core, httpng_core.testing, socket.x", []),
        ("patch.setattr(socket, 'socket', 0)", []),
        ("patch.setattr('os.path.join', 0)", []),
    ],
)
def test_private_imports_are_seen(source: str, found: list[str]) -> None:
    assert list(private_imports(source)) == found
