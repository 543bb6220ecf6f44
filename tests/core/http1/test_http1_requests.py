"""Requests off the wire: what is served, what is refused, and with which status."""

from typing import Any

import pytest
from tests.core.driving import GET, Driven
from tests.core.http1.reading import HOSTS, MALFORMED_HOSTS, head

from httpng_core import Request
from httpng_core.testing import Loopback

CHUNKED = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"


def served(data: bytes, **settings: Any) -> Request:
    """The one request in `data`, in whatever pieces that comes."""
    requests = []
    for step in (len(data), 1, 7):
        driven = Driven(b"", **settings)
        for at in range(0, len(data), step):
            driven.receive(data[at : at + step])
        assert driven.refused == []
        assert len(driven.exchanges) == 1
        requests.append(driven.exchange.request)
    assert requests[0].headers == requests[1].headers == requests[2].headers
    assert requests[0].body == requests[1].body == requests[2].body
    return requests[0]


def refused(data: bytes, **settings: Any) -> int:
    """The status with which `data` is refused, in whatever pieces it comes; nothing of it is served."""
    seen = set()
    for step in (len(data), 1):
        driven = Driven(b"", **settings)
        for at in range(0, len(data), step):
            driven.receive(data[at : at + step])
        assert driven.exchanges == []
        driven.push()
        (response,) = driven.responses()
        assert driven.refused == [response.status]
        assert response.complete
        assert response.headers["connection"] == "close"
        assert driven.connection.half_close_expected()
        seen.add(response.status)
    (status,) = seen
    return status


# The head ---------------------------------------------------------------------------------------------


def test_a_request_is_taken_apart() -> None:
    request = served(head(b"Host: example.org:8080", b"X-A: 1", b"x-a: 2", first=b"PUT /a/b?c=d HTTP/1.1"))
    assert (request.method, request.path, request.query) == ("PUT", "/a/b?c=d", "c=d")
    assert (request.host, request.body, request.https) == ("example.org", b"", False)
    assert (request.version_major, request.version_minor) == (1, 1)
    assert request.headers["x-a"] == "1, 2"
    assert request.headers.raw[0] == (b"host", b"example.org:8080")


def test_other_languages_get_the_lines_as_they_came(engine: str) -> None:
    request = served(b"GET /a?b HTTP/1.0\r\nHost: a\r\nX:\tb \r\n\r\n")
    _, lines, *rest = request.plain_values()
    # The reference engine has split them.
    assert lines == (b"Host: a\r\nX:\tb \r\n" if engine == "fast" else None)
    assert rest == [b"GET", b"/a?b", b"b", b"a", b"", None, 1, 0]
    assert request.headers.raw == ((b"host", b"a"), (b"x", b"b"))


def test_other_languages_get_no_version_of_the_usual_one() -> None:
    rest = served(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").plain_values()[2:]
    assert rest == (b"GET", b"/", None, b"a", b"")


def test_the_addresses_are_those_of_the_connection() -> None:
    driven = Driven()
    assert driven.exchange.request.peer.host == ""
    assert driven.exchange.started == driven.now


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
    ],
)
def test_an_absolute_target_wins_over_host(target: bytes, host: str, path: str) -> None:
    request = served(head(b"host: x", first=b"GET " + target + b" HTTP/1.1"))
    assert (request.host, request.path) == (host, path)


def test_options_may_ask_for_the_server() -> None:
    request = served(head(b"host: x", first=b"OPTIONS * HTTP/1.1"))
    assert (request.host, request.path) == ("x", "*")


@pytest.mark.parametrize(
    "target",
    [
        b"*",
        b"x",
        b"x:80",
        b"ftp://x/",
        b"http://u@x/",
        b"http://x:y/",
        b"http://a,b/",
        b"http:///a",
        b"http://:80/a",
        b"/a#b",
        b"http://x/a#b",
        b"http:/x",
    ],
)
def test_a_target_in_no_form_of_an_origin_server_is_refused(target: bytes) -> None:
    assert refused(head(b"host: x", first=b"GET " + target + b" HTTP/1.1")) == 400


def test_connect_is_refused() -> None:
    assert refused(head(b"host: x", first=b"CONNECT x:80 HTTP/1.1")) == 400


@pytest.mark.parametrize("version", [b"2.0", b"0.9", b"3.0", b"0.0"])
def test_other_major_versions_are_refused(version: bytes) -> None:
    assert refused(head(b"host: x", first=b"GET / HTTP/" + version)) == 505


def test_a_later_minor_version_is_served_as_1_1() -> None:
    assert served(head(b"host: x", first=b"GET / HTTP/1.7")).version_minor == 7


@pytest.mark.parametrize(
    "data",
    [
        b"\0\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01",
        b"GET /\r\n\r\n",
        b"GET / HTTP/1.1 \r\nhost: x\r\n\r\n",
        b"GET  / HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost : x\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\na: b\0c\r\n\r\n",
        b"GET / HTTP/1.1\r\n host: x\r\n\r\n",
        b"GET / HTTP/1.1\r\n: x\r\nhost: x\r\n\r\n",
        b"G(T / HTTP/1.1\r\nhost: x\r\n\r\n",
    ],
)
def test_what_is_no_request_is_refused(data: bytes) -> None:
    assert refused(data) == 400


