"""The rules of configurations: the first one, and one that takes the place of another."""

from math import inf
from typing import Any

import pytest

from httpng_core import LUA_DEFAULT_LISTEN, PYTHON_DEFAULT_LISTEN, ConfigError, ListenAddress, Settings, Site
from httpng_core.config import Configuration, Language, first_configuration, reconfiguration

Cfg = dict[str, Any]

PYTHON = Language(name="Python", listen=PYTHON_DEFAULT_LISTEN, is_function=callable)
LUA = Language(name="Lua", listen=LUA_DEFAULT_LISTEN, is_function=callable, runtime="lua54")


def handler() -> None: ...


def other() -> None: ...


def site(path: object = "/", handler: object = handler) -> dict[str, object]:
    return {"path": path, "handler": handler}


def refusal(cfg: Cfg, language: Language = LUA) -> str:
    with pytest.raises(ConfigError) as raised:
        first_configuration(cfg, language)
    return str(raised.value)


def reload_refusal(cfg: Cfg, *, language: Language = LUA, **before: Any) -> str:
    """How `cfg` is refused by a server that runs with `before`, or with one handler."""
    running = first_configuration(before or {"handler": handler}, language)
    with pytest.raises(ConfigError) as raised:
        reconfiguration(running, cfg, language)
    return str(raised.value)


def reloaded(cfg: Cfg, *, language: Language = LUA, **before: Any) -> Configuration:
    running = first_configuration(before or {"handler": handler}, language)
    return reconfiguration(running, cfg, language)


# The first ---------------------------------------------------------------------------------------------


def test_a_first_configuration() -> None:
    made = first_configuration({"handler": handler, "sites": [site("/a", "/srv")], "max_body_len": 5}, LUA)
    assert made.sites == (Site("/a", "/srv"), Site("/", handler))
    assert made.directories == ["/srv"]
    assert made.settings == Settings(max_body_len=5)
    assert tuple(made.listen) == LUA_DEFAULT_LISTEN
    assert tuple(first_configuration({"handler": handler}, PYTHON).listen) == PYTHON_DEFAULT_LISTEN


# Each mistake hides those that follow it.
ORDER: list[tuple[Cfg, str]] = [
    ({"listen": 70000}, "invalid port specified: listen = 70000"),
    ({"c_sites_func": 5}, "c_sites_func must be a function"),
    ({"max_body_len": "x"}, "parameter max_body_len is not a number"),
    ({"thread_termination_timeout": "x"}, "parameter thread_termination_timeout is not a number"),
    ({"sites": 5}, "sites is not a table"),
    ({"handler": 5}, "handler is not a function"),
    ({"handler": None}, "No handlers specified"),
    ({"shuttle_size": 64, "handler": handler}, "shuttle_size is too small for Lua handlers"),
    ({"min_proto_version": 5}, "min_proto_version is not a string"),
    ({"openssl_security_level": {}}, "openssl_security_level is not a number"),
]


@pytest.mark.parametrize("place", range(len(ORDER)))
def test_the_order_of_checks(place: int) -> None:
    later: Cfg = {"handler": handler}
    for cfg, _ in reversed(ORDER[place + 1 :]):
        later = {**later, **cfg}
    cfg, text = ORDER[place]
    assert refusal({**later, **cfg}) == text


def test_a_python_handler_has_no_word_of_its_own_for_a_small_shuttle() -> None:
    text = refusal({"handler": handler, "shuttle_size": 64}, PYTHON)
    assert text == "shuttle_size is 64, must be an integer, 1024 .. 16777216"


@pytest.mark.parametrize("running", [False, True])
def test_uvloop_is_nothing_for_lua(running: bool) -> None:
    cfg: Cfg = {"handler": handler, "uvloop": False}
    text = reload_refusal(cfg) if running else refusal(cfg)
    assert text == "uvloop is not a parameter of cfg: it is an option of the command line"
    assert first_configuration(cfg, PYTHON).uvloop is False
    assert first_configuration({"handler": handler}, PYTHON).uvloop is None
    assert refusal({"handler": handler, "uvloop": 1}, PYTHON) == "uvloop is 1, must be true or false"


