"""A Lua script as an application."""

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

from httpng_core import (
    LUA_DEFAULT_LISTEN,
    Application,
    ConfigError,
    Configuration,
    Control,
    Exchange,
    FeedStats,
    Files,
    Lifecycle,
    Pending,
    Runner,
    ServerState,
    Settings,
)
from httpng_core.languages import (
    CallInLoop,
    Handler,
    Language,
    StateLock,
    at_once,
    handler_of,
    parse_lua_runtime,
)
from httpng_lua.handler import LuaHandler
from httpng_lua.kinds import LuaKind
from httpng_lua.runtime import LuaFunction
from httpng_lua.script import OtherRuntime, Script
from httpng_lua.statistics import LuaStatistics


class LuaApplication(Application):
    """A Lua script that says with `require 'httpng'.cfg{handler = ...}` how it is served.

    The script runs when this is made, in a fiber: up to its first wait. It goes on, and the fibers that it
    created, once a server has asked for the `runner`. Before it ends it must have called `cfg`; until then
    nothing is served. It can call `cfg` again at any time: that is `reconfigure`, which can't be called from
    here.

    Which Lua it runs in is `lua`, or else LuaJIT. If the script's own cfg has a key `lua` that names another
    one, the script is run again from its start in that one: what it did before `cfg` is done twice. So it is
    if cfg has `sandbox`, `lua_memory_limit` or `handler_time_limit`: the first run knows nothing of that.
    After its first wait it is too late for these keys. Keys in `overrides` leave the script no say, and count
    from the start.

    It can be served once, as its fibers belong to the server that runs them.

    Attributes:
        configuration: what the script has said, checked.
        handler: how the script's handler is started.
        lifecycle: see `Application`.
        control: see `Application`; `httpng.shutdown()` and a second `cfg` go there.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        clock: Callable[[], float],
        wall_clock: Callable[[], float] | None = None,
        lua: str | None = None,
        overrides: Mapping[str, object] | None = None,
        control: Callable[[Lifecycle], Control] | None = None,
    ) -> None:
        """Run the script.

        Args:
            path: the script; `require` finds modules beside it.
            clock: the monotonic clock of the server that will run it.
            wall_clock: seconds since 1970, for `fiber.time`, which doesn't exist without it.
            lua: the Lua to run it in, "luajit21" or "lua54".
            overrides: cfg keys that win over the script's, `listen` and `lua` among them.
            control: makes what serves, or prepares to, while the script runs for the first time.

        Raises:
            ConfigError: the script can't be read, compiled or run, its cfg is wrong, or it ended and made
                none; the message is one line.
        """
        given = {key: value for key, value in (overrides or {}).items() if value is not None}
        self._path = Path(path)
        self._clock, self._wall_clock = clock, wall_clock
        self._handlers: list[LuaHandler] = []
        self._new_control = control
        self._run(LuaKind(parse_lua_runtime(lua)).wanted_by(given), given)

    def reconfigure(self, handler: object = None, *, sites: object = None, **cfg: object) -> None:
        """Refuse: only the script itself may do this, by `httpng.cfg`.

        Raises:
            TypeError: always.
        """
        raise TypeError("a Lua script is reconfigured by its own httpng.cfg")

    def runner(
        self,
        clock: Callable[[], float],
        *,
        start_async: Callable[[Exchange, Callable[..., Any]], None] | None = None,
        start_asgi: Callable[[Exchange, Any], None] | None = None,
        on_ready: Callable[[], None] = lambda: None,
        files: Files | None = None,
        lock: AbstractContextManager[object] | None = None,
        call_in_loop: CallInLoop = at_once,
        check_thread: Callable[[], None] = lambda: None,
        wall_clock: Callable[[], float] | None = None,
    ) -> Runner:
        """Return what runs the handlers of one event loop; the first one also runs the script and its fibers.

        Args:
            clock: the clock that was given to the constructor.
            start_async: has no use here.
            start_asgi: neither.
            on_ready: see `Runner`.
            files: see `Runner`.
            lock: see `Runner`; with several loops each has its own.
            call_in_loop: see `Runner`.
            check_thread: has no use here: fibers use their `io` in whatever loop they are resumed.
            wall_clock: see `Runner`.

        Raises:
            RuntimeError: it is another clock.
        """
        if clock != self._clock:
            raise RuntimeError("a Lua script is served by the clock that it was started with")
        runner = super().runner(
            clock,
            start_async=start_async,
            start_asgi=start_asgi,
            on_ready=on_ready,
            files=files,
            lock=lock,
            call_in_loop=call_in_loop,
            check_thread=check_thread,
            wall_clock=wall_clock,
        )
        self._script.launch(runner)
        return runner

    def shutdown(self) -> Pending:
        """Have the server stop, as `httpng.shutdown()` does: it resets connections.

        What this returns settles when all is down; handlers have `shutdown_timeout` to come to their end.

        Raises:
            RuntimeError: there is nothing to stop, or it is stopping already.
        """
        return self._shutdown(resets=True)

    def feed_stats(self) -> FeedStats:
        """Return what became of all that feeds of the script published."""
        return self._script.feed_stats()

    def statistics(self) -> LuaStatistics:
        """Return how the script and its Lua state stand: what they hold and how they are confined.

        It asks Lua, so it isn't for within a call from there.

        Raises:
            RuntimeError: another thread is in Lua; ask again.
        """
        return self._script.statistics(tuple(handler.number for handler in self._handlers))

    def use_lock(self, lock: StateLock) -> None:
        """Let several threads serve the script: they enter it by `lock`.

        Raises:
            RuntimeError: a server runs the script already.
        """
        self._script.use_lock(lock)

    def drained(self, runner: Runner) -> None:
        """See `Application`: `io.draining` is true from now on."""
        self._script.drain(runner, is_whole=self.lifecycle.state is ServerState.STOPPING)

    @property
    def has_ended(self) -> bool:
        """Whether the script itself has come to its end, so that it won't call `cfg` again."""
        return self._script.has_ended

    @property
    def failure(self) -> ConfigError | None:
        """What is wrong with a script that has waited, and has ended without `cfg`."""
        return self._script.failure

    def when_ended(self, call: Callable[[], None]) -> None:
        """Have `call` called when the script itself comes to its end."""
        self._script.on_ended = call

    def with_settings(self, **cfg: object) -> "LuaApplication":
        """Change some settings of this application and return it, no other one: the script has run.

        Raises:
            ConfigError: see `Application`.
        """
        self.override(**cfg)
        return self

    def override(self, **cfg: object) -> None:
        """Change settings of this application; these win over what the script says, too.

        Raises:
            ConfigError: see `Application.with_settings`; or it is what the script's Lua is.
        """
        self._script.kind.refuse_change(cfg)
        super().override(**cfg)

    def _take_configuration(self, given: Mapping[str, object]) -> None:
        """Take over what the script has given to `cfg`; its own call of that, and nobody else's.

        Raises:
            ConfigError: see `Application.reconfigure`.
        """
        before, self._handlers = self._handlers, []
        try:
            self._configure({**self._script.kind.limits, **_as_settings(given)})
        except BaseException:
            self._handlers = before
            raise
        for handler in before:
            handler.retired = True

    def _as_handler(self, handler: Any, settings: Settings) -> Handler:
        made = self._script.handler(handler)
        self._handlers.append(made)
        return made

    def _run(self, kind: LuaKind, overrides: Mapping[str, object]) -> None:
        try:
            self._run_in(kind, overrides)
            return
        except OtherRuntime as other:
            wanted = other.kind
        try:
            self._run_in(wanted, overrides)
        except OtherRuntime:
            raise ConfigError(f"{self._path}: it names another Lua each time it is run") from None

    def _run_in(self, kind: LuaKind, overrides: Mapping[str, object]) -> None:
        language = Language(
            name="Lua",
            listen=LUA_DEFAULT_LISTEN,
            is_function=lambda handler: isinstance(handler, LuaFunction),
            runtime=kind.runtime,
        )
        self._begin(language, overrides)
        if self._new_control is not None:
            self.control = self._new_control(self.lifecycle)
        self._serve_nothing()
        self._script = Script(
            self._path, kind, overrides, self, self._take_configuration, self._clock, self._wall_clock
        )
        self._script.run()

    def _serve_nothing(self) -> None:
        """Have a configuration without sites: a server may run the script before it calls `cfg`."""
        self.configuration = Configuration(sites=(), settings=Settings(), listen=())
        self.handler = handler_of((), partial(self._as_handler, settings=Settings()))


def _as_settings(given: Mapping[str, object]) -> Mapping[str, object]:
    """Return a cfg table with the names of settings: `stream_body` is the same there as for a site."""
    if "stream_body" not in given:
        return given
    if given.get("stream_bodies") is not None:
        raise ConfigError("stream_body and stream_bodies are the same: give one of them")
    others = {key: value for key, value in given.items() if key != "stream_body"}
    return {**others, "stream_bodies": given["stream_body"]}
