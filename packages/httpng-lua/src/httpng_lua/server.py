"""The calls of httpng.lua that are about the server: configure it, stop it, be rid of its threads."""

from collections.abc import Callable, Mapping
from typing import Any

from httpng_core import Application, ConfigError, Pending, Runner
from httpng_lua.handles import Waits
from httpng_lua.kinds import LuaKind
from httpng_lua.runtime import read_value
from httpng_lua.steps import DONE, WAIT, Answer, guarded


class ServerCalls:
    """What a script may do with its server.

    Attributes:
        was_configured: whether a `cfg` has been taken.
        wanted: the Lua that its first cfg named, if it is another one than the script runs in.
        may_choose: whether it could still be run again in that one: it has not waited.
    """

    def __init__(
        self,
        application: Application,
        configure: Callable[[Mapping[str, object]], None],
        waits: Waits,
        home: Callable[[], Runner],
        kind: LuaKind,
        overrides: Mapping[str, object],
    ) -> None:
        """`configure` takes what the script has given to `cfg`; `home` tells what runs the fiber that calls.

        `kind` is the Lua that runs the script. Its first cfg may ask for another one, but not against the
        `overrides`.
        """
        self.was_configured = False
        self.wanted: LuaKind | None = None
        self.may_choose = True
        self._application = application
        self._take = configure
        self._waits = waits
        self._home = home
        self._kind = kind
        self._overrides = overrides
        self._row: list[object] = []

    def for_lua(self) -> dict[str, Callable[..., Any]]:
        """Return the calls by the names that httpng.lua uses."""
        calls: Mapping[str, Callable[..., Answer]] = {
            "begin_cfg": self._begin_cfg,
            "give_cfg": self._give_cfg,
            "configure": self._configure,
            "end_cfg": self._end_cfg,
            "shutdown": self._shutdown,
            "force_decrease_threads": lambda: self._await(self._application.force_decrease_threads()),
        }
        return {name: guarded(call) for name, call in calls.items()}

    def _begin_cfg(self) -> Answer:
        self._application.lifecycle.begin_configuring()
        self._row.clear()
        return (DONE,)

    def _give_cfg(self, *piece: object) -> Answer:
        self._row += piece
        return (DONE,)

    def _configure(self) -> Answer:
        given = _by_key(read_value(iter(self._row)))
        if not self.was_configured:
            self._choose({**given, **self._overrides})
        self._take(given)
        self.was_configured = True
        return (DONE,)

    def _end_cfg(self, done: bool) -> Answer:
        self._application.lifecycle.end_configuring(done=done)
        return (DONE,)

    def _choose(self, cfg: Mapping[str, object]) -> None:
        if not self.may_choose:
            self._kind.refuse_change(cfg)
        wanted = self._kind.wanted_by(cfg)
        if wanted != self._kind:
            self.wanted = wanted
            raise ConfigError(f"the script is run again, in {wanted.runtime}")

    def _shutdown(self, waits: bool) -> Answer:
        pending = self._application.shutdown()
        return self._await(pending) if waits else (DONE,)

    def _await(self, pending: Pending) -> Answer:
        """Wait for the server; a fiber that is cancelled meanwhile gives up its own wait only."""
        waiting, home = Pending(), self._home()

        def settle() -> None:
            if not waiting.settled:
                waiting.settle(None)

        # First this: the loop of the server may be in another thread.
        pending.on_settle = lambda: home.call_in_loop(settle)
        if pending.settled:
            return (DONE,)
        return WAIT, self._waits.add(waiting, lambda _: settle(), home)


def _by_key(parameters: Any) -> dict[Any, object]:
    """Return the cfg table by its keys, also where these are those of a sequence."""
    return dict(enumerate(parameters, 1)) if isinstance(parameters, list) else parameters
