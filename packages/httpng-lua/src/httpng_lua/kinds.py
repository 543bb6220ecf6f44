"""What a Lua state is: which Lua, and how the script in it is confined."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf

from httpng_core import ConfigError, parse_settings
from httpng_core.languages import LUA_KEYS, LuaRuntime, parse_lua_runtime

_KEYS = ("lua", *LUA_KEYS)


@dataclass(frozen=True, slots=True)
class LuaKind:
    """What can't be changed about a Lua state once it is there.

    Attributes:
        runtime: which Lua.
        sandbox: whether the script gets only what can do no harm.
        memory_limit: how many bytes the state may take, `None`: no limit.
        time_limit: how many seconds it may run without letting others run, `None`: no limit.
    """

    runtime: LuaRuntime
    sandbox: bool = False
    memory_limit: int | None = None
    time_limit: float | None = None

    @property
    def is_confined(self) -> bool:
        """Whether anything is kept from the script."""
        return self != LuaKind(self.runtime)

    @property
    def cfg(self) -> dict[str, object]:
        """The keys of cfg that ask for this kind."""
        values = (self.runtime, self.sandbox, self.memory_limit, self.time_limit)
        return {key: value for key, value in zip(_KEYS, values, strict=True) if value is not None}

    @property
    def limits(self) -> dict[str, object]:
        """The settings of this kind."""
        return {key: value for key, value in self.cfg.items() if key in LUA_KEYS}

    def wanted_by(self, cfg: Mapping[str, object]) -> "LuaKind":
        """Return the kind that a cfg asks for; what it doesn't name stays as it is.

        Raises:
            ConfigError: a value is of another type or out of its range.
        """
        given = {key: cfg[key] for key in _KEYS if cfg.get(key) is not None}
        runtime = parse_lua_runtime(given.pop("lua", self.runtime))
        settings = parse_settings({**self.cfg, **given})
        time_limit = settings.handler_time_limit
        return LuaKind(
            runtime,
            settings.sandbox,
            settings.lua_memory_limit,
            None if time_limit == inf else time_limit,
        )

    def refuse_change(self, cfg: Mapping[str, object]) -> None:
        """Check that a cfg asks for nothing that the state isn't.

        Raises:
            ConfigError: it does, by a key that it names.
        """
        wanted = self.wanted_by(cfg).cfg
        for key in _KEYS:
            if wanted.get(key) != self.cfg.get(key):
                raise ConfigError(f"{key} can't be changed: the script has run")
