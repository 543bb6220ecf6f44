"""The cases in which servers differ, each with what it comes to here: taken, or the status of the refusal."""

import pytest
from tests.core.http1.reading import CHUNKED, GET, head, read, reference, refused, served

HOST = b"Host: a"
TAKEN = 200


def get(*lines: bytes, first: bytes = b"GET / HTTP/1.1") -> bytes:
    return head(HOST, *lines, first=first)


def post(*lines: bytes, body: bytes = b"") -> bytes:
    return get(*lines, first=b"POST / HTTP/1.1") + body


CASES = {
    "plain": (TAKEN, get()),
    "with a length": (TAKEN, post(b"Content-Length: 2", body=b"ab")),
    "chunked": (TAKEN, CHUNKED + b"2\r\nab\r\n0\r\n\r\n"),
    "leading CRLF": (TAKEN, b"\r\n" + GET),
    "bare LF as all line ends": (400, b"GET / HTTP/1.1\nHost: a\n\n"),
    "bare LF behind one line": (400, b"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n"),
    "bare CR in a value": (400, get(b"X: a\rb")),
    "CR without LF at a line's end": (400, b"GET / HTTP/1.1\rHost: a\r\n\r\n"),
    "obs-fold": (400, get(b"X: a", b" b")),
    "space before the colon": (400, get(b"X : a")),
    "space before the first field": (400, b"GET / HTTP/1.1\r\n Host: a\r\n\r\n"),
    "empty name": (400, get(b": a")),
    "no colon": (400, get(b"Xa")),
    "NUL in a value": (400, get(b"X: a\0b")),
    "control in a value": (400, get(b"X: a\x01b")),
    "DEL in a value": (400, get(b"X: a\x7fb")),
    "obs-text in a value": (TAKEN, get(b"X: \xe9")),
    "parenthesis in a name": (400, get(b"X(: a")),
    "obs-text in a name": (400, get(b"X\xe9: a")),
    "length and chunked": (400, post(b"Content-Length: 2", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n")),
    "chunked and length": (400, post(b"Transfer-Encoding: chunked", b"Content-Length: 2", body=b"0\r\n\r\n")),
    "the same length twice": (TAKEN, post(b"Content-Length: 2", b"Content-Length: 2", body=b"ab")),
    "two lengths": (400, post(b"Content-Length: 2", b"Content-Length: 3", body=b"abc")),
    "length 2, 2": (TAKEN, post(b"Content-Length: 2, 2", body=b"ab")),
    "length +2": (400, post(b"Content-Length: +2", body=b"ab")),
    "length 0x2": (400, post(b"Content-Length: 0x2", body=b"ab")),
    "length -1": (400, post(b"Content-Length: -1")),
    "empty length": (400, post(b"Content-Length: ")),
    "length 2^70": (400, post(b"Content-Length: 1180591620717411303424")),
    "coding gzip, chunked": (501, post(b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n")),
    "coding identity": (501, post(b"Transfer-Encoding: identity")),
    "coding chunked, chunked": (400, post(b"Transfer-Encoding: chunked, chunked", body=b"0\r\n\r\n")),
    "coding xchunked": (501, post(b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n")),
    "coding in HTTP/1.0": (400, get(b"Transfer-Encoding: chunked", first=b"POST / HTTP/1.0") + b"0\r\n\r\n"),
    "chunk extension": (TAKEN, CHUNKED + b"2;a=b\r\nab\r\n0\r\n\r\n"),
    "LF in a chunk extension": (400, CHUNKED + b"2;a\nb\r\nab\r\n0\r\n\r\n"),
    "CR in a chunk extension": (400, CHUNKED + b"2;a\rb\r\nab\r\n0\r\n\r\n"),
    "chunk size 0x2": (400, CHUNKED + b"0x2\r\nab\r\n0\r\n\r\n"),
    "space behind a chunk size": (400, CHUNKED + b"2 \r\nab\r\n0\r\n\r\n"),
    "bare LF behind a chunk size": (400, CHUNKED + b"2\nab\n0\n\n"),
    "no CRLF behind chunk data": (400, CHUNKED + b"2\r\nab0\r\n\r\n"),
    "chunk size 2^64": (400, CHUNKED + b"10000000000000000\r\nab\r\n0\r\n\r\n"),
    "malformed trailer": (400, CHUNKED + b"0\r\nX y\r\n\r\n"),
    "target with a space": (400, get(first=b"GET /a b HTTP/1.1")),
    "target with a control": (400, get(first=b"GET /\x01 HTTP/1.1")),
    "target with obs-text": (400, get(first=b"GET /\xe9 HTTP/1.1")),
    "target with a fragment": (400, get(first=b"GET /#a HTTP/1.1")),
    "no target": (400, get(first=b"GET  HTTP/1.1")),
    "relative target": (400, get(first=b"GET foo HTTP/1.1")),
    "* with GET": (400, get(first=b"GET * HTTP/1.1")),
    "CONNECT": (400, get(first=b"CONNECT a:1 HTTP/1.1")),
    "absolute target": (TAKEN, get(first=b"GET http://a/ HTTP/1.1")),
    "absolute target with userinfo": (400, get(first=b"GET http://u@a/ HTTP/1.1")),
    "two spaces": (400, get(first=b"GET  / HTTP/1.1")),
    "TAB as a space": (400, get(first=b"GET\t/ HTTP/1.1")),
    "space behind the version": (400, get(first=b"GET / HTTP/1.1 ")),
    "HTTP/1.2": (TAKEN, get(first=b"GET / HTTP/1.2")),
    "HTTP/2.0": (505, get(first=b"GET / HTTP/2.0")),
    "HTTP/0.9": (400, b"GET /\r\n\r\n"),
    "http/1.1": (400, get(first=b"GET / http/1.1")),
    "HTTP/1.10": (400, get(first=b"GET / HTTP/1.10")),
    "method of one's own": (TAKEN, get(first=b"FOO / HTTP/1.1")),
    "lower-case method": (TAKEN, get(first=b"get / HTTP/1.1")),
    "parenthesis in the method": (400, get(first=b"G(T / HTTP/1.1")),
    "no Host": (400, head()),
    "two Hosts": (400, get(HOST)),
    "Host with a path": (400, head(b"Host: a/b")),
    "Host with userinfo": (400, head(b"Host: u@a")),
    "Host with a comma": (400, head(b"Host: a,b")),
    "Upgrade": (TAKEN, get(b"Connection: upgrade", b"Upgrade: foo")),
    "head of 20 KB": (TAKEN, get(b"X: " + b"a" * 20000)),
    "head of 70 KB": (431, get(b"X: " + b"a" * 70000)),
    "500 fields": (431, get(*(b"X%d: a" % number for number in range(500)))),
}


@pytest.mark.parametrize(("status", "data"), CASES.values(), ids=CASES)
def test_it_is_taken_or_refused(status: int, data: bytes) -> None:
    if status == TAKEN:
        assert served(data).target == "/"
    else:
        assert refused(data).status == status


WAITS = 0
ON_REFERENCE = {
    "bare LF as all line ends": TAKEN,
    "bare LF behind one line": TAKEN,
    "obs-fold": TAKEN,
    "control in a value": TAKEN,
    "DEL in a value": TAKEN,
    "coding chunked, chunked": 501,
    "CR in a chunk extension": TAKEN,
    "space behind a chunk size": TAKEN,
    # It looks for CRLF before it looks at what comes before that.
    "bare LF behind a chunk size": WAITS,
    "chunk size 2^64": WAITS,
}
"""Where the reference engine differs: h11 does, and a reference that is mended is none."""


@pytest.mark.parametrize("name", CASES)
def test_the_reference_engine_differs_where_that_is_written(name: str) -> None:
    status, data = CASES[name]
    outcome = read([data], reference())
    seen = TAKEN if outcome.requests else outcome.status or WAITS
    assert seen == ON_REFERENCE.get(name, status)
