"""A Lua script as an application."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from httpng_core.address import LUA_DEFAULT_LISTEN, ListenAddress
from httpng_core.application import Application
from httpng_core.config import Settings, parse_lua_runtime, parse_settings
from httpng_core.errors import ConfigError
from httpng_core.exchange import Exchange
from httpng_core.files import Files
from httpng_core.handlers import Handler, Runner
from httpng_core.listen import parse_listen
from httpng_core.lua.kinds import LuaKind
from httpng_core.lua.script import OtherRuntime, Script
from httpng_core.sites import Site


class LuaApplication(Application):
    """A Lua script that says with `require 'httpng'.cfg{handler = ...}` how it is served.

    The script runs when this is made, in a fiber: up to its first wait, by which it must have called
    `cfg`. It goes on, and the fibers that it created, once a server has asked for the `runner`.

    Which Lua it runs in is `lua`, or else LuaJIT. If the script's own cfg has a key `lua` that names another
    one, the script is run again from its start in that one: what it did before `cfg` is done twice. So it is
    if cfg has `sandbox`, `lua_memory_limit` or `handler_time_limit`: the first run knows nothing of that.
    Keys in `overrides` leave the script no say, and count from the start.

    It can be served once, as its fibers belong to the server that runs them.

    Attributes:
        settings: the checked settings.
        listen: where to listen.
        sites: who has which paths.
        handler: how the script's handler is started.
        on_shutdown: set by the server; `httpng.shutdown()` calls it, once. It must only schedule.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        clock: Callable[[], float],
        wall_clock: Callable[[], float] | None = None,
        lua: str | None = None,
        overrides: Mapping[str, object] | None = None,
    ) -> None:
        """Runs the script.

        Args:
            path: the script; `require` finds modules beside it.
            clock: the monotonic clock of the server that will run it.
            wall_clock: seconds since 1970, for `fiber.time`, which doesn't exist without it.
            lua: the Lua to run it in, "luajit21" or "lua54".
            overrides: cfg keys that win over the script's, `listen` and `lua` among them.

        Raises:
            ConfigError: the script can't be read, compiled or run, its cfg is wrong, or it made none;
                the message is one line.
        """
        self._overrides = {key: value for key, value in (overrides or {}).items() if value is not None}
        self._path = Path(path)
        self._clock, self._wall_clock = clock, wall_clock
        self.on_shutdown = None
        begin = LuaKind(parse_lua_runtime(lua)).wanted_by(self._overrides)
        self._script = self._run(begin)
        self.settings: Settings = parse_settings(self._script.cfg, lua_handler=True)
        self.listen: Sequence[ListenAddress] = parse_listen(
            self._script.cfg.get("listen"), default=LUA_DEFAULT_LISTEN
        )
        self.sites: Sequence[Site] = self._script.sites
        self.handler: Handler = self._script.handler()

    def runner(
        self,
        clock: Callable[[], float],
        *,
        start_async: Callable[[Exchange, Callable[..., Any]], None] | None = None,
        on_ready: Callable[[], None] = lambda: None,
        files: Files | None = None,
    ) -> Runner:
        """What runs the handlers and fibers for one event loop; it can be had once.

        Args:
            clock: the clock that was given to the constructor.
            start_async: has no use here.
            on_ready: see `Runner`.
            files: see `Runner`.

        Raises:
            RuntimeError: it is another clock, or there is a runner already.
        """
        if clock != self._clock:
            raise RuntimeError("a Lua script is served by the clock that it was started with")
        runner = super().runner(clock, start_async=start_async, on_ready=on_ready, files=files)
        self._script.launch(runner, self._shut_down)
        return runner

    def with_settings(self, **cfg: object) -> "LuaApplication":
        """This application with some settings changed, and not another one: the script has run.

        Raises:
            ConfigError: see the constructor.
        """
        self._script.kind.refuse_change(cfg)
        changed = self._script.cfg | cfg
        self.settings = parse_settings(changed, lua_handler=True)
        self._script.cfg = changed
        return self

    def _run(self, kind: LuaKind) -> Script:
        try:
            return self._run_in(kind)
        except OtherRuntime as other:
            wanted = other.kind
        try:
            return self._run_in(wanted)
        except OtherRuntime:
            raise ConfigError(f"{self._path}: it names another Lua each time it is run") from None

    def _run_in(self, kind: LuaKind) -> Script:
        return Script(self._path, kind, self._overrides, self._clock, self._wall_clock)

    def _shut_down(self) -> None:
        if self.on_shutdown is not None:
            self.on_shutdown()
