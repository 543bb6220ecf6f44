"""Errors of ours say where in the script they were made; `pcall` gets them without that, as it ever did."""

from pathlib import Path

import pytest
from tests.core.websocket.speaking import request
from tests.lua.conftest import BEFORE, Serve, Write

from httpng_core import ConfigError
from httpng_core.testing import Clock
from httpng_lua import LuaApplication

FIRST = BEFORE.count("\n") + 1


def error_of(path: Path, lua: str, **overrides: object) -> str:
    with pytest.raises(ConfigError) as caught:
        LuaApplication(path, clock=Clock(), lua=lua, overrides=overrides)
    return str(caught.value)


AT_THE_TOP = [
    ("httpng.cfg{nonsense = 1}", "unknown parameter nonsense"),
    ("httpng.cfg{handler = 5}", "handler is not a function"),
    ("httpng.cfg()", "No parameters specified"),
    ("httpng.cfg{handler = print, listen = 'a b'}", "impossible to parse URI"),
    ("httpng.cfg(5)", "parameters must be a table, not number"),
    ("httpng.shutdown()", "Server is not launched"),
    ("httpng.router.new():route({}, print)", "a route needs a path"),
    ("httpng.feed{policy = 5}", 'policy must be "latest" or "every", not 5'),
    ("httpng.cancelled('x')", "not a send_result: string"),
    ("require('json').encode(print)", "json.encode: can't encode a function"),
    ("require('fiber').channel(-1)", ""),
    ("coroutine.wrap(function() httpng.cfg(5) end)()", "parameters must be a table, not number"),
]


@pytest.mark.parametrize("sandbox", [False, True], ids=["open", "sandbox"])
@pytest.mark.parametrize(("call", "message"), AT_THE_TOP)
def test_mistakes_at_the_top_name_the_line(
    write: Write, lua: str, call: str, message: str, sandbox: bool
) -> None:
    path = write(f"local httpng = require 'httpng'\n\n{call}\nhttpng.cfg{{handler = print}}")
    told = error_of(path, lua, sandbox=sandbox)
    assert f"script.lua:3: {message}" in told
    assert told.count("script.lua:3:") == 1


IN_HANDLERS = [
    ("io:write({})", "body must be a string or a number, not table"),
    ("io.write('x')", "shuttle is invalid"),
    ("io:write_header('a')", "HTTP code is not an integer"),
    ("io:write('x', -1)", "timeout must be 0 or more seconds, not -1"),
    ("io:write_header(200, {['a b'] = 'c'})", "header name b'a b' is not a token"),
    ("io.send_windw = 5", "io has no field send_windw; the nearest known one is send_window"),
    ("httpng.cfg{nonsense = 1}", "unknown parameter nonsense"),
    ("io:follow(5)", "io:follow needs a feed or a table of feeds, as httpng.feed makes them, not 5"),
    ("io:follow(httpng.feed(), {on_gap = 5})", "on_gap must be a function, not 5"),
    ("io:follow(httpng.feed(), {max_age = 'x'})", 'max_age must be a number of seconds, not "x"'),
    ("httpng.feed():publish({})", "payload must be a string or a number, not a table"),
    ("httpng.feed():publish('')", "a payload needs at least one byte"),
    ("fiber.yield(fiber.self():cancel())", "fiber is cancelled"),
]


@pytest.mark.parametrize(("call", "message"), IN_HANDLERS)
def test_mistakes_in_handlers_name_the_line(
    serve: Serve, caplog: pytest.LogCaptureFixture, call: str, message: str
) -> None:
    served = serve(f"local function inner(io)\n{call}\nend\nfunction handler(req, io) inner(io) end")
    assert served.answer().status == 500
    assert f"script.lua:{FIRST + 1}: {message}" in caplog.messages[0].partition("\n")[0]


def test_mistakes_in_fibers_name_the_line(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    served = serve("function handler(req, io)\nfiber.create(function()\nio:write({}) end) end")
    assert served.answer().status == 200
    assert f"script.lua:{FIRST + 2}: body must be a string" in caplog.messages[0].partition("\n")[0]


@pytest.mark.parametrize("answer", ["return 5", "return io:write({})"])
def test_what_a_handler_returns_wrongly_names_the_handler(
    serve: Serve, caplog: pytest.LogCaptureFixture, answer: str
) -> None:
    """Where it was called from is gone by then."""
    served = serve(f"\nfunction handler(req, io) {answer} end")
    assert served.answer().status == 500
    assert "script.lua:" in caplog.messages[0].partition("\n")[0]


@pytest.mark.parametrize("call", ["error('own', 0)", "error({})", "error('script.lua:1: own', 0)"])
def test_errors_of_the_script_stay_as_they_are(
    serve: Serve, caplog: pytest.LogCaptureFixture, call: str
) -> None:
    served = serve(f"function handler(req, io) {call} end")
    assert served.answer().status == 500
    first = caplog.messages[0].partition("\n")[0]
    assert first in [
        f"handler error on GET / of 192.0.2.1 (answered with 500): {text}"
        for text in ("own", "{}", "script.lua:1: own")
    ]


def test_pcall_gets_the_text_alone(serve: Serve) -> None:
    served = serve("function handler(req, io) see(pcall(io.write, io, {})) see(pcall(httpng.cfg)) end")
    served.ask()
    assert served.seen() == [
        "false body must be a string or a number, not table",
        "false No parameters specified",
    ]


# Modules -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sandbox", [False, True], ids=["open", "sandbox"])
@pytest.mark.parametrize("is_nested", [False, True], ids=["of the script", "of a module"])
def test_a_syntax_error_in_a_module_is_shown_whole(
    write: Write, lua: str, sandbox: bool, is_nested: bool
) -> None:
    path = write("local httpng = require 'httpng'\nrequire 'mine'\nhttpng.cfg{handler = print}")
    (path.parent / "mine.lua").write_text("return require 'inner'" if is_nested else "local x = = 5")
    (path.parent / "inner.lua").write_text("local x = = 5")
    told = error_of(path, lua, sandbox=sandbox)
    assert f"{'inner' if is_nested else 'mine'}.lua:1: unexpected symbol near '='" in told
    assert "\n" not in told


def test_a_module_that_is_not_there_is_named(write: Write, lua: str) -> None:
    told = error_of(write("\nrequire 'nothing.like.it'"), lua)
    assert told.endswith("script.lua:2: module 'nothing.like.it' not found")


def test_an_error_of_several_lines_is_shown_whole(write: Write, lua: str) -> None:
    told = error_of(write("error('one\\ntwo')"), lua)
    assert told.endswith("script.lua:1: one two")


WAITS = [
    ("req:read()", b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n"),
    ("io:upgrade_to_websocket():receive()", request()),
]


@pytest.mark.parametrize(("call", "sent"), WAITS, ids=["read", "receive"])
def test_a_wait_for_the_client_that_is_cancelled_names_the_line(
    serve: Serve, caplog: pytest.LogCaptureFixture, call: str, sent: bytes
) -> None:
    script = f"function handler(req, io)\nfiber.self():cancel()\nlocal got = {call}\nend"
    served = serve(script, stream_bodies=True)
    served.loop.connect().send(sent)
    assert f"script.lua:{FIRST + 2}: fiber is cancelled" in caplog.messages[0].partition("\n")[0]
