"""Sites: which handler a request is for, and what is refused in a configuration of them."""

import os
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from httpng_core import Application, ConfigError, Request
from httpng_core.config import Site, SiteTable, parse_sites, resolved
from httpng_core.testing import Loopback, ReceivedResponse

# Matching ---------------------------------------------------------------------------------------------

MATCHES = {
    "/foo": "/foo /foo/ /foo/x /foo?q /foo/?q=/bar /%66oo /x/../foo /foo%2Fx /foo%3Fx/../foo",
    "/sl/": "/sl/ /sl/x /sl/?q /sl/x/.. /sl/.",
    "/": "/ /x * // /.. /%00",
    "/a b/\N{LATIN SMALL LETTER U WITH DIAERESIS}": "/a%20b/%C3%BC /a%20b/%c3%bc/x",
    "/two//": "/two// /two//x",
}
MISSES = {
    "/foo": "/foo1 /Foo / * /fo /x/foo /foo/../x /foo/%2e%2e/x /foo%2f..%2fx /foo%3F",
    "/sl/": "/sl /slx /sl/.. /sl/../x",
    "/a%20b": "/a%20b",
    "/two//": "/two/ /two/x",
}


@pytest.mark.parametrize(("path", "targets"), MATCHES.items())
def test_a_site_takes_its_path_and_all_below_it(path: str, targets: str) -> None:
    assert [one for one in targets.split() if SiteTable([(path, 1)]).find(one) is None] == []


@pytest.mark.parametrize(("path", "targets"), MISSES.items())
def test_a_site_takes_no_other_path(path: str, targets: str) -> None:
    assert [one for one in targets.split() if SiteTable([(path, 1)]).find(one) is not None] == []


def test_dots_in_a_query_mean_nothing() -> None:
    assert SiteTable([("/foo", 1)]).find("/foo?/../x/..") == 1


def test_the_first_that_takes_a_path_has_it() -> None:
    table = SiteTable([("/a/b", 1), ("/a", 2), ("/a/c", 3), ("/", 4)])
    found = {path: table.find(path) for path in ("/a/b", "/a/b/c", "/a/c", "/a", "/b")}
    assert found == {"/a/b": 1, "/a/b/c": 1, "/a/c": 2, "/a": 2, "/b": 4}


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/a/./b", b"/a/b"),
        ("/a/b/.", b"/a/b/"),
        ("/a/b/..", b"/a/"),
        ("/../../a", b"/a"),
        ("/a/%2E%2e/b", b"/b"),
        ("/a%2f..%2fb", b"/b"),
        ("/%252e%252e/a", b"/%2e%2e/a"),
        ("/a//../b", b"/a/b"),
        ("/a/...", b"/a/..."),
        ("/a/.b", b"/a/.b"),
        ("/%zz%", b"/%zz%"),
        ("/%ff%00", b"/\xff\0"),
        ("/", b"/"),
        ("/.", b"/"),
        ("/..", b"/"),
        ("*", b"/"),
    ],
)
def test_paths_are_decoded_once_and_dot_segments_resolved(target: str, path: bytes) -> None:
    assert resolved(target) == path


# What is refused --------------------------------------------------------------------------------------


def handler(req: Request) -> bytes:
    return b""


def site(path: object = "/", **more: object) -> dict[str, object]:
    return {"path": path, "handler": handler, **more}


def served(**more: object) -> dict[str, object]:
    """The configuration of one site, of a directory."""
    return {"sites": [site(handler="d", **more)]}


