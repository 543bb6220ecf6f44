"""The documentation says what is so: links lead somewhere, code runs, settings and names are the code's."""

import re
from dataclasses import Field, fields
from pathlib import Path
from typing import Any

import anyio
import pytest
from docs import generate
from docs.lua_entries import read_entries
from docs.python_entries import define, methods, public_names
from tests.core.websocket.speaking import close as close_frame
from tests.core.websocket.speaking import request as handshake
from tests.driver.harness import Client, in_thread, serving_on, within_bound

import httpng_core
from httpng_core import ConfigError, Settings, parse_settings
from httpng_core.testing import Clock, Loopback
from httpng_driver import main
from httpng_lua import LuaApplication

ROOT = Path(__file__).parent.parent
FRAMES = ROOT / "docs" / "reference" / "frames"
PAGES = sorted(
    page
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "changes" / "README.md"]
    if page.parent != FRAMES
)
SETTINGS_PAGE = (ROOT / "docs" / "reference" / "settings.md").read_text()
REFERENCE = "\n".join(page.read_text() for page in sorted(ROOT.glob("docs/reference/*.md")))

_FENCED = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")
_FILE = re.compile(r"(?:#|--) file: (\S+)\n")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def prose(page: Path) -> str:
    return _FENCED.sub("", page.read_text())


