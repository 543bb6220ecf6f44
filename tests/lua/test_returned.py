"""What handlers return, and raise."""

import pytest
from tests.lua.conftest import BEFORE, Serve

CHUNKED_END = b"\r\n0\r\n\r\n"
LINE = BEFORE.count("\n") + 1


@pytest.mark.parametrize(
    ("returned", "status", "headers", "body"),
    [
        ("", 200, {"content-length": "0"}, b""),
        ("nil, 'more'", 200, {"content-length": "0"}, b""),
        ("'text', 5", 200, {"content-length": "4"}, b"text"),
        ("{}", 200, {"content-length": "0"}, b""),
        ("{status = 404, body = 'no'}", 404, {"content-length": "2"}, b"no"),
        ("{status = '404'}", 404, {"content-length": "0"}, b""),
        ("{body = 5}", 200, {"content-length": "1"}, b"5"),
        ("{headers = {a = 'b', c = 1}}", 200, {"a": "b", "c": "1", "content-length": "0"}, b""),
    ],
)
def test_responses(serve: Serve, returned: str, status: int, headers: dict[str, str], body: bytes) -> None:
    response = serve(f"function handler(req, io) return {returned} end").answer()
    assert (response.status, response.headers, response.body) == (status, headers, body)


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ("5", "a handler must return nil, a string or a table, not number"),
        ("true", "a handler must return nil, a string or a table, not boolean"),
        ("false", "a handler must return nil, a string or a table, not boolean"),
        ("print", "a handler must return nil, a string or a table, not function"),
        ("{1}", "a response has status, headers and body, not 1"),
        ("{code = 200}", "a response has status, headers and body, not code"),
        ("{status = 200, x = 1}", "a response has status, headers and body, not x"),
        ("{status = 200, headers = {}, x = 1}", "a response has status, headers and body, not x"),
        ("{status = 200, headers = {}, body = '', x = 1}", "a response has status, headers and body, not x"),
        ("{status = 'x'}", "HTTP code is not an integer"),
        ("{status = 99}", "HTTP code 99 is outside 100..599"),
        ("{body = {}}", "body must be a string or a number, not table"),
        ("{body = false}", "body must be a string or a number, not boolean"),
        ("{headers = {a = {{}}}}", "value of header 'a' must be a string or a number, not table"),
        ("{headers = {a = 'b', A = 'c'}}", "header 'A' is also there as 'a'"),
        ("{headers = {a = '\\27'}}", "value of header 'a' has a control character in it"),
        ("{headers = 5}", "headers must be a table, not number"),
        ("{headers = {['content-length'] = 1}, body = 'xy'}", "content-length is 1"),
    ],
)
def test_anything_else_is_an_error_of_the_handler(
    serve: Serve, caplog: pytest.LogCaptureFixture, returned: str, message: str
) -> None:
    served = serve(f"function handler(req, io) if req.path == '/bad' then return {returned} end end")
    response = served.answer("/bad")
    assert (response.status, response.body) == (500, b"Path handler execution error")
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert "handler error on GET /bad" in caplog.text
    assert message in caplog.text
    assert served.answer().status == 200


@pytest.mark.parametrize("returned", ["5", "{code = 200}"])
def test_one_after_the_response_has_begun_cuts_it_short(
    serve: Serve, caplog: pytest.LogCaptureFixture, returned: str
) -> None:
    served = serve(f"function handler(req, io) io:write('begun') fiber.sleep(1) return {returned} end")
    client = served.ask()
    served.loop.advance(1)
    assert (client.closed, client.gone) == (True, False)
    assert not client.received.endswith(CHUNKED_END)
    assert "handler error on GET /" in caplog.text


@pytest.mark.parametrize(
    ("returned", "body"),
    [
        ("'end'", b"begun end"),
        ("{status = 404, body = 'end'}", b"begun end"),
        ("nil", b"begun "),
        ("{}", b"begun "),
    ],
)
def test_once_begun_the_body_is_appended(serve: Serve, returned: str, body: bytes) -> None:
    response = serve(f"function handler(req, io) io:write('begun ') return {returned} end").answer()
    assert (response.status, response.body) == (200, body)


