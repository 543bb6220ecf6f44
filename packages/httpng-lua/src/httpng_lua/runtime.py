"""The Lua runtimes: lupa's module chosen by name, our Lua files run in it, text at the boundary.

Bytes are Lua's strings and cross as they are. Lua gets the host's closures when it starts, and from
then on nothing but plain values cross, in both directions: lupa ties an object of Lua's to the coroutine
that passed it, and crashes when the object outlives that; objects of the host's leave traces in LuaJIT.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, NoReturn

from httpng_core import ConfigError
from httpng_core.languages import LuaRuntime
from httpng_lua.confine.boundary import Boundary
from httpng_lua.kinds import LuaKind

PARTS: Final = (
    "lua/text.lua",
    "lua/prelude.lua",
    "lua/coroutines.lua",
    "lua/numbers.lua",
    "lua/headers.lua",
    "lua/results.lua",
    "lua/io.lua",
    "lua/request.lua",
    "lua/handler.lua",
    "lua/httpng.lua",
    "lua/router.lua",
    "lua/keys.lua",
    "lua/values.lua",
    "lua/pace.lua",
    "lua/feed.lua",
    "lua/sse.lua",
    "lua/confirmations.lua",
    "lua/fiber.lua",
    "lua/channel.lua",
    "lua/websocket.lua",
    "lua/json.lua",
    "lua/json_decode.lua",
    "lua/log.lua",
)
"""Our files in the order in which they run; each gets the host's calls and a table that they share."""
_BOUNDARY: Final = ("confine/boundary.lua", "confine/nesting.lua")

_BYTECODE: Final = b"\x1b"
_MODULE: Final = re.compile(rb"[\w-]+(\.[\w-]+)*")

_NO_LUPA: Final = "Lua handlers need lupa: pip install httpng-lua"


class LuaScriptError(Exception):
    """What Lua code raised, as text."""


class Runtime:
    """One Lua state with httpng's modules in it.

    Attributes:
        core: what our Lua files offer the host, by name.
    """

    def __init__(
        self, kind: LuaKind, host: Mapping[str, Callable[..., Any]], clock: Callable[[], float]
    ) -> None:
        """Start a Lua of its own.

        Args:
            kind: which Lua, and how it is confined.
            host: what Lua may call; each closure takes and returns plain values.
            clock: the monotonic clock that a time limit goes by.

        Raises:
            ConfigError: lupa is not installed, or without this Lua.
        """
        self._module = _module(kind.runtime)
        self._kind = kind
        self._folder = Path()
        self._lua = self._module.LuaRuntime(
            encoding=None,
            unpack_returned_tuples=True,
            register_eval=False,
            register_builtins=False,
            attribute_filter=_deny,
            max_memory=None if kind.memory_limit is None else 0,
        )
        self._boundary = Boundary(self._lua, kind, clock) if kind.is_confined else None
        # What lupa leaves there reaches into Python objects.
        self._lua.execute(b"python = nil; package.loaded.python = nil; io.stdout:setvbuf('line')")
        self._core = self._lua.table()
        calls = self._lua.table_from({name.encode(): call for name, call in self._calls(host).items()})
        for part in _parts(kind):
            source = files(__package__).joinpath(part).read_bytes()
            self._lua.execute(source, calls, self._core, name=_chunk_name(part))
        self._functions = self._core if self._boundary is None else self._core[b"entries"]

    def function(self, name: str) -> Callable[..., Any]:
        """Return one of the functions that our Lua files offer."""
        found: Callable[..., Any] = self._functions[name.encode()]
        return found if self._boundary is None else self._boundary.entry(found)

    @property
    def memory(self) -> int | None:
        """How many bytes the state takes; `None` without a limit of memory."""
        used: int | None = self._lua.get_memory_used(total=True)
        return used

    def find_modules_in(self, folder: str) -> None:
        """`require` looks in `folder` first; in the sandbox nowhere else."""
        self._folder = Path(folder)
        package = self._lua.globals()[b"package"]
        own = f"{folder}/?.lua;{folder}/?/init.lua;".encode(errors="surrogateescape")
        package[b"path"] = own + package[b"path"]

    def compile(self, source: bytes, name: str) -> object:
        """Return the function of a script.

        Raises:
            LuaScriptError: a syntax error, with the file and the line; or it is bytecode, which could do
                whatever it likes.
        """
        text = _as_loadfile(source)
        if text.startswith(_BYTECODE):  # lupa gives no mode to LuaJIT.
            raise LuaScriptError(f"{name}: a script is text, not bytecode")
        try:
            script = self._lua.compile(text, name=f"@{name}".encode(errors="replace"), mode=b"t")
        except self._module.LuaError as error:
            raise LuaScriptError(text_of(error.args[0])) from None
        if self._kind.sandbox:
            self._core[b"confine"](script)
        return script

    def _calls(self, host: Mapping[str, Callable[..., Any]]) -> Mapping[str, Any]:
        if self._kind.sandbox:
            host = {**host, "module": self._source_of}
        return host if self._boundary is None else self._boundary.calls(host)

    def _source_of(self, name: bytes) -> tuple[bytes, bytes] | None:
        """Return the source of a module beside the script, and its path."""
        if _MODULE.fullmatch(name):
            inner = name.decode(errors="surrogateescape").replace(".", "/")
            for path in (self._folder / f"{inner}.lua", self._folder / inner / "init.lua"):
                if path.is_file():
                    return _as_loadfile(path.read_bytes()), lua_text(str(path))
        return None


