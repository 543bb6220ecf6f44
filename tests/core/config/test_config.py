"""Every row of the settings table: default, both ends of the range and what lies one beyond."""

from dataclasses import FrozenInstanceError, fields
from functools import partial
from ipaddress import ip_network
from math import inf, nan
from typing import Any

import pytest

from httpng_core import ConfigError, HttpngError, ListenAddress
from httpng_core.app import Application
from httpng_core.config import (
    Settings,
    check_before_handlers,
    nearest_key,
    parse_lua_runtime,
    parse_settings,
)

GIB = 1 << 30
MIB = 1 << 20

# key, default, values it takes, values out of its range
TABLE: list[tuple[str, object, tuple[object, ...], tuple[object, ...]]] = [
    ("default_send_window", MIB, (0, 1, 1 << 62), (-1, inf)),
    ("default_window_until", "sent", ("sent", "acked"), ("Acked", "confirmed", "", True, 1)),
    ("default_send_timeout", 30.0, (0.0, 0.001, 1e9, inf), (-0.001, -inf)),
    ("stall_timeout", 30.0, (0.001, 1e9, inf), (0, -1, -inf)),
    ("headers", None, ((("x-a", "b"),), ()), (1, True, "x")),
    ("notsent_lowat", 16384, (0, 1, 2**31 - 1), (-1, 2**31, inf)),
    ("tcp_keepalive", 60.0, (0.001, 1e9, inf), (0, -1, -inf)),
    ("cancel_on_half_close", "streaming", ("streaming", "always", "never"), ("Always", "", True, 1)),
    ("handshake_timeout", 10.0, (0.001, 1e9), (0, -0.001, inf)),
    ("header_timeout", 10.0, (0.001, inf), (0, -0.001)),
    ("body_timeout", 30.0, (0.001, inf), (0, -0.001)),
    ("min_body_rate", 240, (0, 1 << 30), (-1, (1 << 30) + 1, inf)),
    ("keepalive_timeout", 75.0, (0.001, inf), (0, -0.001)),
    ("shutdown_timeout", 10.0, (0.0, 1e9), (-0.001, inf)),
    ("max_body_len", MIB, (0, 64 * GIB), (-1, 64 * GIB + 1)),
    ("stream_bodies", False, (True, False), (0, 1, "yes")),
    ("max_stream_len", None, (0, 1, 1 << 62), (-1, inf)),
    ("max_fields", 256, (1, 65536), (0, 65537)),
    ("http1_engine", "fast", ("fast", "reference"), ("h11", "Fast", "", True, 1)),
    ("use_body_split", False, (True, False), (0, 1, "yes", 1.0)),
    ("backlog", 1024, (1, (1 << 31) - 1), (0, -1, 1 << 31)),
    ("max_conn_per_thread", 65536, (1, MIB), (0, MIB + 1)),
    ("max_connections_per_address", None, (1, 1 << 40), (0, -1, inf)),
    ("max_exchanges", None, (1, 1 << 40), (0, -1, inf)),
    ("memory_budget", None, (MIB, 64 * GIB), (MIB - 1, 0, inf)),
    ("access_log", False, (True, False), (0, 1, "yes", [])),
    ("access_log_format", "text", ("text", "json"), ("", "xml", True)),
    ("h2c_upgrade", False, (True, False), (0, 1, "yes")),
    ("http2_engine", "fast", ("fast", "reference"), ("h2", "", True, 1)),
    ("max_reset_rate", 100.0, (0.001, inf), (0, -0.001)),
    ("max_control_rate", 100.0, (0.001, inf), (0, -0.001)),
    ("ws", "auto", ("auto", "none"), ("", "wsproto", True)),
    ("ws_max_size", 16 * MIB, (1, GIB), (0, GIB + 1, -1, inf)),
    ("ws_max_queue", 32, (1, 65536), (0, 65537, -1, inf)),
    ("ws_ping_interval", 20.0, (0.001, inf), (0, -0.001)),
    ("ws_ping_timeout", 20.0, (0.001, inf), (0, -0.001)),
    ("ws_per_message_deflate", True, (True, False), (0, 1, "yes")),
    ("ws_close_timeout", 10.0, (0.0, inf), (-0.001,)),
    ("admin", None, (ListenAddress("127.0.0.1", 9000),), (9000, "0.0.0.0:9000", "fd:3")),
    ("confirm_every", 16384, (1, 2**31 - 1), (0, 2**31, -1, inf)),
    ("confirm_interval", 0.1, (0.0, 1e9, inf), (-0.001,)),
    ("confirm_timeout", 30.0, (0.001, inf), (0, -0.001)),
    ("threads", 1, (1, 16), (0, 17, -1, inf)),
    ("workers", 1, (1, 1024), (0, 1025, -1, inf)),
    ("reload", False, (True, False), (0, 1, "yes")),
    ("max_requests", None, (1, 1 << 40), (0, -1, inf)),
    ("max_requests_jitter", 0, (0, 1 << 40), (-1, inf)),
    ("worker_max_rss", None, (MIB, 64 * GIB), (MIB - 1, 0, inf)),
    ("thread_termination_timeout", 60.0, (0.0, -1.0, 0.5, 1e9, inf, -inf), ()),
    ("interface", "auto", ("auto", "native", "asgi", "wsgi"), ("", "rsgi", True)),
    ("root_path", "", ("", "/api"), ("api", 5)),
    ("lifespan", "auto", ("auto", "on", "off"), ("", "perhaps")),
    ("disconnect_grace", 3.0, (0.0, inf), (-0.001,)),
    ("sandbox", False, (True, False), (0, 1, "yes")),
    ("lua_memory_limit", None, (MIB, 64 * GIB), (MIB - 1, 0, -1, inf)),
    ("handler_time_limit", None, (0.001, inf), (0, -0.001)),
    ("trusted_proxies", None, ((ip_network("10.0.0.0/8"),), ()), (1, True)),
    ("forwarded_header", "x-forwarded", ("x-forwarded", "forwarded"), ("", "x", True)),
    ("shuttle_size", 65536, (1024, 16 * MIB), (1023, 16 * MIB + 1)),
    ("min_proto_version", "tls1.2", ("ssl3", "tls1", "tls1.1", "tls1.2", "tls1.3"), ()),
    ("openssl_security_level", 1, (0, 5), ()),
]
KEYS = [row[0] for row in TABLE]
WHOLE = ["default_send_window", "notsent_lowat", "max_body_len", "max_conn_per_thread", "shuttle_size"]
WHOLE += ["lua_memory_limit", "max_stream_len"]
SMALL = ["threads"]
SECONDS = [key for key in KEYS if key.endswith("_timeout")] + ["handler_time_limit", "tcp_keepalive"]


