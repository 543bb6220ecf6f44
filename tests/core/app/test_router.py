"""Routes: which one a request is for; and the router as a handler."""

import logging
import re
from time import perf_counter
from typing import Any

import pytest

from httpng_core import Application, GeneratorIO, Request, Response, Router
from httpng_core.app import HandlerSteps, Match, NoMatch, RouteTable, RouteTableStatistics
from httpng_core.testing import Loopback


def table_of(*paths: str, **options: Any) -> RouteTable[str]:
    """Each path leads to itself."""
    table: RouteTable[str] = RouteTable()
    for path in paths:
        table.add(path, path, **options)
    return table


def found(table: RouteTable[str], target: str, method: str = "GET", host: str = "x") -> object:
    """What was found, the stash beside it if there is one, or the methods allowed."""
    match = table.find(method, host, target)
    if isinstance(match, NoMatch):
        return match.allow
    return (match.handler, match.stash) if match.stash else match.handler


MATCHES = [
    ("/", "/", {}),
    ("/", "/?a=b", {}),
    ("/foo", "/foo", {}),
    ("/foo", "/foo/", {}),
    ("/foo/", "/foo", {}),
    ("/foo", "/f%6Fo?x=/", {}),
    ("/caf\u00e9", "/caf%C3%A9", {}),
    ("/:id", "/5", {"id": "5"}),
    ("/:id", "/a.b%20c", {"id": "a.b c"}),
    ("/:id", "/caf%C3%A9/", {"id": "caf\u00e9"}),
    ("/:id", "/%FF", {"id": "\udcff"}),
    ("/:id", "/a%0Ab", {"id": "a\nb"}),
    ("/users/:id/posts/:post", "/users/5/posts/7", {"id": "5", "post": "7"}),
    ("/users/#id", "/users/a.b", {"id": "a.b"}),
    ("/files/:name.:ext", "/files/a.tar.gz", {"name": "a", "ext": "tar.gz"}),
    ("/v:major-:minor", "/v1-2", {"major": "1", "minor": "2"}),
    ("/:a-:b", "/x-y-z", {"a": "x", "b": "y-z"}),
    ("/<id>.json", "/5.json", {"id": "5"}),
    ("/<:id>th", "/5th", {"id": "5"}),
    ("/<#id>x", "/5x", {"id": "5"}),
    ("/:1", "/5", {"1": "5"}),
    ("/*rest", "/", {"rest": ""}),
    ("/*rest", "/a/b/", {"rest": "a/b/"}),
    ("/files/<*rest>", "/files/a%2Fb", {"rest": "a/b"}),
    ("/files/*rest", "/files/", {"rest": ""}),
    ("/:user/*rest", "/me/a/b", {"user": "me", "rest": "a/b"}),
    ("/a.b", "/a.b", {}),
    ("/[x]:id", "/[x]5", {"id": "5"}),
    ("/:a^:b", "/1^2", {"a": "1", "b": "2"}),
    ("/:a]:b", "/1]2", {"a": "1", "b": "2"}),
]


@pytest.mark.parametrize(("path", "target", "stash"), MATCHES)
def test_a_path_that_matches(path: str, target: str, stash: dict[str, str]) -> None:
    assert table_of(path).find("GET", "x", target) == Match(path, stash)


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/", "/x"),
        ("/", "*"),
        ("/foo", "/Foo"),
        ("/foo", "/foo//"),
        ("/foo", "/foox"),
        ("/foo", "/"),
        ("/foo/", "//foo"),
        ("/:id", "/"),
        ("/:id", "/a/b"),
        ("/:id", "/a%2Fb"),
        ("/users/:id", "/users/"),
        ("/users/:id", "/users"),
        ("/users/:id/x", "/users//x"),
        ("/files/*rest", "/files"),
        ("/files/*rest", "/filesx"),
        ("/a.b", "/axb"),
        ("/:name.json", "/x.jso"),
        ("/:name.json", "/.json"),
        ("/:a-:b", "/x-"),
    ],
)
def test_a_path_that_does_not(path: str, target: str) -> None:
    assert table_of(path).find("GET", "x", target) == NoMatch()


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/users/me", "/users/me"),
        ("/users/me.json", "/users/:id.json"),
        ("/users/5", "/users/:id"),
        ("/users/5/x", "/users/*rest"),
        ("/groups/5", "/:kind/5"),
        ("/users/7", "/users/:id"),
        ("/groups/a/b", "/*rest"),
        ("/", "/*rest"),
    ],
)
@pytest.mark.parametrize("turn", [1, -1])
def test_the_more_static_path_wins_in_whatever_order_it_was_added(target: str, path: str, turn: int) -> None:
    paths = ["/*rest", "/:kind/5", "/users/*rest", "/users/:id", "/users/:id.json", "/users/me"][::turn]
    match = table_of(*paths).find("GET", "x", target)
    assert isinstance(match, Match)
    assert match.handler == ("/users/:id" if target == "/users/5" else path)


