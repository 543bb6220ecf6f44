"""Settings: every key, its default and its range, each written once, in the fields of `Settings`."""

import difflib
import math
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, Literal, Protocol, TypeVar, cast, get_args

from httpng_core.errors import ConfigError
from httpng_core.window import Until, WindowSize

HalfClose = Literal["streaming", "always", "never"]
ProtoVersion = Literal["ssl3", "tls1", "tls1.1", "tls1.2", "tls1.3"]
LuaRuntime = Literal["luajit21", "lua54"]

_T = TypeVar("_T")


class _Rule(Protocol):
    """What a key takes: `read` gives the value its type or raises, `takes` knows the range."""

    @property
    def range(self) -> str: ...

    def read(self, name: str, value: object) -> Any: ...

    def takes(self, value: Any) -> bool: ...


@dataclass(frozen=True, slots=True)
class _Whole:
    low: int
    high: int | None = None
    word: str | None = None

    @property
    def range(self) -> str:
        if self.high is not None:
            return f"an integer, {self.low} .. {self.high}"
        return f"an integer >= {self.low}" + (f" or {self.word}" if self.word else "")

    def read(self, name: str, value: object) -> int | float | str:
        if isinstance(value, str) and value == self.word:
            return value
        number = _number(name, value)
        return number if math.isinf(number) else int(number)

    def takes(self, value: int | float | str) -> bool:
        if isinstance(value, str):
            return True
        return self.low <= value < math.inf and (self.high is None or value <= self.high)


@dataclass(frozen=True, slots=True)
class _Seconds:
    zero: bool = False
    infinity: bool = True

    @property
    def range(self) -> str:
        return f"a number {'>= 0' if self.zero else '> 0'}, {'or infinity' if self.infinity else 'finite'}"

    def read(self, name: str, value: object) -> float:
        return float(_number(name, value))

    def takes(self, value: float) -> bool:
        return (self.zero if value == 0 else value > 0) and (self.infinity or value < math.inf)


@dataclass(frozen=True, slots=True)
class _OneOf:
    allowed: tuple[str | bool, ...]

    @property
    def range(self) -> str:
        *others, last = (str(one).lower() for one in self.allowed)
        return f"{', '.join(others)} or {last}"

    def read(self, name: str, value: object) -> object:
        return value

    def takes(self, value: object) -> bool:
        # 1 == True, yet only a boolean is a boolean.
        return any(value == one and type(value) is type(one) for one in self.allowed)


@dataclass(frozen=True, slots=True)
class _ProtoVersion:
    """The oldest version of TLS; the texts are those of the original."""

    @property
    def range(self) -> str:
        *others, last = get_args(ProtoVersion)
        return f"{', '.join(others)} or {last}"

    def read(self, name: str, value: object) -> object:
        return value

    def takes(self, value: object) -> bool:
        if not isinstance(value, str):
            raise ConfigError("min_proto_version is not a string")
        if value not in get_args(ProtoVersion):
            raise ConfigError("unknown min_proto_version specified")
        return True