def anchors(page: Path) -> set[str]:
    """What GitHub calls the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def files_in(page: Path) -> list[tuple[str, str]]:
    """The code blocks that are whole files: their names and texts."""
    found = []
    for _, _, text in _FENCED.findall(page.read_text()):
        named = _FILE.match(text)
        if named:
            found.append((named[1], text))
    return found


FILES = [(page, name, text) for page in PAGES for name, text in files_in(page)]


# Pages -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for link in _LINK.findall(prose(page)):
        if "://" in link:
            continue
        place, _, anchor = link.partition("#")
        target = (page.parent / place).resolve() if place else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_every_page_of_the_documentation_can_be_reached() -> None:
    seen: set[Path] = set()
    ahead = [ROOT / "README.md"]
    while ahead:
        page = ahead.pop()
        if page in seen or page.suffix != ".md" or not page.is_file():
            continue
        seen.add(page)
        links = [link for link in _LINK.findall(prose(page)) if "://" not in link]
        ahead += [(page.parent / link.partition("#")[0]).resolve() for link in links]
    assert [name_of(page) for page in PAGES if page not in seen and page.name != "CHANGELOG.md"] == []


def test_there_are_whole_files_to_test() -> None:
    assert {name_of(page) for page, _, _ in FILES} >= {"README.md", "docs/tutorial.md"}
    assert [name for name, _ in files_in(ROOT / "README.md")] == ["app.py", "app.lua"]


@pytest.mark.parametrize(
    ("name", "text"),
    [pytest.param(name, text, id=f"{name_of(page)}:{name}") for page, name, text in FILES],
)
def test_whole_files_compile(name: str, text: str, tmp_path: Path) -> None:
    if name.endswith(".py"):
        compile(text, name, "exec")
    else:
        script = tmp_path / name
        script.write_text(text)
        LuaApplication(script, clock=Clock(), wall_clock=lambda: 0.0)


# The handlers of the README ----------------------------------------------------------------------------


def written(directory: Path, page: str, name: str) -> Path:
    """A file of a page, where it can be run."""
    path = directory / name
    path.write_text(dict(files_in(ROOT / page))[name])
    return path


def check_slow_answer(body: bytes) -> None:
    """The client has exactly as many dots as the handler was told."""
    dots, told = body.removesuffix(b"\n").split(b"\n")
    assert told == b"%d bytes in half a second" % len(dots)
    assert set(dots) == set(b".")
    assert len(dots) < 64_000_000


def test_the_lua_handler_of_the_readme(tmp_path: Path) -> None:
    clock = Clock()
    script = written(tmp_path, "README.md", "app.lua")
    loop = Loopback(LuaApplication(script, clock=clock), clock=clock)
    client = loop.connect(room=100_000)
    client.get()
    loop.advance(0.5)
    client.give_room()
    (response,) = client.responses()
    assert response.complete
    check_slow_answer(response.body)


def test_the_python_handler_of_the_readme() -> None:
    namespace: dict[str, Any] = {}
    exec(dict(files_in(ROOT / "README.md"))["app.py"], namespace)
    loop = Loopback(namespace["handler"])
    client = loop.connect(room=100_000)
    client.get()
    loop.advance(0.5)
    client.give_room()
    (response,) = client.responses()
    assert response.complete
    check_slow_answer(response.body)


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
def test_the_python_handler_of_the_readme_over_a_socket(anyio_backend: str) -> None:
    namespace: dict[str, Any] = {}
    exec(dict(files_in(ROOT / "README.md"))["app.py"], namespace)
    handler = namespace["handler"]

    async def told_of_writes(req: Any, io: Any) -> object:
        write = io.write

        async def telling_write(*args: Any, **kwargs: Any) -> object:
            result = await write(*args, **kwargs)
            written_once.set()
            return result

        io.write = telling_write
        return await handler(req, io)

    async def scenario() -> bytes:
        async with serving_on(anyio_backend)(told_of_writes) as server:
            with Client(server.addresses[0], receive_buffer=65536) as client:
                client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                # Reads nothing for the half second that the handler gives it.
                await within_bound(written_once)
                return (await in_thread(client.read_response)).body

    written_once = anyio.Event()
    check_slow_answer(anyio.run(scenario, backend=anyio_backend))


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
def test_the_feed_of_the_how_to_is_published_to(anyio_backend: str) -> None:
    page = ROOT / "docs" / "how-to" / "keep-slow-clients-fresh.md"
    namespace: dict[str, Any] = {}
    exec(dict(files_in(page))["ticker_feed_app.py"], namespace)

    async def scenario() -> None:
        async with serving_on(anyio_backend)(namespace["handler"]) as server:
            with Client(server.addresses[0]) as client:
                client.request()
                assert (await in_thread(client.read_body, 10)).body.startswith(b"data: ")

    anyio.run(scenario, backend=anyio_backend)


def test_the_how_to_about_tests_passes_as_it_stands() -> None:
    namespace: dict[str, Any] = {}
    exec(dict(files_in(ROOT / "docs" / "how-to" / "test-handlers.md"))["test_handlers.py"], namespace)
    tests = [value for name, value in namespace.items() if name.startswith("test_")]
    assert len(tests) == 2
    for test in tests:
        test()


# The settings ------------------------------------------------------------------------------------------


def rows(page: str) -> dict[str, list[str]]:
    """The rows of all tables by the name in their first column."""
    found = {}
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `"):
            found[cells[0].strip("`")] = cells[1:]
    return found


def options(capsys: pytest.CaptureFixture[str]) -> set[str]:
    """All long options of the command line, by its help."""
    with pytest.raises(SystemExit):
        main(dict.fromkeys(["auto", "asyncio", "uvloop"], print), "httpng", "0", ["--help"])
    return set(re.findall(r"--[a-z][a-z0-9-]+", capsys.readouterr().out))


def default_of(setting: "Field[Any]") -> str:
    default: Any = setting.default
    if default is None:
        return "None"
    if isinstance(default, bool):
        return str(default).lower()
    return f'"{default}"' if isinstance(default, str) else str(default).removesuffix(".0")


def range_of(setting: "Field[Any]") -> str:
    """The range as the message of a value beyond it tells it."""
    name = setting.name
    if name in ("min_proto_version", "openssl_security_level", "thread_termination_timeout"):
        # Their messages are those of the original, which don't tell it, or there is nothing to tell.
        return str(setting.metadata["rule"].range)
    for beyond in (-1, "?"):
        try:
            parse_settings({name: beyond})
        except ConfigError as error:
            _, is_range, told = str(error).partition(", must be ")
            if is_range:
                return told
    raise AssertionError(f"{name} takes anything")


@pytest.mark.parametrize("setting", fields(Settings), ids=lambda setting: setting.name)
def test_every_setting_is_told_as_it_is(setting: "Field[Any]") -> None:
    default, told_range, option, *reload = rows(SETTINGS_PAGE)[setting.name]
    fixed = setting.metadata.get("fixed")
    assert reload == ([] if fixed is None else ["stays" if fixed else "may change"])
    assert default == f"`{default_of(setting)}`"
    assert told_range == range_of(setting)
    assert f"`--{setting.name.replace('_', '-')}`" in option.split(", ")
    assert SETTINGS_PAGE.count(f"* `{setting.name}`: ") == 1


def test_every_option_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    told = set(re.findall(r"`(--[a-z0-9-]+)`", REFERENCE))
    assert told == options(capsys)


def test_every_setting_has_a_line_of_help(capsys: pytest.CaptureFixture[str]) -> None:
    """What is new has to get one, with its unit: in the table of `httpng_driver.command.options`."""
    with pytest.raises(SystemExit):
        main({"auto": print}, "httpng", "0", ["--help"])
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if "see the page of the settings" in line or " VALUE " in line] == []


def test_the_limits_of_the_threat_model_are_settings() -> None:
    page = (ROOT / "SECURITY.md").read_text().partition("## Limits")[2]
    told = {name for line in page.splitlines() if line.startswith("| `") for name in _names(line)}
    assert told <= {setting.name for setting in fields(Settings)}
    assert {"header_timeout", "max_body_len", "max_reset_rate", "trusted_proxies"} <= told


def _names(line: str) -> list[str]:
    return re.findall(r"`(\w+)`", line.split("|")[1])


def test_no_setting_is_told_that_is_none() -> None:
    known = {setting.name for setting in fields(Settings)} | {"handler", "listen", "lua", "sites", "uvloop"}
    assert set(rows(SETTINGS_PAGE)) == known


# What is generated --------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", generate.pages(), ids=name_of)
def test_a_generated_page_is_as_generated(page: Path) -> None:
    assert page.read_text() == generate.pages()[page], "run `make docs`"


def in_other_frames(folder: Path, page: str, old: str, new: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The generator reads frames of which one is another."""
    for frame in FRAMES.glob("*.md"):
        text = frame.read_text()
        if frame.name == page:
            assert text.count(old) == 1
            text = text.replace(old, new)
        (folder / frame.name).write_text(text)
    monkeypatch.setattr(generate, "FRAMES", folder)


