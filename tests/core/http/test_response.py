"""What handlers give as status, headers and body: checked before anything of it is sent."""

from collections import deque
from enum import Enum, IntEnum
from functools import partial
from http import HTTPStatus
from typing import Any

import pytest

from httpng_core import Response
from httpng_core.http import body_bytes, reason_phrase, response_head
from httpng_core.testing import Loopback


class Media(str, Enum):  # noqa: UP042 - its str() is its name, unlike that of a StrEnum
    JSON = "application/json"
    SPLIT = "a\r\nb"


class Wire(bytes, Enum):
    JSON = b"application/json"


class Code(int, Enum):
    OK = 200
    TEAPOT = 418


class Level(IntEnum):
    HIGH = 3


class Ratio(float, Enum):
    HALF = 0.5


class Shouting(str):
    def __str__(self) -> str:
        return self.upper()


def headers_of(source: Any) -> tuple[tuple[bytes, bytes], ...]:
    return response_head(200, source).headers


# Status codes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [200, 204, 299, 404, 418, 599, HTTPStatus.NOT_FOUND])
def test_codes_that_end_a_request(code: int) -> None:
    assert response_head(code, None).status == code


@pytest.mark.parametrize("code", [-1, 0, 99, 600, 1000])
def test_codes_outside_100_to_599_raise(code: int) -> None:
    with pytest.raises(ValueError, match=r"outside 100\.\.599"):
        response_head(code, None)


@pytest.mark.parametrize("code", [100, 101, 103, 199])
def test_interim_codes_raise(code: int) -> None:
    with pytest.raises(ValueError, match="interim"):
        response_head(code, None)


@pytest.mark.parametrize("code", ["200", 200.0, True, None, b"200"])
def test_codes_that_are_no_integers_raise(code: Any) -> None:
    with pytest.raises(TypeError, match="HTTP code is not an integer"):
        response_head(code, None)


@pytest.mark.parametrize(("code", "bodiless"), [(204, True), (304, True), (200, False), (205, True)])
def test_which_codes_forbid_a_body(code: int, bodiless: bool) -> None:
    assert response_head(code, None).bodiless is bodiless