def test_of_equals_the_first_wins() -> None:
    assert found(table_of("/:a", "/:b"), "/5") == ("/:a", {"a": "5"})


def test_methods() -> None:
    table: RouteTable[str] = RouteTable()
    table.add("/x", "get", method="GET")
    table.add("/x", "post", method="POST")
    table.add("/:id", "delete", method="DELETE")
    table.add("/any", "any", method="ANY")
    table.add("/all", "all")
    assert found(table, "/x") == found(table, "/x", "HEAD") == "get"
    assert found(table, "/x", "POST") == "post"
    assert found(table, "/x", "DELETE") == ("delete", {"id": "x"})
    assert found(table, "/x", "PUT") == ("GET", "HEAD", "POST", "DELETE")
    assert found(table, "/x", "get") == ("GET", "HEAD", "POST", "DELETE")
    assert found(table, "/y", "PUT") == ("DELETE",)
    assert found(table, "/any", "PUT") == "any"
    assert found(table, "/all", "PUT") == "all"
    assert found(table, "/no/where", "PUT") == ()


def test_an_explicit_head_beside_get() -> None:
    table: RouteTable[str] = RouteTable()
    table.add("/x", "head", method="HEAD")
    table.add("/x", "get", method="GET")
    assert found(table, "/x", "HEAD") == "head"
    assert found(table, "/x", "PUT") == ("HEAD", "GET")


def test_hosts() -> None:
    table: RouteTable[str] = RouteTable()
    table.add("/x", "any")
    table.add("/x", "a", host="A.example")
    table.add("/:id", "a pattern", host="a.example")
    assert found(table, "/x", host="a.EXAMPLE") == "a"
    assert found(table, "/x", host="b.example") == "any"
    assert found(table, "/y", host="a.example") == ("a pattern", {"id": "y"})
    assert found(table, "/y", host="b.example") == ()


def test_delete_and_add_again() -> None:
    table: RouteTable[str] = RouteTable()
    for path in ("/x", "/:id"):
        table.add(path, path, name=path)
    table.add("/x", "other", method="POST")
    assert table.delete("/x") == "/x"
    assert found(table, "/x") == ("/:id", {"id": "x"})
    assert found(table, "/x", "POST") == "other"
    assert table.delete("/:id") == "/:id"
    assert found(table, "/x") == ("POST",)
    table.add("/y", "y", name="y")
    table.delete("y")
    assert found(table, "/y") == ()
    table.add("/y", "again", name="y")
    assert found(table, "/y") == "again"
    with pytest.raises(ValueError, match="there is no route 'z'"):
        table.delete("z")


