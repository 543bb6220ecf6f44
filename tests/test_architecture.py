"""Who may know what: the rules of the design, held by reading every module as a syntax tree."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PACKAGES = Path(__file__).parent.parent / "packages"

# A module of core imports only from lines above its own, and on its own line only from its left.
# The modules of a package (a name with .*) are one place, and may import one another.
CORE = """
_version errors results
window timers wire body path
backlog sweep
pending states files
request response date content_types conditions address rules config listen router sites
configuration control lifecycle
arguments send_queue waits writers stalls exchange events
scheduler follower branch feed
http2.* protocols.*
connection
tls.*
io runner handlers static dispatch routing application
lua.*
scripted_path scripted_server stepping testing
"""
PLACES = {name.removesuffix(".*"): place for place, name in enumerate(CORE.split())}

NOT_IN_CORE = {"anyio", "asyncio", "select", "selectors", "socket", "threading", "time", "trio", "uvloop"}
PROTOCOLS = ("h11", "h2", "hpack", "httptools", "hyperframe", "wsproto")
ONE_PLACE = dict.fromkeys(PROTOCOLS, "httpng_core.protocols")
ONE_PLACE |= {"lupa": "httpng_core.lua", "ssl": "httpng_core.tls", "cryptography": "httpng_core.tls"}
NOT_IN = {
    "httpng_core": NOT_IN_CORE | {"httpng_driver", "httpng_asyncio", "httpng_trio"},
    "httpng_driver": {"asyncio", "trio", "uvloop", "httpng_asyncio", "httpng_trio"},
    "httpng_asyncio": {"trio", "httpng_trio"},
    "httpng_trio": {"asyncio", "uvloop", "httpng_asyncio"},
}
# The doors of core: its flat names, and two packages of their own. lua needs an extra, testing is for tests.
DOORS = {"httpng_core", "httpng_core.lua", "httpng_core.testing"}
ASYNC = ast.AsyncFunctionDef | ast.AsyncFor | ast.AsyncWith | ast.Await


@dataclass(frozen=True)
class Module:
    """One file: its dotted name, whether it is an `__init__`, and its text."""

    name: str
    source: str
    is_package: bool = False

    @property
    def top(self) -> str:
        return self.name.split(".")[0]

    def is_in(self, place: str) -> bool:
        return f"{self.name}.".startswith(f"{place}.")


@dataclass(frozen=True)
class Import:
    """`from origin import name`, or `import origin` where name is None; relative origins made absolute."""

    origin: str
    name: str | None
    types_only: bool

    @property
    def top(self) -> str:
        return self.origin.split(".")[0]

    @property
    def path(self) -> list[str]:
        return [*self.origin.split("."), *([self.name] if self.name else [])]


def imports(module: Module) -> Iterator[Import]:
    tree = ast.parse(module.source)
    guarded = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for statement in node.body
        for inner in ast.walk(statement)
    }
    for node in ast.walk(tree):
        for origin, name in _targets(node, module):
            yield Import(origin, name, id(node) in guarded)


def _targets(node: ast.AST, module: Module) -> list[tuple[str, str | None]]:
    if isinstance(node, ast.Import):
        return [(alias.name, None) for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [(_absolute(node, module), alias.name) for alias in node.names]
    if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
        return [
            (arg.value, None)
            for arg in node.args[:1]
            if isinstance(arg, ast.Constant) and isinstance(arg.value, str)
        ]
    return []


def _absolute(node: ast.ImportFrom, module: Module) -> str:
    if not node.level:
        return node.module or ""
    parts = module.name.split(".")
    base = parts[: len(parts) - node.level + module.is_package]
    return ".".join([*base, *([node.module] if node.module else [])])


def complaints(module: Module, public: set[str]) -> list[str]:
    """What `module` does and may not do; `public` is what `httpng_core` exports."""
    if module.top != "httpng_core":
        return [*_wrong_packages(module), *_side_doors(module, public)]
    return [*_wrong_packages(module), *_async_code(module), *_wrong_order(module)]


def _wrong_packages(module: Module) -> Iterator[str]:
    for one in imports(module):
        place = ONE_PLACE.get(one.top)
        if one.top in NOT_IN[module.top] or (place is not None and not module.is_in(place)):
            yield f"{module.name} imports {one.origin}"


def _async_code(module: Module) -> Iterator[str]:
    for node in ast.walk(ast.parse(module.source)):
        if isinstance(node, ASYNC) or (isinstance(node, ast.comprehension) and node.is_async):
            yield f"{module.name} has async code: {ast.unparse(node).splitlines()[0]}"


def _wrong_order(module: Module) -> Iterator[str]:
    if module.name == "httpng_core":
        return
    here = module.name.split(".")[1]
    if here not in PLACES:
        yield f"{module.name} has no place in the tree"
        return
    in_package = module.is_package or module.name.count(".") > 1
    for one in (one for one in imports(module) if one.top == "httpng_core"):
        there = one.path[1] if len(one.path) > 1 else "(the front door)"
        above = PLACES.get(there, len(PLACES)) < PLACES[here] or (in_package and here == there)
        if not above:
            yield f"{module.name} imports {'.'.join(one.path)}"


def _side_doors(module: Module, public: set[str]) -> Iterator[str]:
    for one in (one for one in imports(module) if one.top == "httpng_core"):
        name = one.name or "testing"
        known = name in public if one.origin == "httpng_core" else not name.startswith("_")
        if one.origin not in DOORS or not known:
            yield f"{module.name} imports {'.'.join(one.path)}, which is not public"
    for node in ast.walk(ast.parse(module.source)):
        if not isinstance(node, ast.Attribute) or ast.unparse(node.value) != "httpng_core":
            continue
        if node.attr not in public:
            yield f"{module.name} uses httpng_core.{node.attr}, which is not public"


def read_modules() -> list[Module]:
    found = []
    for path in sorted(PACKAGES.glob("*/src/**/*.py")):
        parts = path.relative_to(PACKAGES).with_suffix("").parts[2:]
        is_package = parts[-1] == "__init__"
        found.append(Module(".".join(parts[:-1] if is_package else parts), path.read_text(), is_package))
    return found


def exported(modules: list[Module]) -> set[str]:
    """The names in the literal `__all__` of `httpng_core`, and its doors."""
    front = "".join(module.source for module in modules if module.name == "httpng_core")
    lists = [
        ast.literal_eval(node.value)
        for node in ast.parse(front).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    ]
    return {"__version__", "lua", "testing"}.union(*lists)


MODULES = read_modules()


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_every_module_keeps_to_the_rules(module: Module) -> None:
    assert complaints(module, exported(MODULES)) == []


OFFENCES = [
    ("httpng_core.window", "import asyncio"),
    ("httpng_core.window", "import time as clock"),
    ("httpng_core.window", "from socket import socket"),
    ("httpng_core.window", "def late():\n    import select"),
    ("httpng_core.window", "importlib.import_module('trio.lowlevel')"),
    ("httpng_core.window", "__import__('threading')"),
    ("httpng_core.window", "import httpng_driver"),
    ("httpng_core.window", "async def write(): pass"),
    ("httpng_core.window", "values = (x async for x in y)"),
    ("httpng_core.window", "from httpng_core.timers import Timers"),
    ("httpng_core.window", "from httpng_core import timers"),
    ("httpng_core.window", "from . import timers"),
    ("httpng_core.window", "import httpng_core.window"),
    ("httpng_core.window", "from httpng_core import SendWindow"),
    ("httpng_core.window", "import h11"),
    ("httpng_core.protocols.http1", "import ssl"),
    ("httpng_core.protocols.http1", "from ..connection import Connection"),
    ("httpng_core.connection", "from h2.connection import H2Connection"),
    ("httpng_core.handlers", "from httpng_core.lua import runtime"),
    ("httpng_core.exchange", "from httpng_core.events import Event"),
    ("httpng_core.states", "if TYPE_CHECKING:\n    from httpng_core.exchange import Exchange"),
    ("httpng_core.utils", ""),
    ("httpng_driver.pump", "import asyncio"),
    ("httpng_driver.pump", "from trio.lowlevel import wait_readable"),
    ("httpng_driver.pump", "import ssl"),
    ("httpng_driver.pump", "from httpng_core.window import SendWindow"),
    ("httpng_driver.pump", "from httpng_core import _secret"),
    ("httpng_driver.pump", "from httpng_core import window"),
    ("httpng_driver.pump", "import httpng_core\nhttpng_core.window.SendWindow"),
    ("httpng_driver.pump", "from httpng_core.lua import _runtime"),
    ("httpng_asyncio.reactor", "import trio"),
    ("httpng_trio.reactor", "import asyncio"),
    ("httpng_trio.reactor", "import uvloop"),
    ("httpng_trio.reactor", "from httpng_core.timers import Timers"),
]
PERMITTED = [
    ("httpng_core.wire", "from .window import SendWindow\nimport heapq"),
    ("httpng_core.connection", "from httpng_core.protocols import http1"),
    ("httpng_core.protocols.http1", "import h11\nfrom . import http2\nfrom ..exchange import Exchange"),
    ("httpng_core.lua.runtime", "import_module(f'lupa.{name}')\nimport lupa\nfrom .fiber import Fiber"),
    ("httpng_core.tls", "import ssl"),
    ("httpng_core.events", "if TYPE_CHECKING:\n    from httpng_core.exchange import Exchange"),
    ("httpng_driver.pump", "import anyio, socket, select\nfrom httpng_core import Connection, __version__"),
    ("httpng_driver.pump", "from httpng_core.lua import LuaApplication\nasync def pump(): pass"),
    ("httpng_asyncio.reactor", "import asyncio, uvloop, httpng_driver"),
    ("httpng_trio.reactor", "import trio\nfrom httpng_driver import serve"),
]
PUBLIC = {"Connection", "__version__", "lua", "testing"}


@pytest.mark.parametrize(("name", "source"), OFFENCES)
def test_an_offence_is_seen(name: str, source: str) -> None:
    assert len(complaints(Module(name, source), PUBLIC)) == 1


@pytest.mark.parametrize(("name", "source"), PERMITTED)
def test_what_is_permitted_passes(name: str, source: str) -> None:
    assert complaints(Module(name, source), PUBLIC) == []


def test_relative_imports_of_a_package() -> None:
    source = "from .http1 import Http1\nfrom ..window import SendWindow"
    assert complaints(Module("httpng_core.protocols", source, is_package=True), PUBLIC) == []
    assert complaints(Module("httpng_core.protocols", "from ..tls import Tls", is_package=True), PUBLIC)


def test_the_front_door_may_name_everything() -> None:
    front = Module("httpng_core", "from .testing import Loopback\n__all__ = ['Loopback']", is_package=True)
    assert complaints(front, PUBLIC) == []
    assert exported([front]) == {"Loopback", "__version__", "lua", "testing"}