def parse_one(key: str, value: object, **options: Any) -> object:
    return getattr(parse_settings({key: value}, **options), key)


def refusal(cfg: dict[str, object], **options: Any) -> str:
    with pytest.raises(ConfigError) as raised:
        parse_settings(cfg, **options)
    return str(raised.value)


def test_the_table_here_has_every_field() -> None:
    assert [one.name for one in fields(Settings)] == KEYS


@pytest.mark.parametrize(("key", "default"), [row[:2] for row in TABLE])
def test_default(key: str, default: object) -> None:
    for value in (getattr(parse_settings({}), key), parse_one(key, None), getattr(Settings(), key)):
        assert value == default
        assert type(value) is type(default)


@pytest.mark.parametrize(("key", "value"), [(row[0], value) for row in TABLE for value in row[2]])
def test_in_range(key: str, value: object) -> None:
    assert parse_one(key, value) == value


@pytest.mark.parametrize(("key", "value"), [(row[0], value) for row in TABLE for value in row[3]])
def test_out_of_range(key: str, value: object) -> None:
    assert refusal({key: value}).startswith(f"{key} is {value!r}, must be ")


@pytest.mark.parametrize("key", WHOLE + SMALL + SECONDS)
@pytest.mark.parametrize("value", [True, False, nan, "nan", "many", "", [], {}, b"1", object()])
def test_not_a_number(key: str, value: object) -> None:
    assert refusal({key: value}) == f"parameter {key} is not a number"


