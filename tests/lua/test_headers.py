"""Headers of requests and responses in Lua: repeated ones, and many of them."""

import gc
import tracemalloc
from collections.abc import Iterator

import pytest
from tests.lua.conftest import Serve, Served

from httpng_core.testing import Client

COOKIES = "['set-cookie'] = {'a=1', 'b=2'}"


def raw_head(client: Client) -> list[bytes]:
    return bytes(client.received).partition(b"\r\n\r\n")[0].split(b"\r\n")


def cookies(served: Served, path: str = "/") -> list[bytes]:
    return [line for line in raw_head(served.ask(path)) if line.lower().startswith(b"set-cookie:")]


@pytest.mark.parametrize(
    "answer",
    [
        f"return {{headers = {{{COOKIES}}}}}",
        f"io:write_header(200, {{{COOKIES}}})",
        f"io:write_header(200, {{{COOKIES}}}, 'body', true)",
        f"io.headers = {{{COOKIES}}} io:write('body')",
        f"io.headers = {{{COOKIES}}} io:write('body', true)",
        f"io.headers = {{{COOKIES}}} return 'body'",
        f"io.headers = {{{COOKIES}}}",
        f"io.headers = {{{COOKIES}}} io:close()",
        f"io.headers = {{{COOKIES}}} local f = httpng.feed() f:publish('x') f:close() io:follow(f)",
        "io.headers['set-cookie'] = {} table.insert(io.headers['set-cookie'], 'a=1') "
        "table.insert(io.headers['set-cookie'], 'b=2')",
    ],
)
def test_a_list_repeats_the_header_in_order(serve: Serve, answer: str) -> None:
    served = serve(f"function handler(req, io) {answer} end")
    assert [line.partition(b": ")[2] for line in cookies(served)] == [b"a=1", b"b=2"]


def test_an_empty_list_is_no_header(serve: Serve) -> None:
    served = serve("function handler(req, io) return {headers = {['set-cookie'] = {}}} end")
    assert cookies(served) == []


def test_an_empty_value_stays_one(serve: Serve) -> None:
    served = serve("function handler(req, io) return {headers = {a = '', b = {'', 'c\\td'}}} end")
    head = raw_head(served.ask())
    assert head.count(b"a: ") == head.count(b"b: ") == head.count(b"b: c\td") == 1


def head_of(count: int) -> bytes:
    """A head that fits into the limit on its size, however many fields it has."""
    return (
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"%x:\r\n" % number for number in range(count)) + b"\r\n"
    )


@pytest.mark.parametrize("count", [1, 100, 4000, 8000])
@pytest.mark.parametrize("memory", [None, 64 << 20], ids=["without a limit", "with a limit of memory"])
def test_many_headers_of_a_request_work_or_are_refused(serve: Serve, count: int, memory: int | None) -> None:
    served = serve(
        """
        function handler(req, io)
          local n = 0
          for name, value in pairs(req.headers) do n = n + #name end
          return ('%d'):format(n)
        end""",
        lua_memory_limit=memory,
    )
    client = served.loop.connect()
    client.send(head_of(count))
    [response] = client.responses()
    if response.status != 431:
        names = sum(len(f"{number:x}") for number in range(count))
        assert (response.status, response.body) == (200, b"%d" % (names + len("host")))
    assert served.answer("/seen").status == 200


def test_a_header_that_is_repeated_often_is_joined(serve: Serve) -> None:
    served = serve("function handler(req, io) return ('%d'):format(#req.headers.a) end")
    client = served.loop.connect()
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\n" + b"a:b\r\n" * 200 + b"\r\n")
    [response] = client.responses()
    assert (response.status, response.body) == (200, b"598")


@pytest.mark.parametrize("way", ["return {headers = headers}", "io:write_header(200, headers)"])
def test_however_many_headers_a_response_has(serve: Serve, way: str) -> None:
    served = serve(f"""
        function handler(req, io)
          local headers = {{}}
          for n = 1, 8000 do headers['x' .. n] = n end
          {way}
        end""")
    assert sum(line.startswith(b"x") for line in raw_head(served.ask())) == 8000


SIZE, UPLOADS = 1 << 20, 30


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Only what no reference cycle keeps goes by itself."""
    gc.collect()
    gc.disable()
    tracemalloc.start()
    yield
    tracemalloc.stop()
    gc.enable()


@pytest.mark.parametrize("keeps", [False, True], ids=["io is let go", "io is kept"])
@pytest.mark.usefixtures("no_collector")
def test_the_body_of_a_request_goes_when_its_exchange_is_over(serve: Serve, keeps: bool) -> None:
    served = serve(f"""
        local kept = {{}}
        function handler(req, io)
          if {str(keeps).lower()} then kept[#kept + 1] = io end
          return ('%d'):format(#req.body)
        end""")
    before, _ = tracemalloc.get_traced_memory()
    for _ in range(UPLOADS):
        client = served.loop.connect()
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % SIZE + bytes(SIZE))
        [response] = client.responses()
        assert response.body == b"%d" % SIZE
        client.reset()
    after, _ = tracemalloc.get_traced_memory()
    assert after - before < 4 * SIZE


def fields(served: Served, path: str) -> list[bytes]:
    """The fields that begin with an x, with a length for the body: the same however often it is asked for."""
    found = {tuple(line for line in raw_head(served.ask(path)) if line[:1] in b"xX") for _ in range(4)}
    assert len(found) == 1
    return sorted(found.pop())


def test_a_table_that_is_sent_again_says_what_it_says_now(serve: Serve) -> None:
    served = serve(
        """
        local same = {['x-a'] = '1', ['x-b'] = '2'}
        function handler(req, io)
          if req.path == '/changed' then same['x-a'] = '3'
          elseif req.path == '/less' then same['x-b'] = nil
          elseif req.path == '/none' then same['x-a'] = nil
          elseif req.path == '/number' then same['x-a'] = 3
          elseif req.path == '/list' then same['x-a'] = {'3', '4'} end
          return {headers = same}
        end"""
    )
    assert fields(served, "/") == [b"x-a: 1", b"x-b: 2"]
    assert fields(served, "/changed") == [b"x-a: 3", b"x-b: 2"]
    assert fields(served, "/less") == [b"x-a: 3"]
    assert fields(served, "/number") == [b"x-a: 3"]
    assert fields(served, "/list") == [b"x-a: 3", b"x-a: 4"]
    assert fields(served, "/none") == []


def test_two_spellings_of_what_is_known_are_refused(serve: Serve) -> None:
    served = serve(
        """
        local one, other = {['x-a'] = '1'}, {['X-A'] = '1'}
        function handler(req, io)
          if req.path == '/both' then return {headers = {['x-a'] = '1', ['X-A'] = '1'}} end
          return {headers = req.path == '/one' and one or other}
        end"""
    )
    for _ in range(4):
        assert served.answer("/one").headers["x-a"] == "1"
        assert served.answer("/other").headers["x-a"] == "1"
        assert served.answer("/both").status == 500


def test_more_tables_than_are_kept(serve: Serve) -> None:
    served = serve(
        """
        function handler(req, io)
          local n = req.path:sub(2)
          return {headers = {['x-a'] = n, ['x-' .. n] = 'b', ['x-c'] = 'c'}}
        end"""
    )
    for _ in range(2):
        for number in range(400):
            one = str(number % 300)
            headers = served.answer(f"/{one}").headers
            assert (headers["x-a"], headers[f"x-{one}"], headers["x-c"]) == (one, "b", "c")
