"""Who may know what: the rules of the design, held by reading every module as a syntax tree."""

import ast
import importlib
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGES = Path(__file__).parent.parent / "packages"

# The floors of a package: folders, or modules beside them. One imports only from floors left of its own.
_FLOORS = {
    "httpng_core": (
        "errors timers units compiled config http sending feeds websocket wire http2 http1 tls connection app"
        " languages testing"
    ),
    "httpng_driver": "reactor handlers loop threads serving workers command",
}
FLOORS = {top: ["_version", *floors.split()] for top, floors in _FLOORS.items()}

Edge = tuple[str, str]


def _edges(text: str, top: str = "") -> set[Edge]:
    """A line `a: b c` is a importing b and c, in the words that follow the package's name."""
    pairs = [line.strip().split(": ") for line in text.strip().splitlines()]
    return {(here, f"{top}{there}") for here, others in pairs for there in others.split()}


# What is wrong today. A line that is no longer true has to go.
UPWARDS: dict[str, set[Edge]] = {
    "httpng_core": _edges("config.sites: http.response"),
    "httpng_driver": set(),
}
FAR_FROM_HOME: set[tuple[str, str]] = set()
# For types alone: two modules that know each other.
IN_CIRCLES: dict[str, set[Edge]] = {
    "httpng_core": _edges(
        """
        app.served: app.runner
        feeds.broadcast: feeds.follower
        feeds.follower: feeds.feed
        http2.stream: http2.intake
        sending.transport: sending.outgoing
        """
    ),
    "httpng_lua": set(),
    "httpng_driver": set(),
}
NOT_IN_CORE = {"anyio", "asyncio", "select", "selectors", "socket", "threading", "time", "trio", "uvloop"}
BACKENDS = {"httpng_asyncio", "httpng_trio"}
NOT_IN = {
    "httpng_core": NOT_IN_CORE | BACKENDS | {"httpng_driver", "httpng_lua"},
    "httpng_lua": NOT_IN_CORE | BACKENDS | {"httpng_driver"},
    "httpng_driver": BACKENDS | {"asyncio", "trio", "uvloop"},
    "httpng_asyncio": {"trio", "httpng_trio"},
    "httpng_trio": {"asyncio", "uvloop", "httpng_asyncio"},
    "httpng": {"asyncio", "trio", "uvloop"},
}
WITHOUT_ASYNC = {"httpng_core", "httpng_lua"}
# The one part of core with sockets, a clock and handlers of all forms: tests for drivers, that are a client.
# Nothing else of core imports it, so core doesn't need pytest.
CONFORMANCE = "httpng_core.testing.conformance"
FOR_CONFORMANCE = {"select", "socket", "threading", "time"}
# The one home of a library. `testing` has h11 and h2 as well, in the role of the client.
HOMES: dict[str, tuple[str, ...]] = {
    "h11": ("httpng_core.http1.reference", "httpng_core.testing"),
    "h2": ("httpng_core.http2", "httpng_core.testing"),
    "hpack": ("httpng_core.http2", "httpng_core.testing"),
    "hyperframe": ("httpng_core.http2", "httpng_core.testing"),
    "httptools": ("httpng_core.http1",),
    "wsproto": ("httpng_core.websocket",),
    "ssl": ("httpng_core.tls",),
    "cryptography": ("httpng_core.tls",),
    "lupa": ("httpng_lua",),
    "a2wsgi": ("httpng_driver.handlers.asgi",),
    "opentelemetry": ("httpng_driver.loop.telemetry",),
    "prometheus_client": ("httpng_driver.serving.metrics",),
    "redis": ("httpng.feeds.redis",),
    "nats": ("httpng.feeds.nats", "httpng.feeds.nats_client"),
    "pytest": (CONFORMANCE,),
}
# Where other packages enter: by the names that stand in `__all__` there. testing is for tests, languages for
# packages with handlers in another language.
DOORS = ("httpng_core", "httpng_core.languages", "httpng_core.testing", "httpng_lua")
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


# Rules of one module ------------------------------------------------------------------------------------