def test_the_status_line_has_the_number_of_a_code_whatever_it_is_a_member_of() -> None:
    for code, number in [(Code.TEAPOT, b"418"), (HTTPStatus.IM_A_TEAPOT, b"418"), (418, b"418")]:
        client = Loopback(partial(lambda code, req: Response(status=code), code)).connect()
        client.send(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        assert client.received.startswith(b"HTTP/1.1 %s " % number)


@pytest.mark.parametrize(
    ("code", "phrase"),
    [
        (200, "OK"),
        (206, "Partial Content"),
        (413, "Content Too Large"),
        (414, "URI Too Long"),
        (416, "Range Not Satisfiable"),
        (422, "Unprocessable Content"),
        (431, "Request Header Fields Too Large"),
        (599, ""),
    ],
)
def test_reason_phrases_are_those_of_the_registry_on_every_python(code: int, phrase: str) -> None:
    assert reason_phrase(code) == phrase


def test_every_code_that_python_knows_has_a_phrase() -> None:
    unnamed = {code for code in HTTPStatus if code >= 200 and not reason_phrase(code)}
    assert unnamed == set()


# Headers: forms ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", [None, {}, [], ()])
def test_no_headers(source: Any) -> None:
    head = response_head(200, source)
    assert (head.status, head.headers, head.content_length, head.close) == (200, (), None, False)


@pytest.mark.parametrize(
    "source",
    [
        {"X-One": "1", "x-two": b"2"},
        [("X-One", "1"), (b"x-two", "2")],
        (pair for pair in [("x-one", 1), ("X-TWO", 2)]),
        {"x-one": 1, "x-two": [2]},
    ],
)
def test_a_mapping_or_pairs(source: Any) -> None:
    assert headers_of(source) == ((b"x-one", b"1"), (b"x-two", b"2"))


@pytest.mark.parametrize(
    "several",
    [
        list,
        tuple,
        deque,
        iter,
        lambda values: dict.fromkeys(values).keys(),
        lambda values: dict(enumerate(values)).values(),
        lambda values: (value for value in values),
        lambda values: map(str, values),
    ],
)
def test_what_can_be_iterated_over_repeats_the_header(several: Any) -> None:
    twice = ((b"set-cookie", b"a=1"), (b"set-cookie", b"b=2"))
    assert headers_of({"set-cookie": several(["a=1", "b=2"])}) == twice
    assert headers_of([("set-cookie", several(["a=1", "b=2"]))]) == twice


@pytest.mark.parametrize("none", [[], (), set(), frozenset(), iter(())])
def test_no_values_are_no_header(none: Any) -> None:
    assert headers_of({"set-cookie": none}) == ()


def test_a_set_of_values_repeats_the_header_in_any_order() -> None:
    for values in ({"a=1", "b=2"}, frozenset({"a=1", "b=2"})):
        assert sorted(headers_of({"set-cookie": values})) == [
            (b"set-cookie", b"a=1"),
            (b"set-cookie", b"b=2"),
        ]


def test_of_two_spellings_of_one_name_in_a_mapping_the_later_counts() -> None:
    assert headers_of({"ETag": "a", "x": "1", "etag": "b"}) == ((b"x", b"1"), (b"etag", b"b"))
    assert headers_of({"etag": "b", "ETag": "a"}) == ((b"etag", b"a"),)
    assert headers_of({"ETAG": ["a", "b"], "etag": ["c", "d"]}) == ((b"etag", b"c"), (b"etag", b"d"))
    assert headers_of({"etag": "a", b"etag": "b"}) == ((b"etag", b"b"),)
    assert headers_of({"X": "1" * 100, "x": "2"}) == ((b"x", b"2"),)
    assert response_head(200, {"Content-Length": 5, "content-length": 6}).content_length == 6
    assert not response_head(200, {"Connection": "close", "connection": "keep-alive"}).close


def test_the_same_pairs_as_a_mapping_and_as_pairs_are_not_mixed_up() -> None:
    pairs = (("Etag", "a"), ("etag", "b"))
    for _ in range(2):
        assert headers_of(dict(pairs)) == ((b"etag", b"b"),)
        assert headers_of(pairs) == ((b"etag", b"a"), (b"etag", b"b"))


@pytest.mark.parametrize(
    ("value", "wire"),
    [
        (Media.JSON, b"application/json"),
        (Wire.JSON, b"application/json"),
        (Code.OK, b"200"),
        (HTTPStatus.OK, b"200"),
        (Level.HIGH, b"3"),
        (Ratio.HALF, b"0.5"),
        (Shouting("quiet"), b"quiet"),
    ],
)
def test_members_of_enumerations_go_out_by_value(value: Any, wire: bytes) -> None:
    for form in (value, [value], {value}):
        assert headers_of({"a": form}) == ((b"a", wire),)
    assert headers_of({"a": wire.decode()}) == ((b"a", wire),)


def test_names_may_be_members_of_enumerations() -> None:
    class Name(str, Enum):  # noqa: UP042
        TYPE = "Content-Type"

    assert headers_of({Name.TYPE: "a"}) == ((b"content-type", b"a"),)


def test_a_header_may_come_several_times_in_pairs() -> None:
    assert headers_of([("a", "1"), ("A", "2")]) == ((b"a", b"1"), (b"a", b"2"))


@pytest.mark.parametrize(("value", "wire"), [(5, b"5"), (1.5, b"1.5"), ("", b""), ("  a b\t", b"a b")])
def test_values_may_be_numbers_and_are_stripped(value: Any, wire: bytes) -> None:
    assert headers_of({"a": value}) == ((b"a", wire),)


def test_text_goes_as_latin_1_where_that_can_say_it_and_else_as_utf_8() -> None:
    assert headers_of({"a": "é", "b": "€"}) == ((b"a", b"\xe9"), (b"b", "€".encode()))


def test_the_same_headers_give_the_same_block_however_often() -> None:
    source = {"content-type": "text/html", "x": "1"}
    assert headers_of(source) == headers_of(source) == ((b"content-type", b"text/html"), (b"x", b"1"))
    source["x"] = "2"
    assert headers_of(source)[1] == (b"x", b"2")


def test_long_and_many_headers() -> None:
    source = {f"x-{number}": "v" * 100 for number in range(50)}
    assert len(headers_of(source)) == 50


def test_a_head_knows_its_headers() -> None:
    head = response_head(200, {"Date": "now"})
    assert head.has_date
    assert not response_head(200, {"x-date": "now"}).has_date


# Headers: mistakes ------------------------------------------------------------------------------------

CONTROLS = [chr(code) for code in (*range(9), *range(10, 32), 127)]
FORBIDDEN = [*CONTROLS, "\r\n", "a\r\nset-cookie: b", "a\n b", "a\0", "a\x1b[31mb", "a\x7f"]


@pytest.mark.parametrize("value", FORBIDDEN)
def test_control_characters_in_a_value_raise(value: str) -> None:
    for form in (
        value,
        value.encode(),
        [value],
        ["fine", value],
        value + "long" * 20,
        {value},
        iter([value]),
    ):
        with pytest.raises(ValueError, match="value of header 'a' has a control character in it"):
            response_head(200, {"a": form})


@pytest.mark.parametrize("source", [{"a": Media.SPLIT}, [("a", Media.SPLIT)]])
def test_a_member_of_an_enumeration_is_checked_by_value(source: Any) -> None:
    with pytest.raises(ValueError, match="control character"):
        response_head(200, source)


def test_tab_and_what_lies_beyond_ascii_may_be_in_a_value() -> None:
    assert headers_of({"a": "b\tc", "d": b"\x80\x85\xff"}) == ((b"a", b"b\tc"), (b"d", b"\x80\x85\xff"))


@pytest.mark.parametrize("text", FORBIDDEN)
def test_control_characters_in_a_name_raise(text: str) -> None:
    for name in (text, f"a{text}", f"{text}a", f"a{text}".encode()):
        with pytest.raises(ValueError, match="not a token"):
            response_head(200, [(name, "b")])


@pytest.mark.parametrize(
    "name", ["", " ", "a b", "a:", ":a", "é", "a\t", "a(", "a,b", "(", '"', "a/b", b"\xff"]
)
def test_a_name_that_is_no_token_raises(name: Any) -> None:
    with pytest.raises(ValueError, match="not a token"):
        response_head(200, [(name, "b")])


def test_every_token_character_may_be_in_a_name() -> None:
    name = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
    assert headers_of({name: ""}) == ((name.encode(), b""),)


@pytest.mark.parametrize("name", [1, None, True, ("a",), ["a"], bytearray(b"a")])
def test_a_name_that_is_no_text_raises(name: Any) -> None:
    with pytest.raises(TypeError, match="header name must be a string"):
        response_head(200, [(name, "b")])


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        object(),
        {"a": 1},
        [["a"]],
        [None],
        {None},
        iter([True]),
        bytearray(b"a"),
        memoryview(b"a"),
    ],
)
def test_a_value_that_is_neither_text_nor_a_number_raises(value: Any) -> None:
    with pytest.raises(TypeError, match="value of header 'a' must be a string or a number"):
        response_head(200, {"a": value})


