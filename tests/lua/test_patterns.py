"""Patterns matched in Lua, which a hook can stop, find what C finds: compared on patterns made by chance."""

import random
import re
from collections.abc import Callable
from importlib import import_module
from importlib.resources import files
from typing import Any

import pytest

COUNT = 6000

# What a call returned, or raised, as one text.
SHOW = rb"""
local function show(...)
  local list = {...}
  for at = 1, select('#', ...) do
    local value = list[at]
    list[at] = type(value) == 'string' and ('%q'):format(value) or tostring(value)
  end
  return table.concat(list, ',')
end
local CALLS = {
  find = string.find,
  match = string.match,
  plain = function(source, text, init) return string.find(source, text, init, true) end,
  gsub = string.gsub,
  gsub_some = function(source, pattern, most) return string.gsub(source, pattern, '<%0>', most) end,
  gsub_table = function(source, pattern)
    return string.gsub(source, pattern, {a = 'A', ab = 5, b = false})
  end,
  gsub_call = function(source, pattern)
    return string.gsub(source, pattern, function(...) return select('#', ...) .. table.concat({...}, '+') end)
  end,
  gmatch = function(source, pattern)
    local list = {}
    for a, b, c in string.gmatch(source, pattern) do
      list[#list + 1] = tostring(a) .. ';' .. tostring(b) .. ';' .. tostring(c)
      if #list > 100 then break end
    end
    return table.concat(list, '|')
  end,
}
return function(how, ...) return show(pcall(CALLS[how], ...)) end
"""

_ATOMS = r"""
    a b . %a %d %s %w [ab] [^a] [a-b] []a] [%w_] %. %% - ( ) () (a (. %1 %2 %b() %bab %f[%w] %f[^a] ^ $ [^%s]
    ab %W x (a*(.)%w(%s*)) %l [ %
"""
ATOMS = [*_ATOMS.split(), "\0"]
REPEATS = ["", "", "", "*", "+", "-", "?"]
ARGUMENTS: dict[str, list[object]] = {
    "find": [None, 1, 2, -2, 0, 20, -20],
    "match": [None, 1, 3, -1, 30],
    "plain": [None, 1, 3, -1, 30],
    "gsub": [b"%0", b"<%1>", b"%%", b"x", b"", b"%2", b"%z", 5],
    "gsub_some": [0, 1, 2, -1],
}
WAYS = ["find", "match", "plain", "gsub", "gsub_some", "gsub_table", "gsub_call", "gmatch"]

Show = Callable[..., bytes]


def runtime(lua: str, *parts: str, most_steps: int = 0) -> Show:
    """Lua's own functions, or with `parts` ours: always, as C may take no step at all."""
    state = import_module(f"lupa.{lua}").LuaRuntime(encoding=None)
    core = state.table_from({b"look_at_clock": lambda: None, b"most_steps": most_steps})
    for part in parts:
        source = files("httpng_lua.confine").joinpath(part).read_bytes()
        state.execute(source, None, core)
    show: Show = state.execute(SHOW)
    return show


def pattern(chance: random.Random) -> bytes:
    text = "".join(chance.choice(ATOMS) + chance.choice(REPEATS) for _ in range(chance.randint(0, 5)))
    return ("^" * (chance.random() < 0.2) + text + "$" * (chance.random() < 0.1)).encode()


def subject(chance: random.Random) -> bytes:
    return "".join(chance.choice("aabbab 12.(x)^$-%\0[]") for _ in range(chance.randint(0, 9))).encode()


def plainly(told: bytes) -> bytes:
    """Without what differs in the words of an error: its place, and the number of a capture."""
    if not told.startswith(b"false"):
        return told
    return re.sub(rb'"(\[string [^:]*:\d+: )?(.*?)( %\d)?"', rb"\2", told)


def is_early(told: bytes) -> bool:
    """Ours reads a pattern whole before it matches; C may never get to what is wrong with it."""
    return told.startswith(b"false") and (b"malformed" in told or b"missing '['" in told)


@pytest.mark.parametrize("seed", range(2))
def test_ours_find_what_c_finds(lua: str, seed: int) -> None:
    chance = random.Random(seed)
    ours, theirs = runtime(lua, "patterns.lua", "searches.lua"), runtime(lua)
    compared = 0
    for _ in range(COUNT):
        how = chance.choice(WAYS)
        arguments: list[Any] = [subject(chance), pattern(chance)]
        if how in ARGUMENTS:
            arguments.append(chance.choice(ARGUMENTS[how]))
        mine, expected = (plainly(show(how.encode(), *arguments)) for show in (ours, theirs))
        if not is_early(mine):
            assert mine == expected, (how, *arguments)
            compared += 1
    assert compared > COUNT * 0.9


@pytest.mark.parametrize(
    ("source", "pattern"),
    [(b"x" * 300, b"(" * 33 + b")" * 33), (b"a" * 300, b"a?" * 250 + b"b"), (b"x", b"%b")],
)
def test_what_c_refuses_ours_refuse(lua: str, source: bytes, pattern: bytes) -> None:
    told = runtime(lua, "patterns.lua", "searches.lua")(b"find", source, pattern)
    assert told.startswith(b"false,")
    assert any(
        words in told for words in (b"too many captures", b"pattern too complex", b"malformed pattern")
    )


def test_short_strings_and_simple_patterns_are_left_to_c(lua: str) -> None:
    """Ours would raise here, as it reads the pattern whole; C never gets so far."""
    left = runtime(lua, "patterns.lua", "searches.lua", most_steps=10**7)
    assert left(b"find", b"some text", b"t%w+") == b"true,6,9"
    assert left(b"gsub", b"some text", b"%s+", b"_") == b'true,"some_text",1'
    assert left(b"gmatch", b"a b", b"%w") == b'true,"a;nil;nil|b;nil;nil"'


def test_patterns_are_forgotten_in_the_end(lua: str) -> None:
    show = runtime(lua, "patterns.lua", "searches.lua")
    for number in range(500):
        assert show(b"find", b"%d" % number, b"^%d" % number + b"$") == b"true,1,%d" % len(str(number))
