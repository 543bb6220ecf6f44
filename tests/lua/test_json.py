"""The module json, on both runtimes, against Python's."""

import json
import random
import struct
from typing import Any

import pytest
from tests.lua.conftest import Serve, Served

RUN = """
local json = require 'json'
-- JSON in, and out again.
function handler(req, io)
  return json.encode(json.decode(req.body))
end
"""
LUA = """
local json = require 'json'
local function tried(fn, ...)
  local ok, value = pcall(fn, ...)
  return ok and value or 'error: ' .. tostring(value)
end
function handler(req, io)
  if req.path == '/decode' then return tried(json.decode, req.body) end
  local make = assert((loadstring or load)('local json = ... return ' .. req.body))
  return tried(json.encode, make(json))
end
"""


def post(served: Served, path: str, body: bytes) -> bytes:
    client = served.loop.connect()
    client.send(
        b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (path.encode(), len(body)) + body
    )
    [response] = client.responses("POST")
    assert response.complete
    return response.body


def encode(served: Served, expression: str) -> str:
    return post(served, "/encode", expression.encode()).decode()


ENCODED = [
    ("nil", "null"),
    ("json.null", "null"),
    ("json.NULL", "null"),
    ("true", "true"),
    ("false", "false"),
    ("5", "5"),
    ("-5", "-5"),
    ("3.0", "3"),
    ("0.1", "0.1"),
    ("1e15", "1000000000000000"),
    ("2^53", "9007199254740992"),
    ("2^60 + 2^9", "1.1529215046068475e+18"),
    ("1e300", "1e+300"),
    ("0.1 + 0.2", "0.30000000000000004"),
    ("1/3", "0.3333333333333333"),
    ("'text'", '"text"'),
    (r"'\"\\/\n\r\t\8\12\0\31\127'", r'"\"\\/\n\r\t\u0008\u000c\u0000\u001f' + '\x7f"'),
    ("'\u00e4\u20ac\U0001f600'", '"\u00e4\u20ac\U0001f600"'),
    ("{}", "[]"),
    ("{1, 'a', {true}}", '[1,"a",[true]]'),
    ("{1, nil, 3}", "[1,null,3]"),
    ("{1, json.null, 3}", "[1,null,3]"),
    ("{[10] = 1}", "[" + "null," * 9 + "1]"),
    ("{a = 1}", '{"a":1}'),
    ("{a = json.null}", '{"a":null}'),
    ("{a = {}}", '{"a":[]}'),
    ("{['\u00e4\"'] = 1}", '{"\u00e4\\"":1}'),
    ("{[0] = 1}", '{"0":1}'),
    ("{[1.5] = 1}", '{"1.5":1}'),
    ("setmetatable({}, {})", "[]"),
    ("setmetatable({}, {__serialize = 'map'})", "{}"),
    ("setmetatable({}, {__serialize = 'mapping'})", "{}"),
    ("setmetatable({5}, {__serialize = 'map'})", '{"1":5}'),
    ("setmetatable({5}, {__serialize = 'seq'})", "[5]"),
    ("setmetatable({}, {__serialize = 'array'})", "[]"),
    ("setmetatable({}, {__serialize = 'sequence'})", "[]"),
    ("setmetatable({}, {__serialize = function() return {'made'} end})", '["made"]'),
    ("{a = setmetatable({}, {__metatable = 'locked'})}", '{"a":[]}'),
]


@pytest.mark.parametrize(("value", "text"), ENCODED)
def test_encode(serve: Serve, value: str, text: str) -> None:
    assert encode(serve(LUA), value) == text


def test_mixed_keys_make_an_object(serve: Serve) -> None:
    assert json.loads(encode(serve(LUA), "{1, 2, a = 3}")) == {"1": 1, "2": 2, "a": 3}


NOT_ENCODED = [
    ("print", "can't encode a function"),
    ("{a = {1, print}}", "can't encode a function in .a[2]"),
    ("{[print] = 1}", "a key is a function"),
    ("{[true] = 1}", "a key is a boolean"),
    ("0/0", "a number is not finite"),
    ("{1/0}", "a number is not finite in [1]"),
    ("{-1/0}", "a number is not finite in [1]"),
    ("{[11] = 1}", "an array is too sparse"),
    ("{a = {[1e9] = 1}}", "an array is too sparse in .a"),
    ("setmetatable({a = 1}, {__serialize = 'seq'})", "an array has other keys"),
    (r"'ab\255'", "a string is not UTF-8 at byte 3"),
    (r"{a = {b = '\228'}}", "a string is not UTF-8 at byte 1 in .a.b"),
    (r"{['\228'] = 1}", "a string is not UTF-8 at byte 1 in .\\xe4"),
    ("(function() local t = {} t[1] = t return t end)()", "nested more than 128 deep"),
    (
        "(function() local t t = setmetatable({}, {__serialize = function() return t end}) return t end)()",
        "nested more than 128 deep",
    ),
]