def test_an_empty_line_before_a_request_is_ignored() -> None:
    assert served(b"\r\n" + GET).path == "/"
    assert served(b"\r\n\r\n\r\n" + GET).path == "/"


def test_an_empty_line_after_a_body_is_ignored() -> None:
    driven = Driven(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nab\r\n" + GET)
    driven.exchange.finish(driven.now)
    driven.push()
    assert driven.refused == []
    assert len(driven.exchanges) == 2


@pytest.mark.parametrize("fold", [b"  two", b"\ttwo"])
def test_obs_fold_is_refused_or_made_spaces_of(fold: bytes, engine: str) -> None:
    """As a server must (RFC 9112, 5.2); the reference engine does the latter."""
    data = head(b"host: x", b"a: one", fold, b"b: 1")
    if engine == "fast":
        assert refused(data) == 400
    else:
        assert served(data).headers["a"] == "one two"


# Host -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("value", "host"), HOSTS)
def test_the_host_is_without_its_port(value: bytes, host: str) -> None:
    assert served(head(b"host: " + value)).host == host


@pytest.mark.parametrize("value", MALFORMED_HOSTS)
def test_a_malformed_host_is_refused(value: bytes) -> None:
    assert refused(head(b"host: " + value)) == 400


def test_one_host_is_demanded() -> None:
    assert refused(head()) == 400
    assert refused(head(first=b"GET / HTTP/1.7")) == 400
    assert refused(head(b"host: x", b"host: x")) == 400
    assert refused(head(b"host: x", b"Host: y", first=b"GET / HTTP/1.0")) == 400
    assert served(head(first=b"GET / HTTP/1.0")).host == "default"
    assert refused(head(b"host: a b", first=b"GET http://x/ HTTP/1.1")) == 400


# Bodies -----------------------------------------------------------------------------------------------


def test_a_body_by_content_length() -> None:
    assert (
        served(head(b"host: x", b"content-length: 5", first=b"POST / HTTP/1.1") + b"hello").body == b"hello"
    )
    assert served(head(b"host: x", b"content-length: 0")).body == b""
    assert served(head(b"host: x", b"content-length: 2, 2", b"content-length: 2") + b"ab").body == b"ab"


def test_a_chunked_body() -> None:
    body = b"5\r\nhello\r\n1;ext=1\r\n \r\n5\r\nworld\r\n0\r\ntrailer: x\r\n\r\n"
    assert served(CHUNKED + body).body == b"hello world"
    assert served(CHUNKED + b"0\r\n\r\n").body == b""


@pytest.mark.parametrize(
    "lines",
    [
        (b"content-length: 5", b"transfer-encoding: chunked"),
        (b"transfer-encoding: chunked", b"content-length: 5"),
        (b"content-length: 5", b"content-length: 6"),
        (b"content-length: 5, 6",),
        (b"content-length: -5",),
        (b"content-length: five",),
        (b"content-length: " + b"9" * 30,),
    ],
)
def test_a_body_whose_end_is_in_doubt_is_refused(lines: tuple[bytes, ...]) -> None:
    assert refused(head(b"host: x", *lines, first=b"POST / HTTP/1.1")) == 400


def test_a_transfer_encoding_in_http_1_0_is_refused() -> None:
    assert refused(head(b"transfer-encoding: chunked", first=b"POST / HTTP/1.0")) == 400


@pytest.mark.parametrize("coding", [b"gzip", b"gzip, chunked", b"identity", b"xchunked"])
def test_an_unknown_transfer_encoding_is_not_implemented(coding: bytes) -> None:
    assert refused(head(b"host: x", b"transfer-encoding: " + coding, first=b"POST / HTTP/1.1")) == 501


@pytest.mark.parametrize("body", [b"x\r\n", b"5\r\nhelloworld\r\n", b"-1\r\n", b"\r\n"])
def test_broken_chunks_are_refused(body: bytes) -> None:
    assert refused(CHUNKED + body) == 400


def test_a_body_longer_than_max_body_len_is_refused_by_its_length() -> None:
    post = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n"
    assert refused(post % 6, max_body_len=5) == 413
    assert served(post % 5 + b"12345", max_body_len=5).body == b"12345"
    assert refused(post % 1, max_body_len=0) == 413
    assert served(post % 0, max_body_len=0).body == b""


def test_a_chunked_body_is_refused_as_soon_as_it_is_too_long() -> None:
    assert served(CHUNKED + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", max_body_len=5).body == b"abcde"
    assert refused(CHUNKED + b"3\r\nabc\r\n3\r\ndef", max_body_len=5) == 413
    assert refused(CHUNKED + b"ff\r\n" + b"x" * 6, max_body_len=5) == 413


def test_the_body_after_a_refusal_is_read_and_thrown_away() -> None:
    driven = Driven(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 6\r\n\r\n", max_body_len=5)
    driven.receive(b"123456" + GET)
    driven.push()
    driven.receive(GET * 1000)
    assert driven.connection.wants_read
    assert driven.exchanges == []
    assert len(driven.responses()) == 1


# Size of the head -------------------------------------------------------------------------------------


def test_a_head_longer_than_shuttle_size_is_refused() -> None:
    long = head(b"host: x", b"a: " + b"x" * 1024)
    assert refused(long, shuttle_size=1024) == 431


def test_also_if_it_does_not_end() -> None:
    assert refused(b"GET /" + b"x" * 2000, shuttle_size=1024) == 431


def test_a_head_of_just_shuttle_size_is_served() -> None:
    def of(size: int) -> bytes:
        return head(b"host: x", b"a: " + b"x" * (size - len(head(b"host: x", b"a: "))))

    assert len(of(1024)) == 1024
    assert served(of(1024), shuttle_size=1024).path == "/"
    assert refused(of(1025), shuttle_size=1024) == 431


def test_what_follows_the_head_in_the_same_read_is_not_counted() -> None:
    body = b"b" * 5000
    data = head(b"host: x", b"content-length: 5000", first=b"POST / HTTP/1.1") + body
    assert served(data, shuttle_size=1024).body == body
    driven = Driven(GET * 100, shuttle_size=1024)
    for _ in range(100):
        driven.exchange.finish(driven.now)
        driven.push()
    assert driven.refused == []
    assert len(driven.exchanges) == 100


def test_a_long_head_behind_a_short_request_is_refused_too() -> None:
    driven = Driven(GET + head(b"host: x", b"a: " + b"x" * 1024), shuttle_size=1024)
    driven.exchange.finish(driven.now)
    driven.push()
    assert driven.refused == [431]


# Expect: 100-continue ---------------------------------------------------------------------------------

EXPECTING = head(b"host: x", b"content-length: 2", b"expect: 100-continue", first=b"POST / HTTP/1.1")
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def test_there_is_more_behind_a_100_that_is_not_sent_yet() -> None:
    driven = Driven(EXPECTING)
    driven.receive(b"ab")
    # Its handler may run, and write, before the 100 is sent.
    driven.write(b"x")
    assert b"".join(driven.connection.data_to_send(driven.now)) == CONTINUE
    assert driven.connection.bytes_accepted(len(CONTINUE), driven.now)


def test_a_client_that_waits_for_100_gets_it_before_its_body() -> None:
    driven = Driven(EXPECTING)
    assert driven.exchanges == []
    driven.push()
    assert driven.wire == CONTINUE
    driven.receive(b"ab")
    driven.write("x")
    driven.exchange.finish(driven.now)
    driven.push()
    assert driven.wire.count(CONTINUE) == 1
    (response,) = driven.responses("POST")
    assert (response.status, response.body) == (200, b"x")


def test_a_client_that_sends_its_body_at_once_gets_no_100() -> None:
    driven = Driven(EXPECTING + b"ab")
    driven.exchange.finish(driven.now)
    driven.push()
    assert CONTINUE not in driven.wire


def test_100_is_sent_in_order_behind_a_pipelined_response() -> None:
    driven = Driven(GET + EXPECTING)
    driven.write("abc")
    driven.push()
    assert CONTINUE not in driven.wire
    driven.exchange.finish(driven.now)
    driven.push()
    assert driven.wire.endswith(b"0\r\n\r\n" + CONTINUE)
    driven.receive(b"ab")
    assert driven.exchange.request.body == b"ab"


def test_100_that_the_kernel_has_not_taken_goes_before_the_response() -> None:
    driven = Driven(EXPECTING)
    driven.push(5)
    driven.receive(b"ab")
    driven.exchange.finish(driven.now)
    driven.push()
    assert driven.wire.startswith(CONTINUE + b"HTTP/1.1 200 OK\r\n")
    assert driven.outcomes == ["complete"]


def test_a_body_that_is_too_long_is_refused_before_100_asks_for_it() -> None:
    driven = Driven(EXPECTING, max_body_len=1)
    driven.push()
    assert driven.refused == [413]
    assert CONTINUE not in driven.wire


def test_an_http_1_0_client_gets_no_100() -> None:
    driven = Driven(EXPECTING.replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert driven.push() == 0


def test_each_request_of_a_connection_says_for_whom_it_was_forwarded() -> None:
    client = Loopback(lambda req: req.peer.host, trusted_proxies="192.0.2.0/24").connect()
    for number in range(3):
        client.send(b"GET / HTTP/1.1\r\nhost: x\r\nx-forwarded-for: 198.51.100.%d\r\n\r\n" % number)
    assert [one.body for one in client.responses()] == [b"198.51.100.0", b"198.51.100.1", b"198.51.100.2"]
