"""Requests off the wire: what is taken, what is refused and with which status, in any pieces."""

import sys
import time
import tracemalloc
from types import FrameType
from typing import Any

import pytest
from tests.core.http1.reading import (
    CHUNKED,
    GET,
    HOSTS,
    MALFORMED_HOSTS,
    POST,
    cut,
    head,
    parser,
    read,
    reference,
    refused,
    served,
)

from httpng_core import RemoteError
from httpng_core.http1 import (
    MAX_STEP,
    MORE,
    ParsedHead,
    Reading,
    ReferenceParser,
    RefusedRequest,
    RequestParser,
)

# The request line -------------------------------------------------------------------------------------


def test_a_request_is_taken_apart() -> None:
    request = served(head(b"Host: example.org:8080", b"X-A:  1 ", first=b"PUT /a/b?c=d HTTP/1.1"))
    assert (request.method, request.target, request.host) == ("PUT", "/a/b?c=d", "example.org")
    assert (request.body, request.minor, request.keep_alive) == (b"", 1, True)
    assert request.block.fields() == ((b"host", b"example.org:8080"), (b"x-a", b"1"))


@pytest.mark.parametrize("method", ["FOO", "get", "M-SEARCH", "a!#$%&'*+-.^_`|~9"])
def test_any_token_is_a_method(method: str) -> None:
    assert served(head(b"Host: x", first=method.encode() + b" / HTTP/1.1")).method == method


@pytest.mark.parametrize(
    ("target", "host", "path"),
    [
        (b"http://other.org/a?b", "other.org", "/a?b"),
        (b"HTTP://other.org:80", "other.org", "/"),
        (b"https://[::1]:8080/", "[::1]", "/"),
        (b"http://other.org?a", "other.org", "/?a"),
        (b"/http://x/", "x", "/http://x/"),
        (b"//a", "x", "//a"),
        (b"/%2e%2E/a", "x", "/%2e%2E/a"),
        (b'/"<>\\^`{|}', "x", '/"<>\\^`{|}'),
    ],
)
def test_the_authority_of_an_absolute_target_wins_over_host(target: bytes, host: str, path: str) -> None:
    request = served(head(b"host: x", first=b"GET " + target + b" HTTP/1.1"))
    assert (request.host, request.target) == (host, path)


def test_options_may_ask_for_the_server() -> None:
    request = served(head(b"host: x", first=b"OPTIONS * HTTP/1.1"))
    assert (request.host, request.target) == ("x", "*")


@pytest.mark.parametrize(
    "target",
    [
        *(b"*", b"x", b"x:80", b"ftp://x/", b"http://u@x/", b"http://x:y/", b"http://a,b/", b"http:///a"),
        *(b"http://:80/a", b"/a#b", b"#", b"http://x/a#b", b"http:/x", b"\xe9", b"/\xe9", b"/\x7f", b"/a b"),
    ],
)
def test_a_target_in_no_form_of_an_origin_server_is_refused(target: bytes) -> None:
    assert refused(head(b"host: x", first=b"GET " + target + b" HTTP/1.1")).status == 400


@pytest.mark.parametrize("target", [b"x:80", b"/", b"*", b"http://x/"])
def test_connect_is_refused(target: bytes) -> None:
    assert refused(head(b"host: x", first=b"CONNECT " + target + b" HTTP/1.1")).status == 400


@pytest.mark.parametrize("version", [b"2.0", b"0.9", b"3.0", b"0.0"])
def test_other_major_versions_are_refused(version: bytes) -> None:
    assert refused(head(b"host: x", first=b"GET / HTTP/" + version)).status == 505


def test_a_later_minor_version_means_the_same_as_1_1() -> None:
    request = served(head(b"host: x", first=b"GET / HTTP/1.7"))
    assert (request.minor, request.keep_alive) == (7, True)
    assert refused(head(first=b"GET / HTTP/1.7")).status == 400