@dataclass(frozen=True, slots=True)
class _SecurityLevel:
    """OpenSSL's security level; the texts are those of the original."""

    @property
    def range(self) -> str:
        return "an integer, 0 .. 5"

    def read(self, name: str, value: object) -> object:
        number = _from_text(value) if isinstance(value, str) else value
        return int(number) if isinstance(number, float) and math.isfinite(number) else number

    def takes(self, value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ConfigError("openssl_security_level is not a number")
        if not 0 <= value <= 5:
            raise ConfigError("openssl_security_level is invalid")
        return True


_RULE: Final = "rule"
_HALF_CLOSE: Final = _OneOf(get_args(HalfClose))
_UNTIL: Final = _OneOf(get_args(Until))
_FLAG: Final = _OneOf((True, False))
_SHUTTLE: Final = _Whole(1024, 16 << 20)
_RUNTIME: Final = _OneOf(get_args(LuaRuntime))
_RUNTIME_DEFAULT: Final[LuaRuntime] = "luajit21"


def _key(default: _T, rule: _Rule) -> _T:
    return field(default=default, metadata={_RULE: rule})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a server runs with; `Settings()` has every default.

    Sizes are bytes, timeouts are seconds, and infinity waits for ever. Make one from what a user wrote
    with `parse_settings`, which checks it; the constructor itself does not.

    Attributes:
        default_send_window: How much of an exchange may be in flight, unless the handler says otherwise;
            "auto": about as much as the path to the client holds, counted until acknowledged.
        default_window_until: Whether bytes are in flight until the TCP/IP stack has taken them ("sent"), or
            until the client's TCP has acknowledged them ("acked").
        default_send_timeout: How long a call may wait, unless it says otherwise.
        stall_timeout: How long no byte may move in the flush after the handler before we abort.
        notsent_lowat: `TCP_NOTSENT_LOWAT` of every socket; 0 leaves it as the system has it.
        cancel_on_half_close: Whether a FIN of the client cancels an exchange: once the response streams,
            always, or never.
        handshake_timeout: How long a TLS handshake may take.
        header_timeout: How long a request head may take.
        body_timeout: How long a request body may take.
        keepalive_timeout: How long a connection may wait for its next request.
        shutdown_timeout: How long exchanges may go on once the server stops.
        max_body_len: The longest request body that is taken.
        use_body_split: Taken for compatibility, has no effect.
        max_conn_per_thread: How many connections are open at once.
        access_log: Whether every request gets a line in the log.
        h2c_upgrade: Whether a client may ask for HTTP/2 with `Upgrade` in clear text.
        sandbox: Whether a Lua script has what it needs and nothing else.
        lua_memory_limit: How much memory the Lua state may take; `None`: as much as there is.
        handler_time_limit: How long Lua may run without letting others run; `None`: as long as it likes.
        shuttle_size: The longest request head that is taken.
        min_proto_version: The oldest version of TLS that is spoken.
        openssl_security_level: What OpenSSL refuses as too weak, from nothing (0) to nearly all (5).
    """

    default_send_window: WindowSize = _key(1 << 20, _Whole(0, word="auto"))  # noqa: RUF009 - an integer
    default_window_until: Literal["sent", "acked"] = _key("sent", _UNTIL)
    default_send_timeout: float = _key(30.0, _Seconds(zero=True))
    stall_timeout: float = _key(30.0, _Seconds())
    notsent_lowat: int = _key(16384, _Whole(0, (1 << 31) - 1))
    cancel_on_half_close: HalfClose = _key("streaming", _HALF_CLOSE)  # noqa: RUF009 - a string, whatever it is called
    handshake_timeout: float = _key(10.0, _Seconds(infinity=False))
    header_timeout: float = _key(10.0, _Seconds())
    body_timeout: float = _key(30.0, _Seconds())
    keepalive_timeout: float = _key(75.0, _Seconds())
    shutdown_timeout: float = _key(10.0, _Seconds(zero=True, infinity=False))
    max_body_len: int = _key(1 << 20, _Whole(0, 64 << 30))
    use_body_split: bool = _key(False, _FLAG)
    max_conn_per_thread: int = _key(65536, _Whole(1, 1 << 20))
    access_log: bool = _key(False, _FLAG)
    h2c_upgrade: bool = _key(False, _FLAG)
    sandbox: bool = _key(False, _FLAG)
    lua_memory_limit: int | None = _key(None, _Whole(1 << 20))
    handler_time_limit: float | None = _key(None, _Seconds())
    shuttle_size: int = _key(65536, _SHUTTLE)
    # Looked at last, as the original does.
    min_proto_version: ProtoVersion = _key("tls1.2", _ProtoVersion())  # noqa: RUF009 - a string, whatever it is called
    openssl_security_level: int = _key(1, _SecurityLevel())


_RULES: Final[Mapping[str, _Rule]] = {one.name: one.metadata[_RULE] for one in fields(Settings)}
_LATE_KEYS: Final = frozenset({"min_proto_version", "openssl_security_level", "shuttle_size"})
_CALLERS_KEYS: Final = frozenset({"handler", "listen", "lua", "sites", "uvloop"})
_LATER_KEYS: Final = frozenset(
    {
        "thread_termination_timeout",
        "threads",
    }
)
LUA_KEYS: Final = ("sandbox", "lua_memory_limit", "handler_time_limit")
"""Settings of the Lua state: they say what it is, so they can't be changed once it is there."""

_KNOWN: Final = sorted(_RULES.keys() | _CALLERS_KEYS | _LATER_KEYS)


def parse_settings(cfg: Mapping[str, object], *, lua_handler: bool = False) -> Settings:
    """Checks what a user wrote and fills in the defaults, which None stands for.

    The keys `handler`, `listen`, `lua`, `sites` and `uvloop` are known here and left to the caller.

    Args:
        cfg: Values by key, as `run`, `serve` and the cfg table of Lua take them.
        lua_handler: Whether a Lua handler will run, which has a word of its own for a small shuttle_size.

    Raises:
        ConfigError: A key is unknown or not supported yet, or a value has a wrong type or is out of range.
    """
    _refuse_other_keys(cfg)
    values = {name: rule.read(name, cfg[name]) for name, rule in _RULES.items() if cfg.get(name) is not None}
    if lua_handler and values.get("shuttle_size", _SHUTTLE.low) < _SHUTTLE.low:
        raise ConfigError("shuttle_size is too small for Lua handlers")
    for name, value in values.items():
        _check_range(name, _RULES[name], value, cfg[name])
    return Settings(**values)


def check_before_handlers(cfg: Mapping[str, object]) -> None:
    """Checks what the original looks at before sites and handlers; `parse_settings` does the rest after.

    Raises:
        ConfigError: See `parse_settings`.
    """
    parse_settings({name: value for name, value in cfg.items() if name not in _LATE_KEYS})
    if cfg.get("shuttle_size") is not None:
        # Its type is a matter of this stage, its minimum isn't.
        _SHUTTLE.read("shuttle_size", cfg["shuttle_size"])


def parse_lua_runtime(value: object) -> LuaRuntime:
    """The Lua that a script asks for with the key `lua`; None is the default.

    Raises:
        ConfigError: It is none of those that httpng runs.
    """
    if value is None:
        return _RUNTIME_DEFAULT
    _check_range("lua", _RUNTIME, value, value)
    return cast(LuaRuntime, value)


def refuse_lua_keys(cfg: Mapping[str, object]) -> None:
    """For applications that aren't in Lua.

    Raises:
        ConfigError: One of the keys of the Lua state is given.
    """
    for name in LUA_KEYS:
        if cfg.get(name) is not None:
            raise ConfigError(f"{name} is for applications in Lua")


def nearest_key(name: str, known: Iterable[str]) -> str | None:
    """The one of `known` that resembles `name` most; None if there are none."""
    return next(iter(difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.0)), None)