def test_lua_is_nothing_for_python() -> None:
    assert refusal({"handler": handler, "lua": "lua54"}, PYTHON) == "lua is for applications in Lua"


# While it runs -----------------------------------------------------------------------------------------


def test_the_new_one_replaces_the_old_one() -> None:
    before: Cfg = {
        "sites": [site("/a"), site("/b")],
        "handler": handler,
        "threads": 4,
        "max_body_len": 5,
        "shuttle_size": 2048,
        "listen": 8080,
    }
    made = reloaded({"sites": [site("/c"), site("/a", other)], "stall_timeout": 7}, **before)
    assert made.sites == (Site("/c", handler), Site("/a", other))
    assert made.settings == Settings(stall_timeout=7, shuttle_size=2048)
    assert [one.authority for one in made.listen] == ["0.0.0.0:8080", "[::]:8080"]


@pytest.mark.parametrize("cfg", [{}, {"sites": []}, {"sites": None, "handler": None}])
def test_all_sites_may_go(cfg: Cfg) -> None:
    assert reloaded(cfg).sites == ()


@pytest.mark.parametrize(
    ("cfg", "paths"),
    [
        ({"sites": [site(), site("/a"), site("/b")]}, ["/a", "/b", "/"]),
        ({"sites": [site("/b"), site(), site("/a")]}, ["/b", "/a", "/"]),
        ({"sites": [site("/b"), site("/a")], "handler": other}, ["/b", "/a", "/"]),
    ],
)
def test_the_root_stays_last_by_itself(cfg: Cfg, paths: list[str]) -> None:
    assert [one.path for one in reloaded(cfg).sites] == paths


SITES: Cfg = {"sites": [site("/a"), site("/files", "/srv")], "handler": handler}
DUPLICATES: list[tuple[Cfg, str]] = [
    ({"sites": [site("/new"), site("/new")]}, "Can't add duplicate paths"),
    ({"sites": [site("/a"), site("/a")]}, "duplicated site description"),
    ({"sites": [site(), site()]}, "duplicated site description"),
    ({"sites": [site()], "handler": other}, "duplicated site description for /"),
    ({"sites": [site("/a"), site("/a")], "listen": 70000}, "duplicated site description"),
    ({"sites": [site(), site("/a"), site()], "handler": 5}, "duplicated site description"),
]
REPLACED: list[tuple[Cfg, str]] = [
    ({"sites": [site("/a", "/srv")]}, "replacing {} handler with file handler is not supported"),
    ({"handler": "/srv"}, "replacing {} handler with file handler is not supported"),
    ({"sites": [site("/", "/srv")]}, "replacing {} handler with file handler is not supported"),
    ({"sites": [site("/files")]}, "replacing file handler with {} handler is not supported"),
]


@pytest.mark.parametrize(("cfg", "text"), DUPLICATES)
def test_a_path_twice(cfg: Cfg, text: str) -> None:
    assert reload_refusal(cfg, **SITES) == text


@pytest.mark.parametrize(("cfg", "text"), REPLACED)
@pytest.mark.parametrize("language", [PYTHON, LUA], ids=lambda one: one.name)
def test_a_function_and_a_directory_do_not_replace_each_other(
    cfg: Cfg, text: str, language: Language
) -> None:
    assert reload_refusal(cfg, language=language, **SITES) == text.format(language.name)


def test_a_root_that_is_new_may_be_there_once() -> None:
    before: Cfg = {"sites": [site("/a")]}
    assert reload_refusal({"sites": [site(), site()]}, **before) == "Can't add duplicate paths"
    text = reload_refusal({"sites": [site()], "handler": other}, **before)
    assert text == "duplicated site description for /"


def test_what_was_removed_may_come_back_as_something_else() -> None:
    running = first_configuration(SITES, LUA)
    without = reconfiguration(running, {}, LUA)
    made = reconfiguration(without, {"sites": [site("/a", "/srv"), site("/files")]}, LUA)
    assert made.directories == ["/srv"]


