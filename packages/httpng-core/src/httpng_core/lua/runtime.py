"""The Lua runtimes: lupa's module chosen by name, our Lua files run in it, text at the border.

Bytes are Lua's strings and cross as they are. Lua gets the host's closures when it starts, and from
then on nothing but plain values cross, in both directions: lupa ties an object of Lua's to the coroutine
that passed it, and crashes when the object outlives that; objects of the host's leave traces in LuaJIT.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.resources import files
from typing import Any, Final, NoReturn

from httpng_core.config import LuaRuntime
from httpng_core.errors import ConfigError

PARTS: Final = (
    "text.lua",
    "prelude.lua",
    "coroutines.lua",
    "numbers.lua",
    "io.lua",
    "handler.lua",
    "httpng.lua",
    "router.lua",
    "feed.lua",
    "fiber.lua",
    "channel.lua",
    "json.lua",
    "json_decode.lua",
    "log.lua",
)
"""Our files in the order in which they run; each gets the host's calls and a table that they share."""

_NO_LUPA: Final = "Lua handlers need lupa: pip install httpng-core[lua]"


class LuaScriptError(Exception):
    """What Lua code raised, as text."""


class Runtime:
    """One Lua state with httpng's modules in it.

    Attributes:
        core: what our Lua files offer the host, by name.
    """

    def __init__(self, name: LuaRuntime, host: Mapping[str, Callable[..., Any]]) -> None:
        """Starts a Lua of its own.

        Args:
            name: which Lua.
            host: what Lua may call; each closure takes and returns plain values.

        Raises:
            ConfigError: lupa is not installed, or without this Lua.
        """
        self._module = _module(name)
        self._lua = self._module.LuaRuntime(
            encoding=None,
            unpack_returned_tuples=True,
            register_eval=False,
            register_builtins=False,
            attribute_filter=_deny,
        )
        # What lupa leaves there reaches into Python objects.
        self._lua.execute(b"python = nil; package.loaded.python = nil; io.stdout:setvbuf('line')")
        self._core = self._lua.table()
        calls = self._lua.table_from({name.encode(): call for name, call in host.items()})
        for part in PARTS:
            source = files(__package__).joinpath(part).read_bytes()
            self._lua.execute(source, calls, self._core, name=b"=httpng/" + part.encode())

    def function(self, name: str) -> Callable[..., Any]:
        """One of the functions that our Lua files offer."""
        found: Callable[..., Any] = self._core[name.encode()]
        return found

    def find_modules_in(self, folder: str) -> None:
        """`require` looks in `folder` first."""
        package = self._lua.globals()[b"package"]
        own = f"{folder}/?.lua;{folder}/?/init.lua;".encode(errors="surrogateescape")
        package[b"path"] = own + package[b"path"]

    def compile(self, source: bytes, name: str) -> object:
        """The function of a script.

        Raises:
            LuaScriptError: a syntax error, with the file and the line.
        """
        try:
            return self._lua.compile(
                _as_loadfile(source), name=f"@{name}".encode(errors="replace"), mode=b"t"
            )
        except self._module.LuaError as error:
            raise LuaScriptError(text_of(error.args[0])) from None


@dataclass(frozen=True, slots=True)
class LuaFunction:
    """Stands for a function of Lua's, which doesn't cross the border, where a value is looked at.

    Attributes:
        number: what Lua knows it by.
    """

    number: int

    def __call__(self) -> NoReturn:
        """Is a function, and can't be called from here."""
        raise TypeError("a function of Lua's is called in Lua")


def read_value(row: Iterator[Any]) -> object:
    """A value as httpng.lua spelled it out: strings become `str`, sequences lists, other tables dicts."""
    kind = next(row)
    if kind == b"table":
        return _read_table(row)
    if kind == b"function":
        return LuaFunction(int(next(row)))
    if kind in (b"string", b"number", b"boolean"):
        value = next(row)
        return text_of(value) if kind == b"string" else value
    return None if kind == b"nil" else object()


def _read_table(row: Iterator[Any]) -> object:
    items = {read_value(row): read_value(row) for _ in range(next(row))}
    if items.keys() == set(range(1, len(items) + 1)):
        return [items[index] for index in range(1, len(items) + 1)]
    return items


def text_of(value: object) -> str:
    """Text from Lua, where it is bytes."""
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)


def lua_text(value: str) -> bytes:
    """Text for Lua."""
    return value.encode(errors="backslashreplace")


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
    """What `loadfile` skips: a byte order mark, and a first line that begins with `#`."""
    plain = source.removeprefix(b"\xef\xbb\xbf")
    return b"--" + plain if plain.startswith(b"#") else plain


def _deny(_object: object, _name: object, _setting: bool) -> str:
    raise AttributeError("objects of the host are closed to Lua")