@pytest.mark.parametrize(
    "data",
    [
        b"\0\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET / HTTP/1.1 \r\nhost: x\r\n\r\n",
        b"GET  / HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET /  HTTP/1.1\r\nhost: x\r\n\r\n",
        b" GET / HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET\t/ HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET / http/1.1\r\nhost: x\r\n\r\n",
        b"GET / HTTP/1.10\r\nhost: x\r\n\r\n",
        b"GET / HTTP/11\r\nhost: x\r\n\r\n",
        b"G(T / HTTP/1.1\r\nhost: x\r\n\r\n",
    ],
)
def test_what_is_no_request_line_is_refused(data: bytes) -> None:
    assert refused(data).status == 400


@pytest.mark.parametrize(
    "start",
    [
        b"\x16\x03\x01\x02\x00\x01",
        b"GET / HTTP/1.1\n",
        b"GET / HTTP/1.1\rH",
        b"GET / HTTP/1.1\r\na: b\0",
        b"\n",
    ],
)
def test_what_can_become_no_request_is_refused_before_its_end(start: bytes) -> None:
    assert refused(start).status == 400


# Empty lines ------------------------------------------------------------------------------------------


def test_some_empty_lines_before_a_request_are_ignored() -> None:
    assert served(b"\r\n" + GET).target == "/"
    assert served(b"\r\n" * 4 + GET).target == "/"
    outcome = read([b"\r\n" * 3 + POST % 2 + b"ab" + b"\r\n" * 3 + GET])
    assert len(outcome.requests) == 2


def test_no_more_than_four_are() -> None:
    assert refused(b"\r\n" * 5 + GET).status == 400
    reader = parser()
    reader.feed(b"\r\n" * 5 + GET)
    for _ in range(2):
        with pytest.raises(RefusedRequest, match="empty lines"):
            reader.next_request()
    between = read([GET + b"\r\n" * 3 + GET + b"\r\n" * 4 + GET + b"\r\n" * 5])
    assert (len(between.requests), between.status) == (3, 400)


# The head ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "lines",
    [
        (b"a : b",),
        (b"a\t: b",),
        (b"no colon",),
        (b": b",),
        (b"a(: b",),
        (b"a b: c",),
        (b"\xe9: b",),
        (b"a: b", b" folded"),
        (b"a: b", b"\tfolded"),
        (b"a: b\0c",),
        (b"a: b\x01",),
        (b"a: \x7f",),
        (b"a: b\rc",),
        (b"a: b\nc: d",),
        (b"a: b\r",),
    ],
)
def test_a_malformed_field_is_refused(lines: tuple[bytes, ...]) -> None:
    assert refused(head(b"host: x", *lines)).status == 400


def test_a_fold_of_the_request_line_is_refused() -> None:
    assert refused(b"GET / HTTP/1.1\r\n host: x\r\n\r\n").status == 400


@pytest.mark.parametrize(("value", "host"), HOSTS)
def test_the_host_is_without_its_port(value: bytes, host: str) -> None:
    assert served(head(b"host: " + value)).host == host


@pytest.mark.parametrize("value", MALFORMED_HOSTS)
def test_a_malformed_host_is_refused(value: bytes) -> None:
    assert refused(head(b"host: " + value)).status == 400


def test_one_host_is_demanded() -> None:
    assert refused(head()).status == 400
    assert refused(head(b"host: x", b"host: x")).status == 400
    assert refused(head(b"host: x", b"Host: y", first=b"GET / HTTP/1.0")).status == 400
    assert served(head(first=b"GET / HTTP/1.0")).host == "default"
    assert refused(head(b"host: a b", first=b"GET http://x/ HTTP/1.1")).status == 400
    assert refused(head(first=b"GET http://x/ HTTP/1.1")).status == 400


@pytest.mark.parametrize(
    ("minor", "lines", "goes_on"),
    [
        (1, (), True),
        (1, (b"connection: close",), False),
        (1, (b"Connection: a, CLOSE ,b",), False),
        (1, (b"connection: keep-alive", b"connection: close"), False),
        (0, (), False),
        (0, (b"connection: Keep-Alive",), True),
        (0, (b"connection: keep-alive, close",), False),
    ],
)
def test_the_connection_goes_on_as_rfc_9112_says(minor: int, lines: tuple[bytes, ...], goes_on: bool) -> None:
    assert served(head(b"host: x", *lines, first=b"GET / HTTP/1.%d" % minor)).keep_alive is goes_on