@pytest.mark.parametrize("source", [5, 0, 1.5, True, False])
def test_headers_that_are_neither_a_mapping_nor_pairs_raise(source: Any) -> None:
    with pytest.raises(TypeError):
        response_head(200, source)


@pytest.mark.parametrize("source", ["abc", ["abc"], [("a",)], [("a", "b", "c")]])
def test_pairs_that_are_no_pairs_raise(source: Any) -> None:
    with pytest.raises(ValueError, match="values to unpack"):
        response_head(200, source)


# Content-Length, Transfer-Encoding, Connection --------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "length"), [("0", 0), (7, 7), ("007", 7), (" 5 ", 5), ("9" * 18, int("9" * 18))]
)
def test_a_content_length_is_read_and_left_to_the_framing(value: Any, length: int) -> None:
    head = response_head(200, {"Content-Length": value})
    assert (head.content_length, head.headers) == (length, ())


@pytest.mark.parametrize(
    "value", ["", "-1", "+1", "1.0", 1.5, "five", "5 5", "5,5", "0x5", "\u0665", "9" * 19]
)
def test_a_content_length_that_is_none_raises(value: Any) -> None:
    with pytest.raises(ValueError, match="is not a number of bytes"):
        response_head(200, {"content-length": value})


def test_two_content_lengths_must_agree() -> None:
    assert response_head(200, [("content-length", 5), ("Content-Length", "5")]).content_length == 5
    with pytest.raises(ValueError, match="two different content-length"):
        response_head(200, {"content-length": [5, 6]})


