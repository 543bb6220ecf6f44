"""What handlers give as status, headers and body: checked before anything of it is sent."""

from http import HTTPStatus
from typing import Any

import pytest

from httpng_core.http import ResponseHead, body_bytes, response_head


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


@pytest.mark.parametrize(("code", "bodiless"), [(204, True), (304, True), (200, False), (205, False)])
def test_which_codes_forbid_a_body(code: int, bodiless: bool) -> None:
    assert response_head(code, None).bodiless is bodiless


# Headers: forms ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", [None, {}, [], ()])
def test_no_headers(source: Any) -> None:
    assert response_head(200, source) == ResponseHead(200, (), None, False)


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


@pytest.mark.parametrize("values", [["a=1", "b=2"], ("a=1", b"b=2")])
def test_a_list_as_value_repeats_the_header(values: Any) -> None:
    assert headers_of({"set-cookie": values}) == ((b"set-cookie", b"a=1"), (b"set-cookie", b"b=2"))
    assert headers_of({"set-cookie": []}) == ()


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
    assert head.has(b"date")
    assert not head.has(b"server")


# Headers: mistakes ------------------------------------------------------------------------------------

FORBIDDEN = ["\r", "\n", "\0", "\r\n", "a\r\nset-cookie: b", "a\n b", "\n", "a\0"]


@pytest.mark.parametrize("value", FORBIDDEN)
def test_cr_lf_or_nul_in_a_value_raise(value: str) -> None:
    for form in (value, value.encode(), [value], ["fine", value]):
        with pytest.raises(ValueError, match="CR, LF or NUL"):
            response_head(200, {"a": form})


@pytest.mark.parametrize("text", FORBIDDEN)
def test_cr_lf_or_nul_in_a_name_raise(text: str) -> None:
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


@pytest.mark.parametrize("name", [1, None, True, ("a",)])
def test_a_name_that_is_no_text_raises(name: Any) -> None:
    with pytest.raises(TypeError, match="header name must be a string"):
        response_head(200, [(name, "b")])


@pytest.mark.parametrize("value", [None, True, False, object(), {"a": 1}, [["a"]], [None], bytearray(b"a")])
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


def test_a_length_is_declared_for_a_body_that_is_known() -> None:
    assert response_head(200, None, 5).content_length == 5
    assert response_head(200, {"content-length": 7}, 5).content_length == 7
    assert response_head(204, None, 5).content_length is None


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