@pytest.mark.parametrize(("value", "message"), NOT_ENCODED)
def test_what_can_not_be_encoded_is_told_with_its_place(serve: Serve, value: str, message: str) -> None:
    said = post(serve(LUA), "/encode", value.encode()).decode(errors="backslashreplace")
    assert said == f"error: json.encode: {message}"


NOT_UTF8 = [
    b"\x80",
    b"\xc0\xaf",
    b"\xc1\xbf",
    b"\xc3",
    b"\xc3(",
    b"\xe0\x80\xaf",
    b"\xe2\x82",
    b"\xed\xa0\x80",
    b"\xf0\x8f\xbf\xbf",
    b"\xf4\x90\x80\x80",
    b"\xf5\x80\x80\x80",
    b"\xff",
]


@pytest.mark.parametrize("wrong", NOT_UTF8)
def test_bytes_that_are_not_utf8_are_found_wherever_they_are(serve: Serve, wrong: bytes) -> None:
    served = serve(LUA)
    before = "\u00e4\u20ac\U0001f600\U0010ffff\ud7ff\ue000".encode()
    said = post(served, "/decode", b'["' + before + wrong + b'"]')
    assert said == b"error: json.decode: not UTF-8 at byte %d" % (len(before) + 3)


def test_utf8_is_what_python_says_it_is(serve: Serve) -> None:
    served = serve(
        """
        local json = require 'json'
        function handler(req) return pcall(json.encode, req.body) and 'yes' or 'no' end"""
    )
    generator = random.Random(5)
    seen = set()
    for _ in range(400):
        head = generator.choice((0xC2, 0xDF, 0xE0, 0xE1, 0xEC, 0xED, 0xEE, 0xEF, 0xF0, 0xF1, 0xF3, 0xF4))
        tail = [generator.choice((0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0x41)) for _ in range(3)]
        sample = bytes([head, *tail])[: generator.randint(1, 4)]
        try:
            sample.decode()
            right = b"yes"
        except UnicodeDecodeError:
            right = b"no"
        assert post(served, "/", sample) == right, sample
        seen.add(right)
    assert seen == {b"yes", b"no"}


DECODED = [
    "null",
    " true ",
    "false",
    "0",
    "-1",
    "12345678901",
    "0.5",
    "-1.5e-3",
    "1E+2",
    '""',
    '"a\\u0041\\u00e4\\u20AC\\ud83d\\ude00\\uD83D\\uDE00\\u0000"',
    '"\\"\\\\\\/\\b\\f\\n\\r\\t"',
    '"\x7f"',
    "[]",
    "[ ]",
    "{}",
    "{ }",
    "[1, 2,\t[3]\r\n]",
    '{"a": {"b": [null, {}]}, "\\u00e4": [[]]}',
    '{"a": 1, "a": 2}',
    "[" * 128 + "]" * 128,
]


@pytest.mark.parametrize("text", DECODED)
def test_decode_and_encode_again(serve: Serve, text: str) -> None:
    assert json.loads(post(serve(RUN), "/", text.encode())) == json.loads(text)