def test_a_205_has_no_content_whatever_is_declared() -> None:
    assert response_head(205, None).content_length == 0
    assert response_head(205, {"content-length": 7}).content_length == 0


@pytest.mark.parametrize("headers", [None, {"content-length": "7"}])
def test_a_205_goes_out_without_content_and_the_connection_goes_on(headers: Any) -> None:
    loop = Loopback(lambda req: Response(status=205, headers=headers, body=b"content"))
    client = loop.connect()
    client.send(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n" * 2)
    assert [(one.status, one.body, one.headers) for one in client.responses()] == [
        (205, b"", {"content-length": "0"})
    ] * 2
    stats = loop.exchanges[0].stats(loop.clock())
    assert (stats.current, stats.sent) == (7, 7)
    answer = loop.connect_http2().request("/")
    assert (answer.status, bytes(answer.body), answer.complete) == (205, b"", True)


@pytest.mark.parametrize("value", ["chunked", "Chunked", " chunked "])
def test_transfer_encoding_chunked_is_what_we_would_have_chosen(value: str) -> None:
    assert headers_of({"transfer-encoding": value}) == ()


@pytest.mark.parametrize("value", ["gzip", "gzip, chunked", "identity", ""])
def test_another_transfer_encoding_raises(value: str) -> None:
    with pytest.raises(ValueError, match="is not supported"):
        response_head(200, {"transfer-encoding": value})


@pytest.mark.parametrize(
    ("value", "close"),
    [("close", True), ("Keep-Alive, CLOSE", True), ("keep-alive", False), ("closed", False)],
)
def test_connection_is_ours_and_close_is_heard(value: str, close: bool) -> None:
    head = response_head(200, {"connection": value})
    assert (head.headers, head.close) == ((), close)
    assert response_head(200, {"connection": [value, "x"]}).close is close


# Bodies -----------------------------------------------------------------------------------------------


def test_bodies() -> None:
    whole = b"abc"
    assert body_bytes(whole) is whole
    assert body_bytes("é") == b"\xc3\xa9"
    assert body_bytes(bytearray(whole)) == body_bytes(memoryview(whole)) == whole
    assert body_bytes(memoryview(b"a-b-c")[::2]) == whole


@pytest.mark.parametrize("body", [1, 1.5, None, True, ["a"], object()])
def test_what_is_no_body_raises(body: Any) -> None:
    with pytest.raises(TypeError, match="body must be bytes or str"):
        body_bytes(body)


def test_text_that_utf_8_cannot_say_raises() -> None:
    with pytest.raises(ValueError, match="surrogates"):
        body_bytes("\ud800")