@pytest.mark.parametrize(
    ("page", "old", "new", "named"),
    [
        ("python.md", ", Holder -->", " -->", "Holder"),
        ("python.md", ", Holder -->", ", Holder, Nothing -->", "Nothing"),
        ("packages.md", "RemoteError", "", "RemoteError"),
        ("settings.md", " stall_timeout", "", "stall_timeout"),
        ("settings.md", " stall_timeout", " stall_timeout stall_timeout", "stall_timeout"),
        ("settings.md", " stall_timeout", " stall_time", "stall_time"),
        ("lua.md", "<!-- lua: cond -->", "", "cond"),
        ("lua.md", "<!-- lua: cond -->", "<!-- lua: cond condition -->", "condition"),
    ],
)
def test_what_has_no_place_in_the_frames_is_named(
    page: str, old: str, new: str, named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_other_frames(tmp_path, page, old, new, monkeypatch)
    with pytest.raises(LookupError, match=rf"\b{named}\b"):
        generate.pages()


def test_both_backends_offer_the_same() -> None:
    offered = {name.replace("Trio", "Asyncio") for name in public_names("httpng_trio")}
    assert offered == set(public_names("httpng_asyncio"))


def test_httpng_offers_what_the_backends_do() -> None:
    missing = set(public_names("httpng_asyncio")) - set(public_names("httpng"))
    assert missing == {"AsyncioReactor"}


# Every function and every field that a script can reach, by the names of the reference.
_REACHABLE = r"""
local httpng, fiber, json, log = require 'httpng', require 'fiber', require 'json', require 'log'
local found = {}

local function note(name, value)
  for _, each in ipairs({value, (getmetatable(value) or {}).__index or {}}) do
    -- A request finds what it lacks by a function.
    if type(each) == 'function' then each = {stash = value.stash, read = value.read} end
    for key, item in pairs(each) do
      if type(key) == 'string' and not key:find('^__') then found[#found + 1] = name .. '.' .. key end
    end
  end
end

-- A WebSocket finds its methods by a function as well: they are one of the tables which that uses.
local function note_websocket(ws)
  local find, at = getmetatable(ws).__index, 1
  repeat
    local name, value = debug.getupvalue(find, at)
    if type(value) == 'table' and value.send_text then note('ws', value) end
    at = at + 1
  until not name
  for _, key in ipairs({'close_code', 'close_reason', 'subprotocol'}) do
    if ws[key] ~= nil then found[#found + 1] = 'ws.' .. key end
  end
end

local function handler(req, io)
  if req.is_websocket then
    io.headers['sec-websocket-protocol'] = 'chat'
    return note_websocket(io:upgrade_to_websocket())
  end
  note('httpng', httpng); note('fiber', fiber); note('json', json); note('log', log)
  note('httpng.router', httpng.router); note('router', httpng.router.new())
  note('feed', httpng.feed()); note('keys', httpng.keys()); note('f', fiber.self())
  note('ch', fiber.channel()); note('cond', fiber.cond())
  note('confirmations', httpng.confirmations('/x'))
  note('req', req); note('io', io)
  return table.concat(found, '\n')
end

httpng.cfg{handler = handler, listen = '127.0.0.1:3300'}
"""
# Told by the entries of what they belong to, and what an object keeps for itself.
_NO_ENTRY = {
    "httpng.router",
    "confirmations.handler",
    "confirmations.path",
    "ch.capacity",
    "ch.first",
    "ch.getters",
    "ch.last",
    "ch.putters",
    "ch.values",
    "cond.waiting",
}


def test_all_that_a_script_can_reach_is_told(tmp_path: Path) -> None:
    script = tmp_path / "app.lua"
    script.write_text(_REACHABLE)
    clock = Clock()
    loop = Loopback(LuaApplication(script, clock=clock, wall_clock=lambda: 0.0), clock=clock)
    loop.connect().send(handshake(sec_websocket_protocol="chat") + close_frame())
    client = loop.connect()
    client.get("/?query")
    (response,) = client.responses()
    found = set(response.body.decode().split("\n")) - _NO_ENTRY
    assert len(found) > 60
    told = {name for entry in read_entries(ROOT) for name in entry.names}
    page = (ROOT / "docs" / "reference" / "lua.md").read_text()
    fields = {
        name
        for name in found
        if name.startswith(("req.", "io.")) and f"`{name.removeprefix('req.')}`" in page
    }
    assert sorted(found - told - fields) == []
    assert sorted(name for name in told if name not in found and not name.startswith("io.")) == []


@pytest.mark.parametrize("name", [name for name in httpng_core.__all__ if name != "__version__"])
def test_every_public_name_of_core_has_an_entry(name: str) -> None:
    assert re.search(rf"^#+ `(?:\w+\.)?{name}`$", REFERENCE, re.MULTILINE)


def test_what_embedders_call_is_on_one_page() -> None:
    page = (ROOT / "docs" / "reference" / "core.md").read_text()
    for name in ("Connection", "Exchange", "Host", "Pending", "Readiness", "RequestReceived", "Runner"):
        assert f"\n### `{name}`\n" in page


def test_the_verbs_and_questions_of_a_connection_are_all_in_the_how_to() -> None:
    page = (ROOT / "docs" / "how-to" / "embed.md").read_text()
    calls = methods(define("httpng_core", "Connection"))
    assert [name for name in calls if not re.search(rf"`{name}\b", page)] == []