def complaints(module: Module, public: dict[str, set[str]]) -> list[str]:
    """What `module` does and may not do; `public` are the names of each door."""
    return [
        *_wrong_packages(module),
        *_async_code(module),
        *(f"{module.name} imports {there}" for there in side_doors(module, public)),
    ]


def _wrong_packages(module: Module) -> Iterator[str]:
    not_in = NOT_IN[module.top] - (FOR_CONFORMANCE if module.is_in(CONFORMANCE) else set())
    for one in imports(module):
        known = (module.name, one.top) in FAR_FROM_HOME
        if one.top in not_in or (not known and is_far_from_home(module, one)):
            yield f"{module.name} imports {one.origin}"


def is_far_from_home(module: Module, one: Import) -> bool:
    """Whether a library is imported that has its home elsewhere."""
    return one.top in HOMES and not any(module.is_in(home) for home in HOMES[one.top])


def _async_code(module: Module) -> Iterator[str]:
    if module.top not in WITHOUT_ASYNC or module.is_in(CONFORMANCE):
        return
    for node in ast.walk(ast.parse(module.source)):
        if isinstance(node, ASYNC) or (isinstance(node, ast.comprehension) and node.is_async):
            yield f"{module.name} has async code: {ast.unparse(node).splitlines()[0]}"


def side_doors(module: Module, public: dict[str, set[str]]) -> Iterator[str]:
    """What `module` takes from another package that isn't public there; of a whole module, its name."""
    others = {door.split(".")[0] for door in DOORS} - {module.top} - NOT_IN[module.top]
    for one in (one for one in imports(module) if one.top in others):
        if one.origin not in DOORS:
            yield one.origin
        elif one.name is not None and one.name not in public[one.origin]:
            yield ".".join(one.path)
    doors = {door for door in public if door.split(".")[0] in others}
    for node in ast.walk(ast.parse(module.source)):
        if not isinstance(node, ast.Attribute) or (door := ast.unparse(node.value)) not in doors:
            continue
        if node.attr not in public[door]:
            yield f"{door}.{node.attr}"


# Rules of a package -------------------------------------------------------------------------------------


def edges_within(modules: list[Module], top: str) -> set[Edge]:
    """Which module of a package imports which, the package's own front apart; names begin below it."""
    names = {module.name for module in modules}
    found = set()
    for module in (module for module in modules if module.top == top and module.name != top):
        for one in (one for one in imports(module) if one.top == top):
            path = ".".join(one.path)
            there = path if path in names else one.origin
            found.add((module.name.removeprefix(f"{top}."), there.removeprefix(f"{top}.")))
    return found


def upwards(edges: set[Edge], floors: list[str]) -> set[Edge]:
    """The imports that don't go down, between floors."""
    return {(here, there) for here, there in edges if not _is_down(_floor(here), _floor(there), floors)}


def _floor(name: str) -> str:
    return name.split(".")[0]


def _is_down(here: str, there: str, floors: list[str]) -> bool:
    return here == there or (there in floors and floors.index(there) < floors.index(here))


def circle(edges: set[Edge]) -> list[str]:
    """Modules that import each other in a circle; none if there is no circle."""
    graph: dict[str, set[str]] = {}
    for here, there in edges:
        graph.setdefault(here, set()).add(there)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


# The packages as they are -------------------------------------------------------------------------------


def read_modules() -> list[Module]:
    found = []
    for path in sorted(PACKAGES.glob("*/src/**/*.py")):
        parts = path.relative_to(PACKAGES).with_suffix("").parts[2:]
        is_package = parts[-1] == "__init__"
        found.append(Module(".".join(parts[:-1] if is_package else parts), path.read_text(), is_package))
    return found


def exported(modules: list[Module], name: str) -> set[str]:
    """The names in the literal `__all__` of a module.

    Raises:
        LookupError: it has none.
    """
    (source,) = (module.source for module in modules if module.name == name)
    for node in ast.parse(source).body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if isinstance(node, ast.Assign | ast.AnnAssign) and target and ast.unparse(target) == "__all__":
            assert node.value is not None
            return set(ast.literal_eval(node.value))
    raise LookupError(f"{name} has no __all__")