@pytest.mark.parametrize("key", WHOLE)
def test_integers_from_text_and_fractions(key: str) -> None:
    for value in ("1048576", " 1048576 ", "1048576.9", "1.048576e6", 1048576.9):
        whole = parse_one(key, value)
        assert whole == 1048576
        assert isinstance(whole, int)


@pytest.mark.parametrize("key", SECONDS)
def test_seconds_are_floats(key: str) -> None:
    for value in (2, "2", 2.0, "2.0"):
        seconds = parse_one(key, value)
        assert seconds == 2.0
        assert isinstance(seconds, float)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.2, "min_proto_version is not a string"),
        (True, "min_proto_version is not a string"),
        ("tls2", "unknown min_proto_version specified"),
        ("tls1.4", "unknown min_proto_version specified"),
        ("", "unknown min_proto_version specified"),
    ],
)
def test_other_versions_of_tls(value: object, text: str) -> None:
    assert refusal({"min_proto_version": value}) == text


@pytest.mark.parametrize("value", ["x", "", True, [], {}, None.__class__])
def test_a_security_level_that_is_no_number(value: object) -> None:
    assert refusal({"openssl_security_level": value}) == "openssl_security_level is not a number"


@pytest.mark.parametrize("value", [-1, 6, "6", inf, nan, 1e400])
def test_a_security_level_that_openssl_has_not(value: object) -> None:
    assert refusal({"openssl_security_level": value}) == "openssl_security_level is invalid"


def test_a_security_level_is_an_integer() -> None:
    for value in (2, 2.9, "2", "2.9"):
        level = parse_one("openssl_security_level", value)
        assert level == 2
        assert isinstance(level, int)


def test_the_ranges_that_no_message_tells() -> None:
    ranges = {one.name: one.metadata["rule"].range for one in fields(Settings)}
    assert ranges["min_proto_version"] == "ssl3, tls1, tls1.1, tls1.2 or tls1.3"
    assert ranges["openssl_security_level"] == "an integer, 0 .. 5"
    assert ranges["thread_termination_timeout"] == "a number"


def test_tls_is_looked_at_last() -> None:
    cfg: dict[str, object] = {"openssl_security_level": 6, "min_proto_version": 5, "shuttle_size": 1}
    assert refusal(cfg).startswith("shuttle_size is 1")
    del cfg["shuttle_size"]
    assert refusal(cfg) == "min_proto_version is not a string"


def test_a_fraction_is_cut_before_the_range_is_looked_at() -> None:
    assert parse_one("default_send_window", -0.9) == 0
    assert refusal({"shuttle_size": 1023.9}).startswith("shuttle_size is 1023.9")


def test_text_keeps_every_digit_of_an_integer() -> None:
    assert parse_one("default_send_window", str(2**53 + 1)) == 2**53 + 1


@pytest.mark.parametrize("value", [10**400, str(10**400), "9" * 5000, "inf", "1e999"])
def test_a_number_past_every_float_is_infinite(value: object) -> None:
    assert parse_one("stall_timeout", value) == inf
    assert "must be an integer >= 0" in refusal({"default_send_window": value})


def test_a_negative_number_past_every_float() -> None:
    assert "must be a number > 0, or infinity" in refusal({"stall_timeout": -(10**400)})


