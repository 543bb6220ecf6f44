"""One run of a script in one Lua: what it configured, its fibers, its handler."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from httpng_core.address import LUA_DEFAULT_LISTEN
from httpng_core.config import check_before_handlers, parse_settings
from httpng_core.dispatch import handler_of
from httpng_core.errors import ConfigError
from httpng_core.handlers import Handler, Runner
from httpng_core.listen import parse_listen
from httpng_core.lua.calls import ExchangeCalls
from httpng_core.lua.feeds import FeedCalls
from httpng_core.lua.fibers import Fibers, as_answer
from httpng_core.lua.handler import LuaHandler
from httpng_core.lua.handles import Exchanges, Waits
from httpng_core.lua.kinds import LuaKind
from httpng_core.lua.logs import log_calls
from httpng_core.lua.routers import RouterCalls
from httpng_core.lua.runtime import LuaFunction, LuaScriptError, Runtime, read_value, text_of
from httpng_core.lua.steps import DONE, FAILED, Answer, Budget, guarded
from httpng_core.sites import Site, parse_sites

_NO_CFG: Final = (
    "No handlers specified: the script ended, or began to wait, without httpng.cfg{handler = ...}"
)


class OtherRuntime(Exception):  # noqa: N818 - no error: the script asks for another Lua
    """The script's cfg asks for another kind of Lua state than the one it runs in.

    Attributes:
        kind: the kind that it asks for.
    """

    def __init__(self, kind: LuaKind) -> None:
        super().__init__(kind)
        self.kind = kind


class Script:
    """A script that has been run up to its first wait.

    Attributes:
        cfg: what it gave to `cfg`, with the overrides.
        kind: the kind of Lua state it runs in.
        runtime: that state.
    """

    def __init__(
        self,
        path: Path,
        kind: LuaKind,
        overrides: Mapping[str, object],
        clock: Callable[[], float],
        wall_clock: Callable[[], float] | None = None,
    ) -> None:
        """Runs the script.

        Raises:
            ConfigError: see `LuaApplication`.
            OtherRuntime: it is to be run in another Lua.
        """
        self.cfg: dict[str, Any] = {}
        self.kind = kind
        self._path, self._overrides = path, overrides
        self._wanted: LuaKind | None = None
        self._shut_down: Callable[[], None] | None = None
        self._is_shutting_down = False
        budget, waits = Budget(clock), Waits()
        self._exchanges = Exchanges()
        self._fibers = Fibers(clock, budget, waits)
        calls = ExchangeCalls(clock, budget, self._exchanges, waits)
        self._feeds = FeedCalls(calls)
        self._routers = RouterCalls()
        self.runtime = Runtime(kind, self._calls(calls, wall_clock), clock)
        self._fibers.connect(self.runtime)
        self._feeds.connect(self.runtime)
        self.runtime.find_modules_in(str(path.parent))
        self._run(_read(path))

    @property
    def sites(self) -> tuple[Site, ...]:
        """The sites of its cfg, whose functions are `LuaFunction`s."""
        return _sites(self.cfg)

    def handler(self) -> Handler:
        """What starts the script's handlers."""
        return handler_of(self.sites, self._as_handler)

    def launch(self, runner: Runner, shut_down: Callable[[], None]) -> None:
        """A server runs the script; `shut_down` is what `httpng.shutdown()` calls.

        Raises:
            RuntimeError: one does already.
        """
        if self._shut_down is not None:
            raise RuntimeError("a Lua script can be served once: its fibers belong to that server")
        self._shut_down = shut_down
        self._fibers.launch(runner)

    def _calls(
        self, exchange: ExchangeCalls, wall_clock: Callable[[], float] | None
    ) -> dict[str, Callable[..., Any]]:
        calls = exchange.for_lua() | self._fibers.for_lua() | self._feeds.for_lua()
        calls |= self._routers.for_lua() | log_calls()
        calls |= {"configure": guarded(self._configure), "shutdown": guarded(self._shutdown)}
        if wall_clock is not None:
            calls["time"] = lambda: wall_clock()
        # An error of the host's would come to Lua as an object.
        return {name: guarded(call) for name, call in calls.items()} if self.kind.sandbox else calls

    def _run(self, source: bytes) -> None:
        runtime = self.runtime
        try:
            function = runtime.compile(source, str(self._path))
        except LuaScriptError as error:
            raise self._error(str(error)) from None
        try:
            fiber = runtime.function("users_fiber")(function)
            answer = as_answer(self._fibers.start(runtime.function("step"), fiber))
        except MemoryError as error:
            raise self._error(str(error)) from None
        if self._wanted is not None:
            raise OtherRuntime(self._wanted)
        if answer[0] == FAILED:
            raise self._error(text_of(answer[1]))
        if not self.cfg:
            raise self._error(_NO_CFG)
        if answer[0] != DONE:
            self._fibers.adopt(fiber, answer)

    def _error(self, message: str) -> ConfigError:
        """One line that names the script, and the line in it if Lua told one."""
        first = message.partition("\n")[0]
        return ConfigError(first if f"{self._path.name}:" in first else f"{self._path}: {first}")

    def _configure(self, *row: object) -> Answer:
        if self.cfg:
            raise ConfigError("reconfiguration is not supported yet")
        given = read_value(iter(row))
        cfg = _by_key(given) | dict(self._overrides)
        self._check_kind(cfg)
        self._check(cfg)
        self.cfg = cfg | self.kind.cfg
        return DONE, True

    def _check_kind(self, cfg: Mapping[str, object]) -> None:
        wanted = self.kind.wanted_by(cfg)
        if wanted != self.kind:
            self._wanted = wanted
            raise ConfigError(f"the script is run again, in {wanted.runtime}")

    def _check(self, cfg: Mapping[str, object]) -> None:
        parse_listen(cfg.get("listen"), default=LUA_DEFAULT_LISTEN)
        if cfg.get("uvloop") is not None:
            raise ConfigError("uvloop is not a parameter of cfg: it is an option of the command line")
        check_before_handlers(cfg)
        handler_of(_sites(cfg), self._as_handler)
        # Looked at last, as the original does.
        parse_settings(cfg, lua_handler=True)

    def _as_handler(self, function: Any) -> Handler:
        return LuaHandler(self.runtime, self._fibers, self._exchanges, function.number)

    def _shutdown(self) -> Answer:
        if self._shut_down is None:
            raise RuntimeError("Server is not launched")
        if self._is_shutting_down:
            raise RuntimeError("shutdown is in progress")
        self._is_shutting_down = True
        self._shut_down()
        return (DONE,)


def _by_key(parameters: Any) -> dict[Any, object]:
    """The cfg table by its keys, also where these are those of a sequence."""
    return dict(enumerate(parameters, 1)) if isinstance(parameters, list) else parameters


def _sites(cfg: Mapping[str, object]) -> tuple[Site, ...]:
    return parse_sites(cfg.get("sites"), cfg.get("handler"), lambda one: isinstance(one, LuaFunction))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}") from None
