"""Request heads (RFC 9113, 8.2 and 8.3): what is a request, what is malformed, what can't be served."""

import pytest

from httpng_core.http2.engine import (
    UNKNOWN_LENGTH,
    RequestError,
    check_trailers,
    normal_authority,
    parse_request,
)

Fields = tuple[tuple[bytes, bytes], ...]
PSEUDO: dict[bytes, bytes] = {
    b":method": b"GET",
    b":scheme": b"http",
    b":authority": b"x",
    b":path": b"/",
}


def fields(*more: tuple[bytes, bytes], **changed: bytes | None) -> Fields:
    """A sound request with other pseudo-headers, `None` leaves one out, and more fields after them."""
    pseudo = PSEUDO | {b":" + name.encode(): value for name, value in changed.items()}
    return (*((name, value) for name, value in pseudo.items() if value is not None), *more)


def refused(listed: Fields, *, has_connect: bool = False) -> int | None:
    """The status of the answer, 0 for a reset; `None` if it is a request."""
    try:
        parse_request(listed, has_connect)
    except RequestError as error:
        return error.status
    return None


def test_a_request() -> None:
    head = parse_request(fields((b"accept", b"a"), (b"content-length", b"12"), method=b"POST"), False)
    assert (head.method, head.scheme, head.authority, head.path) == (b"POST", b"http", b"x", b"/")
    assert head.fields == ((b"host", b"x"), (b"accept", b"a"), (b"content-length", b"12"))
    assert (head.length, head.protocol) == (12, b"")
    assert parse_request(fields(), False).length == UNKNOWN_LENGTH


@pytest.mark.parametrize("name", PSEUDO)
def test_each_pseudo_header_that_is_missing_empty_or_there_twice(name: bytes) -> None:
    without = {name[1:].decode(): None}
    if name == b":authority":
        assert refused(fields(**without)) == 400
        assert refused(fields((b"host", b"x"), **without)) is None
        assert refused(fields(authority=b"")) is None
    else:
        assert refused(fields(**without)) == 0
        assert refused(fields(**{name[1:].decode(): b""})) == 0
    assert refused(((name, PSEUDO[name]), *fields())) == 0
    assert refused((*fields(**without), (b"a", b"b"), (name, PSEUDO[name]))) == 0


@pytest.mark.parametrize("name", [b":status", b":foo", b":", b":Path", b":protocol"])
def test_other_pseudo_headers(name: bytes) -> None:
    assert refused((*fields(), (name, b"200"))) == 0


NAMES = [b"X-A", b"", b" a", b"a ", b"a b", b"a:", b"a\0", b"a\n", b"\x7f", b"\xff", b"a\xe4", b"(a)", b'"']


@pytest.mark.parametrize("name", NAMES)
def test_names_that_no_field_can_have(name: bytes) -> None:
    assert refused(fields((name, b"x"))) == 0


@pytest.mark.parametrize("value", [b"a\0", b"a\rb", b"a\nb", b" a", b"a ", b"\ta", b"a\t", b" "])
def test_values_that_no_field_can_have(value: bytes) -> None:
    assert refused(fields((b"a", value))) == 0


@pytest.mark.parametrize("value", [b"", b"a", b"a b", b"a\tb", b"\xff\x80", b"\x7f", b"\x01"])
def test_values_that_a_field_can_have(value: bytes) -> None:
    assert refused(fields((b"a", value))) is None