def test_directories_may_move() -> None:
    made = reloaded({"sites": [site("/files", "/srv/new")]}, **SITES)
    assert made.directories == ["/srv/new"]


RELOAD_ORDER: list[tuple[Cfg, str]] = [
    ({"c_sites_func": 5}, "c_sites_func must be a function"),
    ({"max_body_len": "x"}, "parameter max_body_len is not a number"),
    ({"thread_termination_timeout": "x"}, "parameter thread_termination_timeout is not a number"),
    ({"shuttle_size": 64}, "Reconfiguration can't change shuttle_size"),
    ({"sites": 5}, "sites is not a table"),
    ({"handler": 5}, "handler is not a function"),
    ({"min_proto_version": 5}, "min_proto_version is not a string"),
    ({"openssl_security_level": {}}, "openssl_security_level is not a number"),
    ({"notsent_lowat": 5}, "notsent_lowat can't be changed on reconfiguration"),
    ({"lua": "luajit21"}, "lua can't be changed on reconfiguration"),
    ({"listen": 70000}, "listen can't be changed on reconfiguration"),
]


@pytest.mark.parametrize("place", range(len(RELOAD_ORDER)))
def test_the_order_of_checks_while_it_runs(place: int) -> None:
    later: Cfg = {}
    for cfg, _ in reversed(RELOAD_ORDER[place + 1 :]):
        later = {**later, **cfg}
    cfg, text = RELOAD_ORDER[place]
    assert reload_refusal({**later, **cfg}) == text


FIXED: list[tuple[str, object, object]] = [
    ("shuttle_size", 1024, 2048),
    ("min_proto_version", "tls1.3", "tls1.2"),
    ("openssl_security_level", 5, 2),
    ("notsent_lowat", 0, 16384),
    ("tcp_keepalive", inf, 60),
]


@pytest.mark.parametrize(("key", "value", "another"), FIXED)
def test_what_cannot_be_changed(key: str, value: object, another: object) -> None:
    before: Cfg = {"handler": handler, key: value}
    for cfg in ({}, {key: value}, {key: str(value)}):
        assert getattr(reloaded(cfg, **before).settings, key) == value
    named = f"{key} can't be changed on reconfiguration"
    text = "Reconfiguration can't change shuttle_size" if key == "shuttle_size" else named
    # A None that is given is the default, and so another value.
    for given in (another, None):
        assert reload_refusal({key: given}, **before) == text
    assert reloaded({key: None}).settings == Settings()


@pytest.mark.parametrize("value", [3300, 8080, None, "nowhere:x", []])
def test_listen_cannot_be_given(value: object) -> None:
    text = reload_refusal({"listen": value}, handler=handler, listen=3300)
    assert text == "listen can't be changed on reconfiguration"


def test_what_runs_it_cannot_be_changed() -> None:
    assert reloaded({"lua": "lua54"}) == reloaded({"lua": None}) == reloaded({})
    assert reload_refusal({"lua": "lua54"}, language=PYTHON) == "lua is for applications in Lua"
    assert reload_refusal({"uvloop": True}, language=PYTHON) == "uvloop can't be changed on reconfiguration"
    running = first_configuration({"handler": handler, "uvloop": True}, PYTHON)
    for value in (None, True):
        assert reconfiguration(running, {"uvloop": value}, PYTHON).uvloop is True
    assert refusal({"handler": handler, "lua": "luajit21"}) == "lua can't be changed on reconfiguration"
    assert first_configuration({"handler": handler, "lua": "lua54"}, LUA).settings == Settings()


def test_nothing_that_was_given_is_changed() -> None:
    given: Cfg = {"sites": [site("/a")], "threads": "2"}
    running = first_configuration({"handler": handler, "listen": "127.0.0.1:1"}, PYTHON)
    made = reconfiguration(running, given, PYTHON)
    assert given == {"sites": [site("/a")], "threads": "2"}
    assert (running.settings.threads, made.settings.threads) == (1, 2)
    assert made.listen == running.listen == (ListenAddress("127.0.0.1", 1),)
