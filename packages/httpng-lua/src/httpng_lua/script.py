"""One run of a script in one Lua: what it configured, its fibers, its handler."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from httpng_core import Application, ConfigError, FeedStats, Runner
from httpng_core.languages import StateLock
from httpng_lua.calls import ExchangeCalls
from httpng_lua.confirmations import ConfirmationCalls
from httpng_lua.feeds import FeedCalls
from httpng_lua.fibers import Fibers, as_answer
from httpng_lua.handler import LuaHandler
from httpng_lua.handles import Exchanges, Waits
from httpng_lua.kinds import LuaKind
from httpng_lua.logs import log_calls
from httpng_lua.routers import RouterCalls
from httpng_lua.runtime import LuaFunction, LuaScriptError, Runtime, text_of
from httpng_lua.server import ServerCalls
from httpng_lua.sse import sse_calls
from httpng_lua.statistics import LuaStatistics
from httpng_lua.steps import DONE, FAILED, Answer, Budget, guarded, ignore
from httpng_lua.values import value_calls
from httpng_lua.websockets import WebSocketCalls

_NO_CFG: Final = "No handlers specified: the script ended without httpng.cfg{handler = ...}"


class OtherRuntime(Exception):  # noqa: N818 - no error: the script asks for another Lua
    """The script's cfg asks for another kind of Lua state than the one it runs in.

    Attributes:
        kind: the kind that it asks for.
    """

    def __init__(self, kind: LuaKind) -> None:
        super().__init__(kind)
        self.kind = kind


class Script:
    """A script in a Lua of its own.

    Attributes:
        kind: the kind of Lua state it runs in.
        runtime: that state.
        has_ended: whether the script itself has come to its end; its fibers and handlers go on.
        failure: what is wrong with a script that ended later than `run` and had not called `cfg`.
        on_ended: called when it does.
    """

    def __init__(
        self,
        path: Path,
        kind: LuaKind,
        overrides: Mapping[str, object],
        application: Application,
        configure: Callable[[Mapping[str, object]], None],
        clock: Callable[[], float],
        wall_clock: Callable[[], float] | None = None,
    ) -> None:
        """Start the Lua; what `overrides` says of it the script's cfg can't change.

        It calls `configure` with what it gives to `cfg`, and asks the rest of `application`.

        Raises:
            ConfigError: there is no such Lua.
        """
        self.kind = kind
        self._path = path
        self._is_launched = self.has_ended = False
        self.failure: ConfigError | None = None
        self.on_ended: Callable[[], None] = lambda: None
        budget, waits = Budget(), Waits()
        self._waits, self._budget = waits, budget
        self._exchanges = Exchanges()
        self._fibers = Fibers(clock, budget, waits)
        calls = ExchangeCalls(
            clock,
            budget,
            self._exchanges,
            waits,
            lambda: self._fibers.home,
            lambda: application.configuration.settings.shuttle_size,
        )
        self._feeds = FeedCalls(calls, self._fibers)
        self._routers = RouterCalls(self._exchanges)
        self._websockets = WebSocketCalls(calls, self._feeds)
        self._configure = configure
        self._server = ServerCalls(
            application, self._configured, waits, lambda: self._fibers.home, kind, overrides
        )
        self.runtime = Runtime(kind, self._calls(calls, wall_clock), clock)
        self._fibers.connect(self.runtime)
        self._feeds.connect(self.runtime)
        # Asked for now, as some are called within a call from Lua.
        self._serve, self._held = self.runtime.function("serve"), self.runtime.function("held")
        self._drain = self.runtime.function("drain")
        self.runtime.find_modules_in(str(path.parent))

    def run(self) -> None:
        """Run the script up to its first wait.

        Raises:
            ConfigError: see `LuaApplication`.
            OtherRuntime: it is to be run in another Lua.
        """
        self._run(_read(self._path))

    def handler(self, function: LuaFunction) -> LuaHandler:
        """Return what starts a handler of the script's."""
        return LuaHandler(
            function, self._serve, self._held, self._fibers, self._exchanges, self._routers.streams
        )

    def feed_stats(self) -> FeedStats:
        """Return what became of all that feeds of the script published."""
        return self._feeds.together()

    def statistics(self, handlers: tuple[int, ...]) -> LuaStatistics:
        """Return how the script stands; `handlers` are the numbers of the functions that serve.

        Raises:
            RuntimeError: another thread is in Lua.
        """
        kind, runtime, exchanges = self.kind, self.runtime, self._exchanges

        def counted() -> Answer:
            return runtime.function("count")(), exchanges.held(self._held)

        answer = self._fibers.lock.ask(self._fibers.home, counted, ignore)
        if answer is None:
            raise RuntimeError("another thread is in Lua")
        return LuaStatistics(
            runtime=kind.runtime,
            sandbox=kind.sandbox,
            memory_limit=kind.memory_limit,
            time_limit=kind.time_limit,
            memory=runtime.memory,
            fibers=answer[0],
            waits=len(self._waits),
            exchanges=len(exchanges),
            exchanges_held=answer[1],
            routers=len(self._routers),
            feeds=self._feeds.statistics(),
            handlers=handlers,
        )

    def use_lock(self, lock: StateLock) -> None:
        """Let several threads serve the script: they enter it by `lock`.

        Raises:
            RuntimeError: the script is served already.
        """
        if self._is_launched:
            raise RuntimeError("a Lua script can be served once: its fibers belong to that server")
        self._fibers.lock = lock

    def drain(self, home: Runner, *, is_whole: bool) -> None:
        """Tell the handlers in the loop of `home` that its connections drain, perhaps with all others."""

        def told() -> Answer:
            numbers = " ".join(map(str, self._exchanges.draining(home)))
            return as_answer(self._drain(numbers.encode(), is_whole))

        self._fibers.lock.call(home, told, ignore)

    def launch(self, runner: Runner) -> None:
        """Note that a server runs the script: the first of its loops is where its fibers live."""
        if not self._is_launched:
            self._is_launched = True
            self._fibers.launch(runner)

    def _calls(
        self, exchange: ExchangeCalls, wall_clock: Callable[[], float] | None
    ) -> dict[str, Callable[..., Any]]:
        calls = exchange.for_lua() | self._fibers.for_lua() | self._feeds.for_lua()
        calls |= self._routers.for_lua() | self._server.for_lua() | log_calls()
        calls |= sse_calls() | value_calls() | self._feeds.paces.for_lua()
        calls |= ConfirmationCalls(exchange).for_lua()
        calls |= self._websockets.for_lua()
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
        self._budget.is_first_run = True
        try:
            fiber = runtime.function("users_fiber")(function)
            answer = self._fibers.enter(self._fibers.home, runtime.function("step"), (fiber,))
        except MemoryError as error:
            raise self._error(str(error)) from None
        finally:
            self._budget.is_first_run = False
        if self._server.wanted is not None:
            raise OtherRuntime(self._server.wanted)
        if answer[0] == FAILED:
            raise self._error(text_of(answer[1]))
        if answer[0] == DONE:
            self._end()
        else:
            self._server.may_choose = False
            self._fibers.adopt(fiber, answer, self._end)
        if self.failure is not None:
            raise self.failure

    def _configured(self, given: Mapping[str, object]) -> None:
        self._configure(given)
        self._budget.is_first_run = False

    def _end(self) -> None:
        self.has_ended = True
        if not self._server.was_configured:
            self.failure = self._error(_NO_CFG)
        self.on_ended()

    def _error(self, message: str) -> ConfigError:
        """Return one line that names the script, and the line in it if Lua told one."""
        told = _in_one_line(message)
        return ConfigError(told if f"{self._path.name}:" in told else f"{self._path}: {told}")


def _in_one_line(message: str) -> str:
    """Return what Lua told, without the traceback and the places where a module isn't."""
    told = message.partition("\nstack traceback:")[0]
    first, missing, _ = told.partition(" not found:\n")
    if missing and "module '" in first:
        return f"{first} not found"
    return " ".join(line.strip() for line in told.splitlines())


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}") from None