def unknown_key(name: object, known: Iterable[str]) -> ConfigError:
    """The error for a key that is none of `known`; a Lua table may well have a number as a key."""
    return ConfigError(f"unknown parameter {name}; the nearest known one is {nearest_key(str(name), known)}")


def _refuse_other_keys(cfg: Mapping[str, object]) -> None:
    for name, value in cfg.items():
        if name == "c_sites_func":
            _refuse_native_handlers(value)
        elif name not in _KNOWN:
            raise unknown_key(name, _KNOWN)
        elif name in _LATER_KEYS and value is not None:
            raise ConfigError(f"{name}: not supported yet")


def _refuse_native_handlers(value: object) -> None:
    if value is None:
        return
    if not callable(value):
        raise ConfigError("c_sites_func must be a function")
    raise ConfigError("c_sites_func: native C handlers are not supported")


def _check_range(name: str, rule: _Rule, value: Any, given: object) -> None:
    if not rule.takes(value):
        raise ConfigError(f"{name} is {given!r}, must be {rule.range}")


def _number(name: str, value: object) -> int | float:
    number = _from_text(value) if isinstance(value, str) else value
    if isinstance(number, bool) or not isinstance(number, int | float) or number != number:
        raise ConfigError(f"parameter {name} is not a number")
    if abs(number) > sys.float_info.max:
        # An integer that no float can hold: converting it would raise.
        return math.inf if number > 0 else -math.inf
    return number


def _from_text(text: str) -> int | float | None:
    # Not through float alone: it can't hold every integer.
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            continue
    return None