OF_A_CONNECTION = [b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"]


@pytest.mark.parametrize("name", OF_A_CONNECTION)
def test_fields_that_belong_to_a_connection(name: bytes) -> None:
    assert refused(fields((name, b"x"))) == 0


@pytest.mark.parametrize(
    ("value", "status"),
    [(b"trailers", None), (b"Trailers", None), (b"gzip", 0), (b"trailers, deflate", 0), (b"", 0)],
)
def test_te(value: bytes, status: int | None) -> None:
    assert refused(fields((b"te", value))) == status


METHODS = [(b"get", None), (b"X-1", None), (b"GE T", 0), (b"GET\0", 0), (b"G/T", 0)]


@pytest.mark.parametrize(("method", "status"), METHODS)
def test_methods(method: bytes, status: int | None) -> None:
    assert refused(fields(method=method)) == status


PATHS = [b"/a?b=c", b"//", b"/%00", b"/'\""]
NO_PATHS = [b"a", b"http://x/", b"?", b"/ ", b"/a b", b"/\0", b"/\x7f", b"/\xff", b"/#", b"/a#b", b"/\n"]


@pytest.mark.parametrize(("path", "status"), [(p, None) for p in PATHS] + [(p, 0) for p in NO_PATHS])
def test_paths(path: bytes, status: int | None) -> None:
    assert refused(fields(path=path)) == status


def test_the_asterisk_is_for_options() -> None:
    assert refused(fields(path=b"*")) == 0
    assert refused(fields(path=b"*", method=b"OPTIONS")) is None


SCHEMES = [(b"https", None), (b"HTTP", None), (b"coap+tcp", None), (b"1", 0), (b"a b", 0)]


@pytest.mark.parametrize(("scheme", "status"), SCHEMES)
def test_schemes(scheme: bytes, status: int | None) -> None:
    assert refused(fields(scheme=scheme)) == status


# Authorities --------------------------------------------------------------------------------------------

SAME = [
    (b"http", b"x", b"X", True),
    (b"http", b"x", b"x:80", True),
    (b"http", b"x:", b"x:80", True),
    (b"http", b"x:443", b"x", False),
    (b"https", b"x:443", b"x", True),
    (b"https", b"x:80", b"x", False),
    (b"http", b"x", b"y", False),
    (b"http", b"x:8080", b"x:8080", True),
    (b"http", b"x:8080", b"x", False),
    (b"http", b"[::80]", b"[::]", False),
    (b"http", b"[::1]:80", b"[::1]", True),
    (b"http", b"", b"x", False),
]


@pytest.mark.parametrize(("scheme", "one", "other", "same"), SAME)
def test_authority_and_host_name_the_same(scheme: bytes, one: bytes, other: bytes, same: bool) -> None:
    assert (normal_authority(one, scheme) == normal_authority(other, scheme)) == same
    for authority, host in ((one, other), (other, one)):
        listed = fields((b"host", host), authority=authority, scheme=scheme)
        assert refused(listed) == (None if same else 0)


def test_host_comes_once() -> None:
    assert refused(fields((b"host", b"x"), (b"host", b"x"))) == 0


@pytest.mark.parametrize("value", [b"a@x", b"x/", b"x,y", b"x:a", b"x:1:2", b"[x]", b"x" * 400])
def test_what_is_no_authority_is_answered(value: bytes) -> None:
    assert refused(fields(authority=value)) == 400
    assert refused(fields((b"host", value), authority=None)) == 400


# Lengths ------------------------------------------------------------------------------------------------

LENGTHS = [(b"0", 0), (b"007", 7), (b"123", 123)]


@pytest.mark.parametrize(("value", "length"), LENGTHS)
def test_lengths(value: bytes, length: int) -> None:
    assert parse_request(fields((b"content-length", value)), False).length == length


@pytest.mark.parametrize("value", [b"", b"-1", b"+1", b"1,1", b"1_0", b"0x1", b"1.0", b"9" * 19, b"\xb2"])
def test_what_is_no_length(value: bytes) -> None:
    assert refused(fields((b"content-length", value))) == 0


def test_a_length_comes_once() -> None:
    assert refused(fields((b"content-length", b"1"), (b"content-length", b"1"))) == 0


# CONNECT and trailers -----------------------------------------------------------------------------------


def test_connect_has_an_authority_alone() -> None:
    connect = {"method": b"CONNECT", "scheme": None, "path": None}
    head = parse_request(fields(**connect, authority=b"x:443"), False)
    assert (head.method, head.authority, head.scheme, head.path) == (b"CONNECT", b"x:443", b"", b"")
    assert refused(fields(**connect | {"authority": None})) == 0
    assert refused(fields(**connect | {"authority": b""})) == 0
    assert refused(fields(**connect | {"path": b"/"})) == 0
    assert refused(fields(**connect | {"scheme": b"http"})) == 0


def test_extended_connect_where_it_was_announced() -> None:
    websocket = {"method": b"CONNECT", "protocol": b"websocket", "path": b"/chat"}
    assert refused(fields(**websocket)) == 0
    head = parse_request(fields(**websocket), True)
    assert (head.protocol, head.path, head.scheme) == (b"websocket", b"/chat", b"http")
    for change in ({"method": b"GET"}, {"path": None}, {"scheme": None}, {"protocol": b"a b"}):
        assert refused(fields(**websocket | change), has_connect=True) == 0
    assert refused(fields(**websocket | {"authority": None}), has_connect=True) == 400


@pytest.mark.parametrize(
    ("field", "sound"),
    [
        ((b"grpc-status", b"0"), True),
        ((b":path", b"/"), False),
        ((b":status", b"200"), False),
        ((b"A", b""), False),
        ((b"a", b"\n"), False),
        ((b"connection", b"close"), False),
    ],
)
def test_trailers(field: tuple[bytes, bytes], sound: bool) -> None:
    if sound:
        check_trailers((field,))
    else:
        with pytest.raises(RequestError):
            check_trailers((field,))