@pytest.mark.parametrize(
    ("cfg", "text"),
    [
        ({"max_conn_per_thread": 0}, "max_conn_per_thread is 0, must be an integer, 1 .. 1048576"),
        ({"default_send_timeout": -1}, "default_send_timeout is -1, must be a number >= 0, or infinity"),
        ({"shutdown_timeout": inf}, "shutdown_timeout is inf, must be a number >= 0, finite"),
        ({"access_log": "on"}, "access_log is 'on', must be true or false"),
        (
            {"cancel_on_half_close": "no"},
            "cancel_on_half_close is 'no', must be streaming, always or never",
        ),
    ],
)
def test_the_text_names_key_value_and_range(cfg: dict[str, object], text: str) -> None:
    assert refusal(cfg) == text


@pytest.mark.parametrize(
    ("key", "value"),
    [("sandbox", True), ("sandbox", False), ("lua_memory_limit", MIB), ("handler_time_limit", 1)],
)
def test_keys_of_the_lua_state_are_refused_elsewhere(key: str, value: object) -> None:
    given: dict[str, Any] = {key: value}
    for refuse in (partial(Application, lambda req: "x"), Application(lambda req: "x").with_settings):
        with pytest.raises(ConfigError) as raised:
            refuse(**given)
        assert str(raised.value) == f"{key} is for applications in Lua"
    given = {key: None}
    assert Application(lambda req: "x", **given).settings == Settings()


def test_a_send_window_may_follow_the_path() -> None:
    assert parse_one("default_send_window", "auto") == "auto"
    assert refusal({"default_send_window": "Auto"}) == "parameter default_send_window is not a number"


@pytest.mark.parametrize("key", ["handler", "listen", "lua", "uvloop"])
def test_keys_that_the_caller_handles_are_left_alone(key: str) -> None:
    assert parse_settings({key: object()}) == Settings()


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("send_window", "default_send_window"),
        ("Listen", "listen"),
        ("max_body_length", "max_body_len"),
        # What other servers call it.
        ("port", "listen"),
        ("host", "listen"),
        ("Bind", "listen"),
        ("processes", "workers"),
    ],
)
def test_unknown_keys(key: str, nearest: str) -> None:
    assert refusal({key: None}) == f"unknown parameter {key}; the nearest known one is {nearest}"


def test_an_unknown_key_that_is_no_string() -> None:
    cfg: Any = {1: "x"}
    assert refusal(cfg).startswith("unknown parameter 1; ")


def test_native_handlers() -> None:
    assert refusal({"c_sites_func": 1}) == "c_sites_func must be a function"
    assert refusal({"c_sites_func": print}) == "c_sites_func: native C handlers are not supported"
    assert parse_settings({"c_sites_func": None}) == Settings()


@pytest.mark.parametrize("size", [64, 300, 1023, -1])
def test_a_lua_handler_needs_room_in_the_shuttle(size: int) -> None:
    assert refusal({"shuttle_size": size}, lua_handler=True) == "shuttle_size is too small for Lua handlers"


def test_a_lua_handler_and_a_good_shuttle_size() -> None:
    assert parse_one("shuttle_size", 1024, lua_handler=True) == 1024
    assert parse_settings({}, lua_handler=True) == Settings()
    assert "1024 .. 16777216" in refusal({"shuttle_size": inf}, lua_handler=True)


def test_numbers_are_asked_for_before_the_shuttle_size_is_weighed() -> None:
    cfg: dict[str, object] = {"shuttle_size": 64, "max_body_len": "x"}
    assert refusal(cfg, lua_handler=True) == "parameter max_body_len is not a number"


# While a server runs ----------------------------------------------------------------------------------

RUNNING = Settings(
    notsent_lowat=1,
    tcp_keepalive=30,
    shuttle_size=2048,
    min_proto_version="tls1.3",
    openssl_security_level=2,
    threads=4,
)
FIXED = ("notsent_lowat", "tcp_keepalive", "shuttle_size", "min_proto_version", "openssl_security_level")