MODULES = read_modules()
PUBLIC = {door: exported(MODULES, door) for door in DOORS}
PUBLIC["httpng_core"].add("testing")


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_every_module_keeps_to_the_rules(module: Module) -> None:
    assert complaints(module, PUBLIC) == []


def test_what_is_listed_as_far_from_home_is() -> None:
    away = {
        (module.name, one.top)
        for module in MODULES
        for one in imports(module)
        if is_far_from_home(module, one)
    }
    assert away == FAR_FROM_HOME


def test_nothing_needs_the_tests_for_drivers() -> None:
    others = [module for module in MODULES if not module.is_in(CONFORMANCE)]
    found = [module.name for module in others for one in imports(module) if CONFORMANCE in ".".join(one.path)]
    assert found == []


def test_the_tests_for_drivers_have_what_they_alone_may() -> None:
    found = {one.top for module in MODULES if module.is_in(CONFORMANCE) for one in imports(module)}
    assert found >= FOR_CONFORMANCE


@pytest.mark.parametrize("top", FLOORS)
def test_the_floors_are_the_folders(top: str) -> None:
    below = {module.name.split(".")[1] for module in MODULES if module.top == top and module.name != top}
    assert below == set(FLOORS[top])


@pytest.mark.parametrize("top", FLOORS)
def test_imports_go_down(top: str) -> None:
    assert upwards(edges_within(MODULES, top), FLOORS[top]) == UPWARDS[top]


@pytest.mark.parametrize("top", IN_CIRCLES)
def test_no_modules_import_each_other_in_a_circle(top: str) -> None:
    edges = edges_within(MODULES, top)
    assert IN_CIRCLES[top] <= edges
    assert circle(edges - IN_CIRCLES[top]) == []


@pytest.mark.parametrize("top", IN_CIRCLES)
def test_what_is_listed_as_a_circle_is_one(top: str) -> None:
    kept = edges_within(MODULES, top) - IN_CIRCLES[top]
    assert [edge for edge in IN_CIRCLES[top] if not circle(kept | {edge})] == []


@pytest.mark.parametrize("folder", [module.name for module in MODULES if module.is_package])
def test_every_folder_has_its_public_names(folder: str) -> None:
    found = importlib.import_module(folder)
    assert [name for name in exported(MODULES, folder) if not hasattr(found, name)] == []


# Sizes ------------------------------------------------------------------------------------------------

MOST_LINES = 400
MOST_PROTOCOL_CLASSES = 8
"""Interfaces: one implementer needs none; what several have in common is a class that they derive from."""
PUBLIC_NAMES_OF_CONNECTION = 25
"""Verbs and questions; what is only to be looked at is in `statistics()`."""


def test_no_file_is_long() -> None:
    lengths = {module.name: len(module.source.splitlines()) for module in MODULES}
    found = {name: length for name, length in lengths.items() if length > MOST_LINES}
    assert found == {}


def test_there_are_few_interfaces() -> None:
    found = [
        f"{module.name}.{node.name}"
        for module in MODULES
        for node in ast.walk(ast.parse(module.source))
        if isinstance(node, ast.ClassDef)
        and any(ast.unparse(base).partition("[")[0] == "Protocol" for base in node.bases)
        # What is named so in the tests for drivers is an enum.
        if not module.is_in(CONFORMANCE)
    ]
    assert len(found) <= MOST_PROTOCOL_CLASSES, found


def test_a_connection_has_few_verbs() -> None:
    (source,) = (module.source for module in MODULES if module.name == "httpng_core.connection")
    (body,) = (
        node.body
        for node in ast.parse(source).body
        if isinstance(node, ast.ClassDef) and node.name == "Connection"
    )
    names = {node.name for node in body if isinstance(node, ast.FunctionDef) and node.name[0] != "_"}
    assert len(names) <= PUBLIC_NAMES_OF_CONNECTION, sorted(names)


