"""Asking for a sandbox or a limit: in cfg, by overrides, and what is refused."""

import pytest
from tests.lua.conftest import Write

from httpng_core import ConfigError
from httpng_core.testing import Clock
from httpng_lua import LuaApplication


def asked(
    write: Write, cfg: str, lua: str, overrides: dict[str, object] | None = None, source: str = ""
) -> LuaApplication:
    path = write(f"{source} require 'httpng'.cfg{{handler = function() return tostring(os) end, {cfg}}}")
    return LuaApplication(path, clock=Clock(), lua=lua, overrides=overrides)


@pytest.mark.parametrize(
    ("cfg", "overrides", "kind"),
    [
        ("", {}, (False, None, None)),
        ("sandbox = true", {}, (True, None, None)),
        ("", {"sandbox": True}, (True, None, None)),
        ("sandbox = true", {"sandbox": False}, (False, None, None)),
        ("sandbox = false", {"sandbox": True}, (True, None, None)),
        ("lua_memory_limit = 2e6", {}, (False, 2000000, None)),
        ("lua_memory_limit = 2e6", {"lua_memory_limit": "3000000"}, (False, 3000000, None)),
        ("handler_time_limit = 0.5", {}, (False, None, 0.5)),
        ("handler_time_limit = math.huge", {}, (False, None, None)),
        ("handler_time_limit = 0.5", {"handler_time_limit": "infinity"}, (False, None, None)),
        ("sandbox = true, lua_memory_limit = 2e6", {"handler_time_limit": 2}, (True, 2000000, 2.0)),
    ],
)
def test_cfg_and_overrides_ask_for_it(
    write: Write, lua: str, cfg: str, overrides: dict[str, object], kind: tuple[object, ...]
) -> None:
    app = asked(write, cfg, lua, overrides)
    had = app.statistics()
    assert (had.sandbox, had.memory_limit, had.time_limit) == kind
    assert had.runtime == lua
    settings = app.settings
    assert (settings.sandbox, settings.lua_memory_limit) == kind[:2]


def test_another_lua_at_the_same_time(write: Write) -> None:
    app = asked(write, "sandbox = true, lua = 'lua54'", "luajit21")
    assert (app.statistics().runtime, app.statistics().sandbox) == ("lua54", True)


def test_a_script_that_asks_for_another_state_each_time(write: Write, lua: str) -> None:
    with pytest.raises(ConfigError, match="it names another Lua each time it is run"):
        asked(write, "sandbox = open", lua, source="open = os ~= nil")


def test_one_that_asks_no_more_once_it_is_there(write: Write, lua: str) -> None:
    app = asked(write, "sandbox = open", lua, source="open = os ~= nil or nil")
    assert app.statistics().sandbox
    assert app.settings.sandbox


@pytest.mark.parametrize(
    ("cfg", "message"),
    [
        ("sandbox = 1", "sandbox is 1, must be true or false"),
        ("lua_memory_limit = 5", "lua_memory_limit is 5, must be an integer >= 1048576"),
        ("handler_time_limit = 0", "handler_time_limit is 0, must be a number > 0, or infinity"),
    ],
)
def test_what_it_can_not_be(write: Write, lua: str, cfg: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        asked(write, cfg, lua)


def test_it_can_not_be_changed_afterwards(write: Write, lua: str) -> None:
    app = asked(write, "", lua, {"sandbox": True})
    changes: list[dict[str, object]] = [
        {"sandbox": False},
        {"lua_memory_limit": 2000000},
        {"handler_time_limit": 1},
    ]
    for cfg in changes:
        [name] = cfg
        with pytest.raises(ConfigError, match=f"{name} can't be changed: the script has run"):
            app.with_settings(**cfg)
    assert app.with_settings(sandbox=True, max_body_len=5).settings.max_body_len == 5