def test_what_is_not_given_returns_to_its_default_or_is_kept() -> None:
    settings = parse_settings({"max_body_len": 7, "threads": None}, running=RUNNING)
    kept = {name: getattr(RUNNING, name) for name in FIXED}
    assert settings == Settings(max_body_len=7, **kept)


def test_what_cannot_be_changed_may_be_given_as_it_is() -> None:
    given: dict[str, object] = {name: str(getattr(RUNNING, name)) for name in FIXED}
    assert parse_settings(given, running=RUNNING) == parse_settings({}, running=RUNNING)
    check_before_handlers(given, RUNNING)
    check_before_handlers({}, RUNNING)
    assert parse_settings(dict.fromkeys(FIXED), running=Settings()) == Settings()
    check_before_handlers(dict.fromkeys(FIXED), Settings())


OTHERS = {
    "notsent_lowat": 2,
    "tcp_keepalive": 5,
    "shuttle_size": 4096,
    "min_proto_version": "tls1.2",
    "openssl_security_level": 3,
}


@pytest.mark.parametrize("key", FIXED)
@pytest.mark.parametrize("is_null", [False, True])
def test_what_cannot_be_changed(key: str, is_null: bool) -> None:
    # A None that is given is the default, which is another value.
    text = refusal({key: None if is_null else OTHERS[key]}, running=RUNNING)
    if key == "shuttle_size":
        assert text == "Reconfiguration can't change shuttle_size"
    else:
        assert text == f"{key} can't be changed on reconfiguration"


@pytest.mark.parametrize("size", [None, 64, "65536", inf])
def test_another_shuttle_size_is_refused_before_the_handlers_are_looked_at(size: object) -> None:
    with pytest.raises(ConfigError) as raised:
        check_before_handlers({"shuttle_size": size}, RUNNING)
    assert str(raised.value) == "Reconfiguration can't change shuttle_size"
    check_before_handlers({"min_proto_version": 5, "openssl_security_level": 9}, RUNNING)
    with pytest.raises(ConfigError, match="parameter shuttle_size is not a number"):
        check_before_handlers({"shuttle_size": "x"}, RUNNING)


def test_what_is_no_value_at_all_is_told_first() -> None:
    assert refusal({"min_proto_version": 5}, running=RUNNING) == "min_proto_version is not a string"
    assert "notsent_lowat is -1, must be" in refusal({"notsent_lowat": -1}, running=RUNNING)


# And --------------------------------------------------------------------------------------------------


def test_the_mapping_is_not_changed() -> None:
    cfg: dict[str, object] = {"shuttle_size": "2048", "listen": 80}
    parse_settings(cfg)
    assert cfg == {"shuttle_size": "2048", "listen": 80}


def test_settings_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        Settings().shuttle_size = 1  # type: ignore[misc]


def test_config_errors_can_be_caught_as_value_errors() -> None:
    assert issubclass(ConfigError, HttpngError)
    assert issubclass(ConfigError, ValueError)


@pytest.mark.parametrize(
    ("value", "runtime"), [(None, "luajit21"), ("luajit21", "luajit21"), ("lua54", "lua54")]
)
def test_lua_runtime(value: object, runtime: str) -> None:
    assert parse_lua_runtime(value) == runtime


@pytest.mark.parametrize("value", ["lua55", "", 5.4, True])
def test_lua_runtimes_that_do_not_run(value: object) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_lua_runtime(value)
    assert str(raised.value) == f"lua is {value!r}, must be luajit21 or lua54"


def test_nearest_key() -> None:
    assert nearest_key("prot", ["port", "host"]) == "port"
    assert nearest_key("zzz", ["port"]) == "port"
    assert nearest_key("port", []) is None
    assert nearest_key("port", ["sort", "handler"]) == "sort"


def test_the_original_has_two_names_for_the_first_tls() -> None:
    assert parse_settings({"min_proto_version": "tls1.0"}).min_proto_version == "tls1"