@dataclass(frozen=True, slots=True)
class LuaFunction:
    """Stands for a function of Lua's, which doesn't cross the boundary, where a value is looked at.

    Attributes:
        number: what Lua knows it by.
        takes_io: whether it takes a second argument.
        router: the number of the router that it serves; 0 for any other function.
    """

    number: int
    takes_io: bool = True
    router: int = 0

    def __call__(self) -> NoReturn:
        """Is a function, and can't be called from here."""
        raise TypeError("a function of Lua's is called in Lua")


def read_value(row: Iterator[Any]) -> object:
    """Return a value as httpng.lua spelled it out: strings as `str`, sequences as lists, tables as dicts."""
    kind = next(row)
    if kind == b"table":
        return _read_table(row)
    if kind == b"function":
        return LuaFunction(int(next(row)), next(row), int(next(row)))
    if kind == b"string":
        # A path, or the name of a file, may be any bytes: so the system's names are told in Python.
        text: str = next(row).decode(errors="surrogateescape")
        return text
    if kind in (b"number", b"boolean"):
        return _as_in_luajit(next(row))
    return None if kind == b"nil" else object()


def _as_in_luajit(value: Any) -> Any:
    """Lua 5.4 has whole numbers of both kinds, as 3300 and 6600 / 2; LuaJIT hands over integers."""
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value


def _read_table(row: Iterator[Any]) -> object:
    items = {read_value(row): read_value(row) for _ in range(next(row))}
    if items.keys() == set(range(1, len(items) + 1)):
        return [items[index] for index in range(1, len(items) + 1)]
    return items


def text_of(value: object) -> str:
    """Return text that came from Lua, where it is bytes."""
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)


def lua_text(value: str) -> bytes:
    """Return text as Lua has it."""
    return value.encode(errors="backslashreplace")


def _parts(kind: LuaKind) -> Iterator[str]:
    """Our files for a kind of state: without confinement, none but those of always."""
    if kind.memory_limit is not None:
        yield "confine/shortage.lua"
    if kind.time_limit is not None:
        yield "confine/stopping.lua"
    if kind.is_confined:
        yield from _BOUNDARY
    yield from PARTS
    if kind.sandbox:
        yield "confine/sandbox.lua"


def _chunk_name(part: str) -> bytes:
    """Return what Lua calls one of our files, as stopping.lua has it: by its name alone."""
    return b"=httpng/" + part.rpartition("/")[2].encode()


def _module(name: LuaRuntime) -> Any:
    try:
        import_module("lupa")
    except ImportError:
        raise ConfigError(_NO_LUPA) from None
    try:
        return import_module(f"lupa.{name}")
    except ImportError:
        raise ConfigError(f"this lupa was built without {name}") from None


def _as_loadfile(source: bytes) -> bytes:
    """Return what `loadfile` skips: a byte order mark, and a first line that begins with `#`."""
    plain = source.removeprefix(b"\xef\xbb\xbf")
    return b"--" + plain if plain.startswith(b"#") else plain


def _deny(_object: object, _name: object, _setting: bool) -> str:
    raise AttributeError("objects of the host are closed to Lua")