WRONG: list[tuple[dict[str, object], str]] = [
    ({}, "No handlers specified"),
    ({"sites": []}, "No handlers specified"),
    ({"sites": ()}, "No handlers specified"),
    ({"sites": None, "handler": None}, "No handlers specified"),
    ({"sites": 5}, "sites is not a table"),
    ({"sites": "/"}, "sites is not a table"),
    ({"sites": [5]}, "sites is not a table of tables"),
    ({"sites": [site("/a"), handler]}, "sites is not a table of tables"),
    ({"sites": site()}, "sites is not a table of tables"),
    ({"sites": {"a": site()}}, "sites is not an array: its order would be left to chance"),
    ({"sites": [{}]}, "sites[].path is nil"),
    ({"sites": [("/", handler)]}, "sites[].path is nil"),
    ({"sites": [{"handler": handler}]}, "sites[].path is nil"),
    ({"sites": [site(5)]}, "sites[].path is not a string"),
    ({"sites": [site(b"/")]}, "sites[].path is not a string"),
    ({"sites": [{"path": "/"}]}, "sites[].handler is not a function or string"),
    ({"sites": [site(handler=5)]}, "sites[].handler is not a function or string"),
    ({"sites": [site(handler={})]}, "sites[].handler is not a function or string"),
    ({"handler": 5}, "handler is not a function"),
    ({"handler": b"/"}, "handler is not a function"),
    ({"handler": object()}, "handler is not a function"),
    ({"sites": [site(), site()]}, 'There can be only one "/"'),
    ({"sites": [site()], "handler": handler}, 'There can be only one "/"'),
    ({"sites": [site(), site("/a")]}, 'Can\'t add other paths after adding "/"'),
    ({"sites": [site("/a"), site("/b"), site("/a")]}, "Can't add duplicate paths"),
    ({"sites": [site(hanlder=5)]}, "unknown parameter hanlder in sites; the nearest known one is handler"),
    ({"sites": [site("")]}, "sites[].path '' can't match: it must begin with '/', without dot segments"),
    ({"sites": [site("a")]}, "sites[].path 'a' can't match: it must begin with '/', without dot segments"),
    (
        {"sites": [site("/a/..")]},
        "sites[].path '/a/..' can't match: it must begin with '/', without dot segments",
    ),
    ({"sites": [site(indx="a")]}, "unknown parameter indx in sites; the nearest known one is index"),
    (
        {"sites": [site(index="a")]},
        "sites[].index is for directories, and the handler of this site is a function",
    ),
    (
        {"sites": [site(dotfiles=False)]},
        "sites[].dotfiles is for directories, and the handler of this site is a function",
    ),
    (served(index=5), "sites[].index is not a string"),
    (served(index=True), "sites[].index is not a string"),
    (served(dotfiles=1), "sites[].dotfiles is not a boolean"),
    (served(dotfiles="yes"), "sites[].dotfiles is not a boolean"),
    *(
        (
            served(index=name),
            f"sites[].index {name!r} can't be the name of a file: it is looked for in each directory",
        )
        for name in ("", ".", "..", "a/b", "../a", "/a", "a\\b", "a\0")
    ),
    # The order of checks.
    ({"listen": 70000, "sites": 5}, "invalid port specified"),
    ({"c_sites_func": 5, "sites": 5}, "c_sites_func must be a function"),
    ({"max_body_len": "x", "sites": 5}, "parameter max_body_len is not a number"),
    ({"shuttle_size": "x", "sites": 5}, "parameter shuttle_size is not a number"),
    ({"shuttle_size": 64, "sites": 5}, "sites is not a table"),
    ({"sites": [{"path": 5, "handler": 5}], "handler": 5}, "sites[].path is not a string"),
    ({"sites": [site("/a"), site("/a", handler=5)]}, "sites[].handler is not a function or string"),
    ({"sites": [site("/a"), site("/a"), 5]}, "Can't add duplicate paths"),
    ({"sites": [site()], "handler": 5}, "handler is not a function"),
    ({"shuttle_size": 64}, "No handlers specified"),
    ({"min_proto_version": 5}, "No handlers specified"),
    ({"handler": 5, "openssl_security_level": {}}, "handler is not a function"),
]


@pytest.mark.parametrize(("cfg", "message"), WRONG)
def test_what_is_refused_and_how(cfg: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        Application(**cfg)
    assert str(raised.value).partition(": listen")[0] == message.partition(": listen")[0]


def test_paths_that_differ_by_a_slash_are_two() -> None:
    assert len(parse_sites([site("/a"), site("/a/"), site("/A")], None)) == 3


def test_what_was_given_stays_as_it_is() -> None:
    given = [site("/a"), {**site("/b"), "handler": handler}]
    before = [dict(one) for one in given]
    app = Application(handler, sites=given)
    assert given == before
    assert app.sites == (Site("/a", handler), Site("/b", handler), Site("/", handler))
    given.clear()
    assert len(app.sites) == 3


def test_of_a_directory_is_known_what_stands_for_it_and_whether_it_is_hidden() -> None:
    assert Application("/d").sites == (Site("/", "/d", index=None, dotfiles=False),)
    given = [site("/a", handler="/d", index="i.html", dotfiles=True), site("/b", handler="/d", index=None)]
    app = Application(sites=given)
    assert app.sites == (Site("/a", "/d", index="i.html", dotfiles=True), Site("/b", "/d"))


# Served -----------------------------------------------------------------------------------------------


def answer(app: object, target: str) -> ReceivedResponse:
    loop = Loopback(app)
    client = loop.connect()
    client.get(target)
    [response] = client.responses()
    assert response.complete
    return response


def telling(name: str) -> Any:
    return lambda req: f"{name} {req.path}"


async def asynchronous(req: Request, io: Any) -> None:
    await io.write(f"async {req.path}")


def test_handlers_of_all_kinds_get_the_path_as_it_came() -> None:
    sites = [
        {"path": "/plain", "handler": telling("plain")},
        {"path": "/async/", "handler": asynchronous},
    ]
    app = Application(telling("the rest"), sites=sites)
    told = [answer(app, path).body for path in ("/plain/%2e?q", "/async/x/", "/async", "/")]
    assert told == [b"plain /plain/%2e?q", b"async /async/x/", b"the rest /async", b"the rest /"]


def test_what_no_site_takes_is_not_found() -> None:
    app = Application(sites=[{"path": "/a", "handler": telling("a")}])
    response = answer(app, "/b")
    assert (response.status, response.body) == (404, b"not found")
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert response.headers["content-length"] == "9"


def test_an_application_of_one_handler_has_one_site() -> None:
    app = Application(handler)
    assert app.sites == (Site("/", handler),)


# Directories ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [str, Path, os.fsencode, PurePosixPath])
def test_a_directory_is_known_by_its_absolute_name(form: Any, monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    given = form("www/../files")
    if form is os.fsencode:
        with pytest.raises(ConfigError, match="handler is not a function"):
            Application(given)
        return
    app = Application(given, sites=[{"path": "/here", "handler": form(".")}, site("/a")])
    assert app.directories == [str(tmp_path), str(tmp_path / "files")]
    assert app.sites[0] == Site("/here", str(tmp_path))
    assert app.sites[1].directory is None


@pytest.mark.parametrize("name", ["", "a\0b"])
def test_what_cannot_be_the_name_of_a_directory(name: str) -> None:
    with pytest.raises(ConfigError, match="can't be the name of a directory"):
        Application(name)
    with pytest.raises(ConfigError, match="can't be the name of a directory"):
        Application(sites=[{"path": "/", "handler": name}])