OFFENCES = [
    ("httpng_core.sending.positions", "import asyncio"),
    ("httpng_core.sending.positions", "import time as clock"),
    ("httpng_core.sending.positions", "from socket import socket"),
    ("httpng_core.sending.positions", "def late():\n    import select"),
    ("httpng_core.sending.positions", "importlib.import_module('trio.lowlevel')"),
    ("httpng_core.sending.positions", "__import__('threading')"),
    ("httpng_core.sending.positions", "import httpng_driver"),
    ("httpng_core.sending.positions", "async def write(): pass"),
    ("httpng_core.sending.positions", "values = (x async for x in y)"),
    ("httpng_core.sending.positions", "import h11"),
    ("httpng_core.http1.protocol", "import h11"),
    ("httpng_core.testing.loopback", "import socket"),
    ("httpng_core.testing.loopback", "import pytest"),
    ("httpng_core.testing.conformance.client", "import asyncio"),
    ("httpng_core.http1.protocol", "import ssl"),
    ("httpng_core.http1.upgrade", "import h2.events"),
    ("httpng_core.connection", "from h2.connection import H2Connection"),
    ("httpng_core.app.handlers", "from httpng_lua import LuaApplication"),
    ("httpng_core.app.handlers", "import lupa"),
    ("httpng_lua.runtime", "import threading"),
    ("httpng_lua.runtime", "import httpng_driver"),
    ("httpng_lua.runtime", "async def step(): pass"),
    ("httpng_lua.runtime", "from httpng_core.sending.exchange import Exchange"),
    ("httpng_lua.runtime", "from httpng_core.app import RouteTable"),
    ("httpng_driver.loop.pump", "import asyncio"),
    ("httpng_driver.loop.pump", "from trio.lowlevel import wait_readable"),
    ("httpng_driver.loop.pump", "import ssl"),
    ("httpng_driver.loop.pump", "from httpng_core.sending.positions import SendWindow"),
    ("httpng_driver.loop.pump", "from httpng_core.sending import SendWindow"),
    ("httpng_driver.loop.pump", "from httpng_core import _secret"),
    ("httpng_driver.loop.pump", "from httpng_core import timers"),
    ("httpng_driver.loop.pump", "import httpng_core\nhttpng_core.timers.Timers"),
    ("httpng_driver.loop.pump", "from httpng_lua import _runtime"),
    ("httpng_driver.loop.pump", "from httpng_lua.fibers import Fibers"),
    ("httpng_asyncio.reactor", "import trio"),
    ("httpng_trio.reactor", "import asyncio"),
    ("httpng_trio.reactor", "import uvloop"),
    ("httpng_trio.reactor", "from httpng_core.timers import Timers"),
    ("httpng_core.feeds.feed", "import redis"),
    ("httpng_driver.handlers.feed", "from nats.js import api"),
    ("httpng.feeds.broker", "import redis.asyncio"),
]
PERMITTED = [
    ("httpng_core.wire.log", "import heapq"),
    ("httpng_core.http1.reference", "import h11"),
    ("httpng_core.testing.http1_client", "import h11"),
    ("httpng_core.testing.conformance.client", "import pytest, socket, time\nasync def handler(): pass"),
    ("httpng_core.tls", "import ssl"),
    ("httpng_lua.runtime", "import_module(f'lupa.{name}')\nimport lupa\nfrom httpng_core import Connection"),
    ("httpng_lua.routers", "from httpng_core.languages import RouteTable"),
    (
        "httpng_driver.loop.pump",
        "import anyio, socket, select\nfrom httpng_core import Connection, __version__",
    ),
    ("httpng_driver.loop.pump", "from httpng_lua import LuaApplication\nasync def pump(): pass"),
    ("httpng_asyncio.reactor", "import asyncio, uvloop, httpng_driver"),
    ("httpng_trio.reactor", "import trio\nfrom httpng_driver import serve"),
    ("httpng.feeds.redis", "from redis.asyncio import Redis\nimport anyio"),
    ("httpng.feeds.nats", "import nats"),
]


@pytest.mark.parametrize(("name", "source"), OFFENCES)
def test_an_offence_is_seen(name: str, source: str) -> None:
    assert len(complaints(Module(name, source), PUBLIC)) == 1