def test_thousands_of_routes_that_were_deleted_leave_nothing() -> None:
    table: RouteTable[int] = RouteTable()
    for number in range(1000):
        table.add(f"/{number}", number, name="x")
        table.delete("x")
    assert table.statistics() == RouteTableStatistics(paths=0, patterns=0, names=0)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("", "path '' of a route must begin with '/'"),
        ("foo", "path 'foo' of a route must begin with '/'"),
        ("/*a/b", "placeholder *a must be the end of path '/*a/b'"),
        ("/:a:b", "placeholder :a in path '/:a:b' must not touch the next one"),
        ("/:a*b", "placeholder :a in path '/:a*b' must not touch the next one"),
        ("/:a/:a", "path '/:a/:a' of a route has two placeholders of one name"),
    ],
)
def test_paths_that_can_not_be(path: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        table_of(path)


def test_names_are_taken_once_and_a_refused_route_leaves_nothing() -> None:
    table = table_of("/x", name="x")
    with pytest.raises(ValueError, match="there is a route 'x' already"):
        table.add("/y", "y", name="x")
    with pytest.raises(ValueError, match="must begin"):
        table.add("z", "z", name="z")
    table.add("/z", "z", name="z")
    assert found(table, "/y") == ()


@pytest.mark.parametrize("path", ["/:a-:b-:c-:d/x", "/:a/*rest", "/:a.:b.:c/y"])
def test_no_path_of_a_client_takes_long(path: str) -> None:
    table = table_of(path)
    targets = ["/" + filler * 60000 + "/" for filler in ("-", ".", "a", "a-", "a.", "/")]
    began = perf_counter()
    for target in targets:
        table.find("GET", "x", target)
    # Quadratic would be minutes.
    assert perf_counter() - began < 5


# As a handler ------------------------------------------------------------------------------------------


def plain(req: Request) -> object:
    return f"{req.path} {dict(req.stash)}"


def steps(req: Request, io: GeneratorIO) -> HandlerSteps:
    yield io.write(f"steps {req.stash['id']}")
    return None


async def asynchronous(req: Request, io: Any) -> None:
    await io.write(f"async {req.stash['rest']}")


def answers(router: Router, *asked: tuple[str, str]) -> list[tuple[int, bytes]]:
    loop = Loopback(router)
    told = []
    for method, path in asked:
        client = loop.connect()
        client.get(path, method)
        [response] = client.responses(method)
        assert response.complete
        told.append((response.status, response.body))
    return told


def test_handlers_of_all_kinds_with_what_was_stashed() -> None:
    router = Router()
    router.route("/plain", plain)
    router.route("/steps/:id", steps)
    router.route("/async/*rest", asynchronous)
    assert answers(router, ("GET", "/plain?x"), ("GET", "/steps/5"), ("GET", "/async/a/b")) == [
        (200, b"/plain?x {}"),
        (200, b"steps 5"),
        (200, b"async a/b"),
    ]


def test_404_and_405_with_the_methods() -> None:
    router = Router()
    router.route("/x", plain, method="GET")
    router.route("/x", plain, method="POST")
    loop = Loopback(router)
    responses = []
    for method, path in (("GET", "/y"), ("PUT", "/x"), ("HEAD", "/x")):
        client = loop.connect()
        client.get(path, method)
        responses += client.responses(method)
    assert [(one.status, one.body) for one in responses] == [
        (404, b"not found"),
        (405, b"method not allowed"),
        (200, b""),
    ]
    assert responses[0].headers["content-type"] == "text/plain; charset=utf-8"
    assert "allow" not in responses[0].headers
    assert responses[1].headers["allow"] == "GET, HEAD, POST"


def test_routes_change_while_it_serves() -> None:
    router = Router()
    loop = Loopback(Application(router))

    def ask() -> int:
        client = loop.connect()
        client.get("/x")
        return client.responses()[0].status

    seen = [ask()]
    router.route("/x", plain, name="x")
    seen.append(ask())
    router.delete("x")
    seen.append(ask())
    assert seen == [404, 200, 404]


def test_routers_may_be_nested() -> None:
    inner, outer = Router(), Router()
    inner.route("/:kind/:id", plain)
    outer.route("/users/*rest", inner, host="test")
    assert answers(outer, ("GET", "/users/5")) == [
        (200, b"/users/5 {'rest': '5', 'kind': 'users', 'id': '5'}")
    ]


def test_a_handler_that_is_none_is_refused_at_once() -> None:
    with pytest.raises(TypeError, match="handler is not a function"):
        Router().route("/", 5)


async def async_before(req: Request) -> None: ...


@pytest.mark.parametrize("wrong", [5, None, async_before])
def test_before_is_a_plain_function(wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"before must be a plain function that takes \(req\)"):
        Router().before(wrong)


def test_before_runs_in_order_and_may_answer() -> None:
    router, seen = Router(), []

    def log(req: Request) -> None:
        seen.append((req.path, dict(req.stash)))

    def guard(req: Request) -> object:
        return Response(status=403, body="no") if req.stash.get("id") == "5" else None

    router.before(log)
    router.before(guard)
    router.before(log)
    router.route("/:id", plain)
    assert answers(router, ("GET", "/4"), ("GET", "/5"), ("GET", "/a/b")) == [
        (200, b"/4 {'id': '4'}"),
        (403, b"no"),
        (404, b"not found"),
    ]
    assert seen == [("/4", {"id": "4"}), ("/4", {"id": "4"}), ("/5", {"id": "5"})]


@pytest.mark.parametrize("what", [ValueError("boom"), 5])
def test_an_error_in_before_is_one_of_the_handler(caplog: pytest.LogCaptureFixture, what: object) -> None:
    router = Router()

    def before(_req: Request) -> object:
        if isinstance(what, Exception):
            raise what
        return what

    router.before(before)
    router.route("/", plain)
    caplog.set_level(logging.ERROR, "httpng")
    assert answers(router, ("GET", "/")) == [(500, b"Path handler execution error")]
    assert "handler error on GET /" in caplog.text


def test_a_request_without_a_router_has_an_empty_stash() -> None:
    assert dict(Request(method="GET", path="/").stash) == {}


def test_what_no_program_should_catch_gets_through_before() -> None:
    router = Router()

    def before(_req: Request) -> object:
        raise KeyboardInterrupt

    router.before(before)
    router.route("/", plain)
    with pytest.raises(KeyboardInterrupt):
        answers(router, ("GET", "/"))