# Sizes ------------------------------------------------------------------------------------------------


def sized(size: int) -> bytes:
    return head(b"host: x", b"a: " + b"x" * (size - len(head(b"host: x", b"a: "))))


def test_a_head_may_be_just_as_long_as_its_limit() -> None:
    assert len(sized(1024)) == 1024
    assert served(sized(1024), 1024).target == "/"
    assert refused(sized(1025), 1024).status == 431
    assert served(b"\r\n" * 4 + sized(1024), 1024).target == "/"


def test_a_head_without_an_end_is_refused_at_its_limit() -> None:
    assert read([b"GET /" + b"x" * 1019], parser(1024)).refused is None
    assert refused(b"GET /" + b"x" * 1020, 1024).status == 431


def test_what_is_broken_within_the_limit_is_named_first() -> None:
    assert refused(head(b"host: x", b"a: \0" + b"b" * 1024), 1024).status == 400
    assert refused(head(b"host: x", b"a: " + b"b" * 1024 + b"\0"), 1024).status == 431


def test_what_follows_a_head_is_not_counted() -> None:
    assert served(POST % 5000 + b"b" * 5000, 1024).body == b"b" * 5000
    outcome = read([GET * 100 + sized(1025)], parser(1024))
    assert (len(outcome.requests), outcome.status) == (100, 431)


def test_no_more_fields_than_their_limit() -> None:
    assert len(served(head(b"host: x", *[b"a: b"] * 9), 65536, 100, 10).block.fields()) == 10
    assert refused(head(b"host: x", *[b"a: b"] * 10), 65536, 100, 10).status == 431
    assert refused(head(b"host: x", *[b"a: b"] * 10, b"\0: b"), 65536, 100, 10).status == 400


def test_limits_may_change_between_requests() -> None:
    reader = parser()
    assert len(read([GET], reader).requests) == 1
    reader.max_fields = 0
    assert read([GET], reader).status == 431
    reader.max_fields, reader.max_head = 1, len(GET) - 1
    assert read([GET], reader).status == 431


# Bodies -----------------------------------------------------------------------------------------------


def test_a_body_by_content_length() -> None:
    assert served(POST % 5 + b"hello").body == b"hello"
    assert served(POST % 0).body == b""
    # RFC 9110, 8.6: repeated, but valid.
    assert served(head(b"host: x", b"content-length: 2, 2", b"content-length: 2") + b"ab").body == b"ab"
    assert served(head(b"host: x", b"content-length: 2", first=b"GET / HTTP/1.0") + b"ab").body == b"ab"


def test_a_chunked_body() -> None:
    body = b"5\r\nhello\r\n1;ext=1\r\n \r\n05\r\nworld\r\n0\r\ntrailer: x\r\n\r\n"
    assert served(CHUNKED + body).body == b"hello world"
    assert served(CHUNKED + b"0\r\n\r\n").body == b""


@pytest.mark.parametrize(
    "lines",
    [
        (b"content-length: 5", b"transfer-encoding: chunked"),
        (b"transfer-encoding: chunked", b"content-length: 5"),
        (b"transfer-encoding: gzip", b"content-length: 5"),
        (b"content-length: 5", b"content-length: 6"),
        (b"content-length: 5", b"content-length: 05"),
        (b"content-length: 5, 6",),
        (b"content-length: 5,",),
        (b"content-length: -5",),
        (b"content-length: +5",),
        (b"content-length: 0x5",),
        (b"content-length: 5 5",),
        (b"content-length: five",),
        (b"content-length: \xb2",),
        (b"content-length:",),
        (b"content-length: " + b"9" * 30,),
        (b"transfer-encoding:",),
        (b"transfer-encoding: chunked, chunked",),
        (b"transfer-encoding: chunked", b"transfer-encoding: chunked"),
    ],
)
def test_a_body_whose_end_is_in_doubt_is_refused(lines: tuple[bytes, ...]) -> None:
    assert refused(head(b"host: x", *lines, first=b"POST / HTTP/1.1")).status == 400