NOT_DECODED = [
    ("", "expected a value at byte 1"),
    ("  ", "expected a value at byte 3"),
    ("nul", "expected a value at byte 1"),
    ("nan", "expected a value at byte 1"),
    ("Infinity", "expected a value at byte 1"),
    ("+1", "expected a value at byte 1"),
    ("-", "expected a value at byte 1"),
    (".5", "expected a value at byte 1"),
    ("01", "expected the end at byte 2"),
    ("1.", "expected the end at byte 2"),
    ("1e", "expected the end at byte 2"),
    ("0x10", "expected the end at byte 2"),
    ("1e999", "number out of range at byte 1"),
    ("-1e999", "number out of range at byte 1"),
    ("[1", "expected ',' or ']' at byte 3"),
    ("[1,]", "expected a value at byte 4"),
    ("[1 2]", "expected ',' or ']' at byte 4"),
    ("[,1]", "expected a value at byte 2"),
    ("{", "expected a key at byte 2"),
    ("{1:2}", "expected a key at byte 2"),
    ('{"a" 1}', "expected ':' at byte 6"),
    ('{"a":}', "expected a value at byte 6"),
    ('{"a":1', "expected ',' or '}' at byte 7"),
    ('{"a":1,}', "expected a key at byte 8"),
    ("1 1", "expected the end at byte 3"),
    ('"a', "unfinished string at byte 1"),
    ('"a\\"', "unfinished string at byte 1"),
    ('"a\nb"', "control character in a string at byte 3"),
    ('"\0"', "control character in a string at byte 2"),
    ('"\\x"', "wrong escape at byte 2"),
    ('"\\u12G4"', "wrong escape at byte 2"),
    ('"\\ud800"', "half a surrogate pair at byte 2"),
    ('"\\udc00\\udc00"', "half a surrogate pair at byte 2"),
    ('"\\ud800\\u0041"', "half a surrogate pair at byte 2"),
    ("[" * 129, "nested more than 128 deep at byte 129"),
    ('{"a":' * 129, "nested more than 128 deep at byte 641"),
    ("\ufeff1", "expected a value at byte 1"),
    ("'a'", "expected a value at byte 1"),
    ("[1] // x", "expected the end at byte 5"),
]


@pytest.mark.parametrize(("text", "message"), NOT_DECODED)
def test_what_is_no_json_is_told_with_its_place(serve: Serve, text: str, message: str) -> None:
    assert post(serve(LUA), "/decode", text.encode()).decode() == f"error: json.decode: {message}"


def random_value(generator: random.Random, depth: int = 0) -> Any:
    kind = generator.randrange(7 if depth < 4 else 5)
    if kind == 0:
        return generator.choice((None, True, False))
    if kind == 1:
        return generator.randint(-(2**53) + 1, 2**53 - 1)
    if kind == 2:
        number: float = struct.unpack("d", generator.randbytes(8))[0]
        return number if number - number == 0 else 0.5
    if kind in (3, 4):
        points = (generator.choice((0x41, 0x22, 0x5C, 0, 0x1F, 0xE4, 0x20AC, 0x1F600)) for _ in range(6))
        return "".join(map(chr, points))
    size = generator.randrange(5)
    if kind == 5:
        return [random_value(generator, depth + 1) for _ in range(size)]
    return {f"k{index}": random_value(generator, depth + 1) for index in range(size)}


@pytest.mark.parametrize("ascii_only", [True, False])
def test_values_go_through_unchanged(serve: Serve, ascii_only: bool) -> None:
    served, generator = serve(RUN), random.Random(7)
    for _ in range(150):
        value = random_value(generator)
        text = json.dumps(value, ensure_ascii=ascii_only)
        assert json.loads(post(served, "/", text.encode())) == value


def test_what_is_decoded_and_what_null_is(serve: Serve) -> None:
    served = serve(
        """
        local json = require 'json'
        function handler(req)
          local value = json.decode('{"a": [1, null, "x"], "b": null}')
          see(value.a[1] + 1, value.a[2] == json.null, #value.a, value.a[3], value.b == json.null, value.c)
          see(json.null == nil, box.NULL == nil, tostring(json.null) ~= '', json.null == 5)
          see(pcall(json.decode))
          see(pcall(json.decode, 5))
        end"""
    )
    served.ask()
    values, null, no_value, number = served.seen()
    assert values == "2 true 3 x true nil"
    assert null.partition(" ")[2] == "true true false"
    assert no_value == "false json.decode needs a string, not nil"
    assert number == "false json.decode needs a string, not number"


@pytest.mark.parametrize("lua", ["luajit21"], indirect=True)
def test_on_luajit_json_null_is_box_null_and_the_default_of_a_setting(serve: Serve) -> None:
    served = serve(
        """
        local json = require 'json'
        see(json.null == box.NULL, json.encode({box.NULL}), type(box.NULL))
        httpng.feed{max_queued = json.decode('null')}"""
    )
    assert served.seen() == ["true [null] cdata"]


@pytest.mark.parametrize("lua", ["lua54"], indirect=True)
def test_integers_of_lua_54_stay_exact(serve: Serve) -> None:
    served = serve(RUN)
    for text in (b"9223372036854775807", b"-9223372036854775807"):
        assert post(served, "/", text) == text


@pytest.mark.parametrize("lua", ["lua54"], indirect=True)
def test_on_lua_54_null_has_a_value_of_its_own(serve: Serve) -> None:
    served = serve(
        """
        local json = require 'json'
        see(json.null == nil, rawequal(box.NULL, nil), tostring(json.null), getmetatable(json.null))"""
    )
    assert served.seen() == ["false true null false"]