@pytest.mark.parametrize("begin", ["io:write_header(200, nil, 'foo')", "io:write('foo')"])
def test_begun_and_nil(serve: Serve, begin: str) -> None:
    assert serve(f"function handler(req, io) {begin} return nil end").answer().body == b"foo"


def test_a_returned_body_waits_for_room(serve: Serve) -> None:
    served = serve("function handler(req, io) return ('x'):rep(100000) end", default_send_window=10)
    client = served.ask(room=50_000)
    served.loop.advance(1)
    assert not client.gone
    client.give_room()
    assert len(client.responses()[0].body) == 100_000


NOT_SHOWN = "an error that can not be shown: "
ERRORS = [
    ("error('text')", f"script.lua:{LINE}: text"),
    ("error('text', 0)", "text"),
    ("error({code = 42, why = 'x\\ny'})", '{code=42, why="x\\\ny"}'),
    ("error({1, {}})", "{1=1, 2=table: 0x"),
    ("error(setmetatable({}, {__tostring = function() return 'shown' end}))", "shown"),
    ("error(setmetatable({a = 1}, {}))", "{a=1}"),
    ("error(setmetatable({a = 1}, {__metatable = 'hidden'}))", "{a=1}"),
    (
        "error(setmetatable({}, {__tostring = function() error('no', 0) end}))",
        "an error that can not be shown: no",
    ),
    (
        "error(setmetatable({}, {__tostring = function() fiber.sleep(1) end}))",
        "an error that can not be shown: ",
    ),
    ("error()", "nil"),
    ("error(true)", "true"),
    ("local x = nil + 1", f"script.lua:{LINE}: attempt to perform arithmetic on a nil value"),
    ("do local function f() return f() + 1 end f() end", "stack overflow"),
]


@pytest.mark.parametrize("wait", ["", "fiber.sleep(1)", "io:write('x') fiber.sleep(1)"])
@pytest.mark.parametrize(("statement", "message"), ERRORS)
def test_errors_are_logged_with_a_traceback(
    serve: Serve, caplog: pytest.LogCaptureFixture, statement: str, message: str, wait: str
) -> None:
    served = serve(
        f"function handler(req, io) if req.path == '/bad' then {wait} {statement} end return 'x' end"
    )
    client = served.ask("/bad")
    served.loop.advance(1)
    if "write" in wait:
        assert (client.closed, client.gone) == (True, False)
        assert not client.received.endswith(CHUNKED_END)
    else:
        assert client.responses()[0].status == 500
    # The end that isn't clean has a line of its own.
    record, *_ = caplog.records
    said = record.getMessage().partition("): ")[2]
    assert said.startswith(message) or message in said.partition("\nstack traceback:")[0]
    assert "\nstack traceback:\n" in said
    assert f"script.lua:{LINE}" in said
    assert served.answer().body == b"x"


def test_what_a_failed_handler_has_written_is_dropped(serve: Serve) -> None:
    served = serve("function handler(req, io) io:write('secret') error('x') end")
    client = served.ask(room=0)
    client.give_room()
    [response] = client.responses()
    assert (response.status, response.body) == (500, b"Path handler execution error")


@pytest.mark.parametrize("lua", ["lua54"], indirect=True)
def test_an_error_closes_variables(serve: Serve) -> None:
    served = serve(
        """
        function handler(req, io)
          local guard <close> = setmetatable({}, {__close = function() see('closed') end})
          error('x')
        end"""
    )
    served.ask()
    assert served.seen() == ["closed"]


def test_io_headers_that_are_wrong_when_the_handler_ends(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    served = serve("function handler(req, io) io.headers = {a = {{}}} end")
    assert served.answer().status == 500
    assert "value of header 'a' must be a string or a number, not table" in caplog.text