def test_a_transfer_encoding_in_http_1_0_is_refused() -> None:
    assert refused(head(b"transfer-encoding: chunked", first=b"POST / HTTP/1.0")).status == 400


@pytest.mark.parametrize("coding", [b"gzip", b"gzip, chunked", b"chunked, gzip", b"identity", b"xchunked"])
def test_an_unknown_transfer_encoding_is_not_implemented(coding: bytes) -> None:
    assert refused(head(b"host: x", b"transfer-encoding: " + coding, first=b"POST / HTTP/1.1")).status == 501


def test_a_body_too_long_is_refused_by_its_length() -> None:
    assert refused(POST % 6, 65536, 5).status == 413
    assert served(POST % 5 + b"12345", 65536, 5).body == b"12345"
    assert refused(POST % 1, 65536, 0).status == 413
    assert refused(POST % 99999999999999999).status == 413


def test_a_chunked_body_is_refused_as_soon_as_it_says_that_it_is_too_long() -> None:
    assert served(CHUNKED + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", 65536, 5).body == b"abcde"
    assert refused(CHUNKED + b"3\r\nabc\r\n3\r\n", 65536, 5).status == 413
    assert refused(CHUNKED + b"ff\r\n", 65536, 5).status == 413


def test_a_body_in_pieces_of_all_sizes() -> None:
    content = bytes(range(256)) * 800
    sizes = [1, 5000, 3, 4095, 4096, 70_000, 2, 4095]
    reader = parser()
    read([POST % len(content)], reader)
    for size in sizes:
        reader.feed(content[:size])
        assert reader.next_request() in (None, MORE)
        content = content[size:]
    (request,) = read([content], reader).requests
    assert request.body == bytes(range(256)) * 800


def test_a_refusal_in_a_body_stays() -> None:
    reader = parser()
    reader.feed(CHUNKED + b"x\r\n")
    for _ in range(3):
        with pytest.raises(RefusedRequest, match="chunk"):
            reader.next_request()
        reader.feed(b"0\r\n\r\n" + GET)


def test_what_follows_a_broken_line_is_not_taken_for_a_new_one() -> None:
    reader = parser()
    reader.feed(CHUNKED + b"z")
    assert reader.next_request() is None
    reader.feed(b"5\r\nhello\r\n0\r\n\r\n")
    for _ in range(2):
        with pytest.raises(RefusedRequest, match="malformed chunk line"):
            reader.next_request()


# One after the other ----------------------------------------------------------------------------------

CHUNKED_BODY = b"3\r\nabc\r\n0\r\nt: u\r\n\r\n"
PIPELINE = GET + POST % 4 + b"body" + GET + CHUNKED + CHUNKED_BODY + b"\r\n" + head(first=b"GET /a HTTP/1.0")


def test_requests_come_one_by_one_and_leave_what_follows() -> None:
    reader = parser()
    reader.feed(PIPELINE + b"rest")
    bodies = []
    while isinstance(request := reader.next_request(), ParsedHead):
        bodies.append(request.body)
    assert bodies == [b"", b"body", b"", b"abc", b""]
    assert reader.take_rest() == b"rest"
    assert reader.buffered == 0
    assert reader.next_request() is None


def test_every_cut_gives_the_same_requests() -> None:
    whole = read([PIPELINE])
    for at in range(len(PIPELINE) + 1):
        outcome = read([PIPELINE[:at], PIPELINE[at:]])
        assert outcome.values == whole.values
        assert outcome.rest == b""


def test_bytes_that_come_before_anybody_asks_are_kept_in_order() -> None:
    reader = parser()
    for byte in cut(PIPELINE, 1):
        reader.feed(byte)
    assert reader.buffered == len(PIPELINE)
    assert read([], reader).requests == []
    assert read([PIPELINE], reader).values == read([PIPELINE]).values


def test_the_rest_after_a_request_is_for_the_next_protocol() -> None:
    reader = parser()
    reader.feed(GET + b"fra")
    assert isinstance(reader.next_request(), ParsedHead)
    reader.feed(b"mes")
    assert reader.buffered == 6
    assert reader.take_rest() == b"frames"
    assert (reader.buffered, reader.state) == (0, Reading.NOTHING)


def test_the_same_header_block_is_read_once() -> None:
    reader = parser()
    (first, second, other, again) = read([GET + GET + head(b"Host: y") + GET], reader).requests
    assert first.block is second.block
    assert other.block is not first.block
    assert again.host == "x"


def test_a_header_block_means_something_else_in_another_version() -> None:
    old = GET.replace(b"1.1", b"1.0")
    assert [request.keep_alive for request in read([GET + old + GET]).requests] == [True, False, True]


def test_a_long_header_block_is_not_kept() -> None:
    long = head(b"host: x", b"a: " + b"b" * 8000)
    first, second = read([long + long]).requests
    assert first.block is not second.block
    assert first.block.fields() == second.block.fields()


# What has been read, and what the client waits for ----------------------------------------------------


def test_the_state_tells_what_a_timeout_would_interrupt() -> None:
    reader = parser()

    def after(data: bytes) -> Reading:
        reader.feed(data)
        reader.next_request()
        return reader.state

    assert reader.state is Reading.NOTHING
    assert after(b"\r") is Reading.NOTHING
    assert after(b"\n") is Reading.NOTHING
    assert after(b"G") is Reading.HEAD
    assert after(GET[1:]) is Reading.NOTHING
    assert after(POST % 3) is Reading.BODY
    assert after(b"ab") is Reading.BODY
    assert after(b"c") is Reading.NOTHING
    assert after(CHUNKED) is Reading.BODY
    assert after(b"0\r\n") is Reading.BODY
    assert after(b"\r\n") is Reading.NOTHING
    assert after(GET + b"\r\n") is Reading.NOTHING
    assert after(GET + b"\r\nG") is Reading.HEAD


EXPECTING = head(b"host: x", b"content-length: 2", b"Expect: 100-Continue", first=b"POST / HTTP/1.1")


def test_a_client_that_waits_for_100_is_known_once_its_head_is_in() -> None:
    reader = parser()
    reader.feed(EXPECTING[:-1])
    assert reader.next_request() is None
    assert not reader.wants_continue
    reader.feed(EXPECTING[-1:])
    assert reader.next_request() is None
    assert reader.wants_continue
    reader.wants_continue = False
    assert reader.next_request() is None
    assert not reader.wants_continue


def test_its_body_answers_the_question() -> None:
    reader = parser()
    reader.feed(EXPECTING)
    assert reader.next_request() is None
    reader.feed(b"a")
    assert reader.next_request() is None
    assert not reader.wants_continue
    reader.feed(b"b" + EXPECTING + b"a")
    assert isinstance(reader.next_request(), ParsedHead)
    assert reader.next_request() is None
    assert not reader.wants_continue


@pytest.mark.parametrize(
    "data",
    [
        EXPECTING.replace(b"HTTP/1.1", b"HTTP/1.0"),
        EXPECTING.replace(b"100-Continue", b"something"),
        head(b"host: x", b"expect: 100-continue"),
        head(b"host: x", b"expect: 100-continue", b"content-length: 0"),
    ],
)
def test_others_do_not_wait(data: bytes) -> None:
    reader = parser()
    reader.feed(data)
    reader.next_request()
    assert not reader.wants_continue


def test_a_body_that_is_too_long_is_not_asked_for() -> None:
    reader = parser(65536, 1)
    reader.feed(EXPECTING)
    with pytest.raises(RefusedRequest):
        reader.next_request()
    assert not reader.wants_continue


# What a call may cost ---------------------------------------------------------------------------------


def test_a_step_reads_a_bounded_part_of_a_body() -> None:
    reader = parser()
    reader.feed(POST % (4 * MAX_STEP) + bytes(4 * MAX_STEP) + GET)
    for _ in range(3):
        before = reader.buffered
        assert reader.next_request() is MORE
        assert before - reader.buffered <= MAX_STEP + 100
        assert reader.state is Reading.BODY
    request = reader.next_request()
    assert isinstance(request, ParsedHead)
    assert request.body == bytes(4 * MAX_STEP)
    assert reader.buffered == len(GET)


def test_chunks_of_one_byte_take_many_steps() -> None:
    outcome = read([CHUNKED + b"1\r\nx\r\n" * 10_000 + b"0\r\n\r\n"])
    assert outcome.requests[0].body == b"x" * 10_000
    assert outcome.steps >= 10_000 // 256


def test_more_is_never_said_without_progress() -> None:
    reader = parser()
    reader.feed(CHUNKED + b"1\r\nx\r\n" * 2000 + b"0\r\n" + b"a: b\r\n" * 200 + b"\r\n" + GET)
    left = reader.buffered
    while reader.next_request() is not None:
        assert reader.buffered < left
        left = reader.buffered
    assert left == 0


def calls_of(action: Any) -> int:
    """Return how many Python functions are called."""
    calls = 0

    def count(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal calls
        calls += event == "call"

    sys.setprofile(count)
    try:
        action()
    finally:
        sys.setprofile(None)
    return calls - 1


def test_a_request_with_known_headers_is_cheap() -> None:
    reader = parser()
    read([GET], reader)

    def once() -> None:
        reader.feed(GET)
        assert isinstance(reader.next_request(), ParsedHead)

    assert calls_of(once) <= 6


def test_a_trickled_head_is_not_searched_again_and_again() -> None:
    # Were it quadratic, this would move some 60 GB.
    reader = parser(1 << 21)
    start = time.process_time()
    outcome = read(cut(head(b"host: x", b"a: " + b"b" * (1 << 20)), 16), reader)
    assert len(outcome.requests) == 1
    assert time.process_time() - start < 5


@pytest.mark.parametrize(
    "data",
    [
        GET[:-4] + b"\r\na:" + b" " * 60_000 + b"\r\n\r\n",
        GET[:-4] + b"\r\nconnection:" + b" " * 60_000 + b"x\r\n\r\n",
        GET[:-4] + b"\r\nconnection:" + b" ," * 30_000 + b"x\r\n\r\n",
        GET[:-4] + b"\r\n" + b"a" * 60_000 + b"\r\n\r\n",
        b"a" * 60_000 + b"\r\n\r\n",
        CHUNKED + b"1" + b" ;" * 2000 + b"\r\n",
        CHUNKED + b"1" + b' ;a="' * 800 + b"\r\n",
    ],
)
def test_no_input_is_tried_twice(data: bytes) -> None:
    start = time.process_time()
    for _ in range(10):
        read([data])
    assert time.process_time() - start < 1


@pytest.mark.parametrize("size", [1, 2, 100])
def test_a_body_in_tiny_chunks_takes_little_more_memory_than_its_size(size: int) -> None:
    total, together = 100_000, 50
    chunks = b"%x\r\n%s\r\n" % (size, b"x" * size) * together
    reader = parser()
    read([CHUNKED], reader)
    tracemalloc.start()
    try:
        for _ in range(total // size // together):
            reader.feed(chunks)
            assert reader.next_request() is None
        reader.feed(b"0\r\n\r\n")
        request = reader.next_request()
        assert isinstance(request, ParsedHead)
        assert len(request.body) == total
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2.2 * total


def test_a_body_in_tiny_pieces_takes_little_more_memory_than_its_size() -> None:
    total = 100_000
    reader = parser()
    read([POST % total], reader)
    tracemalloc.start()
    try:
        for _ in range(total):
            reader.feed(b"x")
            request = reader.next_request()
        assert isinstance(request, ParsedHead)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2.2 * total


def test_what_was_read_is_not_kept() -> None:
    reader = parser()
    tracemalloc.start()
    try:
        read([POST % 500_000 + bytes(500_000)], reader)
        assert tracemalloc.get_traced_memory()[0] < 50_000
    finally:
        tracemalloc.stop()


# Reasons ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"x" * 60_000 + b"\r\n\r\n",
        b"GET " + b"y" * 60_000 + b" HTTP/1.1\r\n\r\n",
        b"GET /" + b"\xe9" * 60_000 + b" HTTP/1.1\r\n\r\n",
        head(b"host: " + b'"' * 60_000),
        head(b"host: x", b"a" * 60_000),
        head(b"host: x", b"content-length: " + b"1" * 60_000),
        head(b"host: x", b"transfer-encoding: " + b"\xff" * 60_000),
        head(b"host: x", b"a: " + b"\\" * 60_000 + b"\0"),
        CHUNKED + b"z" * 60_000 + b"\r\n",
        CHUNKED + b"z" * 4000 + b"\r\n",
        CHUNKED + b"0\r\n" + b"z" * 4000 + b"\r\n",
        CHUNKED + b"0\r\nz: " + b"\x80" * 4000 + b"\0",
        CHUNKED + b"1\r\n\r\x1b\0\x07",
    ],
)
def test_a_reason_quotes_little_of_what_came_and_escapes_it(data: bytes) -> None:
    reason = refused(data).reason
    assert len(reason) < 160
    assert reason.isascii()
    assert reason.isprintable()
    assert "bytearray" not in reason


def test_a_reason_names_what_is_wrong() -> None:
    assert refused(head(b"host: x", b"bad name: y")).reason == 'malformed header name: "bad name: y"'
    assert refused(head(b"host: x", b"a : y")).reason.startswith("whitespace before the colon")
    assert refused(head(b"host: x", b"a: b\nc: d")).reason.startswith("bare LF behind ")
    assert refused(head(b"host: x", b"a: b\rc: d")).reason.startswith("bare CR behind ")
    assert refused(head(b"host: x", b"a: \x1b")).reason.startswith("control character behind ")
    assert refused(head(b'host: "\xe9"')).reason == r'malformed Host header: "\"\xe9\""'


def test_a_refusal_is_an_error_of_the_peer() -> None:
    error = refused(b"\0")
    assert isinstance(error, RemoteError)
    assert str(error) == error.reason


def test_empty_lines_between_requests_are_counted_for_each_request() -> None:
    reads = RequestParser(1000, 1000, 100)
    for _ in range(10):
        assert _receive(reads, b"\r\n") is None
        assert _receive(reads, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n") == ("/", 1)
    assert not reads.has_rest


def _receive(reads: RequestParser, data: bytes) -> tuple[str, int] | None:
    whole = reads.receive_whole(data)
    if whole is not None:
        return whole[1].decode(), whole[2].framing.minor
    reads.feed(data)
    return _next(reads)


def _next(reads: RequestParser) -> tuple[str, int] | None:
    request = reads.next_request()
    return (request.target, request.minor) if isinstance(request, ParsedHead) else None


@pytest.mark.parametrize(
    "last",
    [
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\nx-long: %s\r\n\r\n" % (b"a" * 900),
    ],
)
def test_a_request_like_the_last_one_is_read_at_once(last: bytes) -> None:
    reads = RequestParser(1000, 1000, 100)
    assert reads.receive_whole(last) is None
    reads.feed(last)
    first = reads.next_request()
    assert isinstance(first, ParsedHead)
    other = last.replace(b" / ", b" /other ")
    assert reads.receive_whole(other) == (last.split()[0], b"/other", first.block)
    assert not reads.has_rest


def test_a_request_with_other_fields_is_read_at_once() -> None:
    reads = RequestParser(1000, 1000, 100)
    reads.feed(GET)
    assert isinstance(reads.next_request(), ParsedHead)
    for number in range(3):
        for lines in (
            [b"Host: x", b"X-Id: %d" % number],
            [b"X-Id: 7", b"hOst: [::1]:%d" % number],
            [b"Host: b"],
        ):
            wire = head(*lines)
            whole = reads.receive_whole(wire)
            assert whole is not None
            stepped = RequestParser(1000, 1000, 100)
            stepped.feed(wire)
            parsed = stepped.next_request()
            assert isinstance(parsed, ParsedHead)
            assert (whole[2].framing.host, whole[2].fields()) == (parsed.host, parsed.block.fields())
            assert not reads.has_rest


@pytest.mark.parametrize(
    ("last", "wire"),
    [
        (GET, GET + GET),
        (GET, GET[:-1]),
        (GET, GET[:-2]),
        (GET, GET[:-4] + b"\r\nHost: y\r\n\r\n"),
        (GET, GET[:-4] + b"\nX: y\r\n\r\n"),
        (GET, GET.replace(b"Host: x", b"X: y")),
        (GET, GET[:-4] + b"\r\nContent-Length: 1\r\n\r\n"),
        (GET, GET[:-4] + b"\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n"),
        (GET, b"GET / HTTP/1.1\r\n\r\n"),
        (GET, b"GET / HTTP/1.1\r\n"),
        (GET, b"\r\n" + GET),
        (GET, GET.replace(b"/", b"*", 1)),
        (GET, GET.replace(b" / ", b" /%s " % (b"a" * 1000))),
        (GET, b"\0" + GET),
        (POST % 1 + b"1", POST % 1 + b"1"),
        (head(b"Host: x", b"Connection: upgrade", b"Upgrade: h2c"), b""),
    ],
)
def test_what_is_no_ordinary_request_is_not(last: bytes, wire: bytes) -> None:
    reads = RequestParser(1000, 1000, 100)
    reads.feed(last)
    while reads.next_request() is MORE:
        pass
    assert reads.receive_whole(wire or last) is None
    assert reads.buffered == 0


def test_a_lower_limit_on_fields_counts_for_a_request_that_is_read_at_once() -> None:
    reads = RequestParser(1000, 1000, 100)
    reads.feed(GET)
    assert isinstance(reads.next_request(), ParsedHead)
    reads.max_fields = 0
    assert reads.receive_whole(GET) is None


def test_what_was_begun_is_not_taken_for_a_request_of_its_own() -> None:
    reads = RequestParser(1000, 1000, 100)
    reads.feed(GET)
    assert isinstance(reads.next_request(), ParsedHead)
    reads.feed(b"GET /")
    assert reads.next_request() is None
    assert reads.receive_whole(GET) is None


def test_requests_come_the_same_in_whatever_pieces() -> None:
    one = b"GET /%s HTTP/1.%d\r\nhost: x\r\n\r\n"
    wire = b"".join([one % (b"a", 1), one % (b"b", 1), one % (b"c", 0)])
    for at in range(1, len(wire)):
        reads, seen = RequestParser(1000, 1000, 100), []
        for piece in (wire[:at], wire[at:]):
            request = _receive(reads, piece)
            while request is not None:
                seen.append(request)
                request = _next(reads)
        assert seen == [("/a", 1), ("/b", 1), ("/c", 0)]


def test_a_long_header_block_is_not_kept_and_the_one_before_it_is() -> None:
    reading = parser()
    reading.feed(GET)
    assert isinstance(reading.next_request(), ParsedHead)
    kept = reading.block
    assert kept is not None
    long = head(b"Host: x", b"X-Long: " + b"x" * 20_000)
    for _ in range(2):
        whole = reading.receive_whole(long)
        assert whole is not None
        assert whole[2].raw != kept.raw
        assert reading.block is kept
    whole = reading.receive_whole(GET)
    assert whole is not None
    assert whole[2] is kept


def test_the_reference_counts_what_it_holds_and_refuses_again() -> None:
    reading = reference()
    reading.feed(POST % 10 + b"12345")
    assert reading.held == len(POST % 10) + 5
    assert reading.next_request() is None
    assert reading.held == 5
    for wire, told in ((b"\r\n" * 100 + GET, "empty lines"), (b"no request\r\n\r\n", "request line")):
        reading = reference()
        reading.feed(wire)
        for _ in range(2):
            with pytest.raises(RefusedRequest, match=told) as raised:
                read_on(reading)
            assert raised.value.status == 400


def read_on(reading: ReferenceParser) -> None:
    while reading.next_request() is MORE:
        pass