@pytest.mark.parametrize(("name", "source"), PERMITTED)
def test_what_is_permitted_passes(name: str, source: str) -> None:
    assert complaints(Module(name, source), PUBLIC) == []


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("from httpng_core.http.request import Request", set()),
        ("from httpng_core.http import request", set()),
        ("from ..http.request import Request", set()),
        ("from .states import State", set()),
        ("from httpng_core.errors import ConfigError", set()),
        ("from httpng_core.wire.log import WireLog", {("sending.exchange", "wire.log")}),
        ("from ..wire import log", {("sending.exchange", "wire.log")}),
        ("from httpng_core.wire import Span", {("sending.exchange", "wire")}),
        ("from httpng_core import Exchange", {("sending.exchange", "httpng_core")}),
        ("if TYPE_CHECKING:\n    from httpng_core.app.io import BaseIO", {("sending.exchange", "app.io")}),
    ],
)
def test_imports_that_go_up_are_seen(source: str, expected: set[Edge]) -> None:
    others = [Module(f"httpng_core.{name}", "") for name in ("http.request", "wire.log")]
    edges = edges_within([*others, Module("httpng_core.sending.exchange", source)], "httpng_core")
    assert upwards(edges, FLOORS["httpng_core"]) == expected


def test_a_circle_is_seen() -> None:
    assert circle({("a", "b"), ("b", "c")}) == []
    assert sorted(set(circle({("a", "b"), ("b", "c"), ("c", "a"), ("c", "d")}))) == ["a", "b", "c"]


# What is compiled -------------------------------------------------------------------------------------

COMPILED = ("httpng-core", "httpng-driver", "httpng-lua")


def compiled_modules() -> set[str]:
    """Those that the packages list for their `hatch_build.py`: names by folder."""
    found = set()
    for package in COMPILED:
        project = tomllib.loads((PACKAGES / package / "pyproject.toml").read_text())
        hook = project["tool"]["hatch"]["build"]["hooks"]["custom"]
        for folder, names in hook["modules"].items():
            within = ".".join([package.replace("-", "_"), *folder.split("/")]).strip(".")
            found |= {f"{within}.{name}".removesuffix(".__init__") for name in names.split()}
    return found


def bases_of(module: Module) -> Iterator[tuple[str, str]]:
    """Each base that a class of the module takes from another one of ours, and where that is."""
    ours = {package.replace("-", "_") for package in COMPILED}
    origins = {one.name: one.origin for one in imports(module) if one.top in ours and one.name}
    for node in ast.walk(ast.parse(module.source)):
        for base in node.bases if isinstance(node, ast.ClassDef) else ():
            if (name := ast.unparse(base).partition("[")[0]) in origins:
                yield name, origins[name]


def test_what_is_compiled_is_there() -> None:
    assert compiled_modules() <= {module.name for module in MODULES}


def test_mypy_tells_of_compiled_code_that_is_unreachable() -> None:
    """Else it is left out, as the check of a value that users give, whatever its annotation says."""
    overrides = tomllib.loads((PACKAGES.parent / "pyproject.toml").read_text())["tool"]["mypy"]["overrides"]
    (checked,) = (one["module"] for one in overrides if one.get("warn_unreachable"))
    # A package's own module is checked with what is in it.
    found = [
        name
        for name in compiled_modules()
        if not any(fnmatch(name, p) or fnmatch(f"{name}.", p) for p in checked)
    ]
    assert found == []


def test_all_are_compiled_the_same_way() -> None:
    assert len({(PACKAGES / package / "hatch_build.py").read_text() for package in COMPILED}) == 1


def test_what_is_compiled_derives_from_what_is_compiled() -> None:
    """Else `make wheels` fails: mypyc looks in vain for what a class has from its base."""
    compiled = compiled_modules()
    found = [
        f"{module.name} needs {origin}.{name}"
        for module in MODULES
        if module.name in compiled
        for name, origin in bases_of(module)
        # Exceptions are Python's own kind either way.
        if origin not in {*compiled, "httpng_core.errors"}
    ]
    assert found == []
