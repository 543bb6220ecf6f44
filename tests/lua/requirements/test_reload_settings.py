"""`httpng.cfg` while the server runs: which settings may change, and a handler's file that has changed."""

from pathlib import Path

import pytest
from tests.lua.requirements.scripts import Run

pytestmark = pytest.mark.anyio

SHUTTLE = "Reconfiguration can't change shuttle_size"
PROTO = "min_proto_version can't be changed on reconfiguration"
LEVEL = "openssl_security_level can't be changed on reconfiguration"
LISTEN = "listen can't be changed on reconfiguration"

REFUSED = {
    "min_proto_version-raised": ("min_proto_version = 'tls1.2'", "min_proto_version = 'tls1.3'", PROTO),
    "min_proto_version-lowered": ("min_proto_version = 'tls1.3'", "min_proto_version = 'tls1.2'", PROTO),
    "openssl_security_level-raised": ("openssl_security_level = 1", "openssl_security_level = 2", LEVEL),
    "listen-another": ("", "listen = '127.0.0.1:1'", LISTEN),
}


@pytest.mark.parametrize(("before", "after", "message"), REFUSED.values(), ids=REFUSED)
async def test_what_can_not_change_is_refused_and_all_stays(
    run: Run, before: str, after: str, message: str
) -> None:
    await check_refusal(run, before, after, message)


NULL = {
    "min_proto_version": ("min_proto_version = 'tls1.3'", PROTO),
    "openssl_security_level": ("openssl_security_level = 5", LEVEL),
    "listen": ("", LISTEN),
    "shuttle_size": ("shuttle_size = 1024", SHUTTLE),
}


@pytest.mark.parametrize("lua", ["luajit21"], indirect=True)
@pytest.mark.parametrize("name", NULL)
async def test_a_null_stands_for_the_default_which_is_refused_where_it_is_another_value(
    run: Run, name: str
) -> None:
    """In Lua 5.4 `box.NULL` is nil, so there is no such key, and what was given before stays."""
    before, message = NULL[name]
    await check_refusal(run, before, f"{name} = box.NULL", message)


async def check_refusal(run: Run, before: str, after: str, message: str) -> None:
    source = f"""
        local told
        httpng.cfg{{listen = plain, {before + "," if before else ""} handler = function() return told end}}
        told = refused(httpng.cfg, {{{after}}})
    """
    async with run(source) as served:
        assert await served.body() == message


TAKEN = {
    "threads-null": ("threads = 4", "threads = box.NULL"),
    "thread_termination_timeout-null": (
        "thread_termination_timeout = 5",
        "thread_termination_timeout = box.NULL",
    ),
    "the-same": (
        "shuttle_size = 1024, min_proto_version = 'tls1.3', openssl_security_level = 2",
        "shuttle_size = 1024, min_proto_version = 'tls1.3', openssl_security_level = 2",
    ),
    "nothing": ("min_proto_version = 'tls1.3', openssl_security_level = 2", ""),
}


@pytest.mark.parametrize(("before", "after"), TAKEN.values(), ids=TAKEN)
async def test_what_may_be_given_again(run: Run, before: str, after: str) -> None:
    """Without a handler: there is none afterwards."""
    source = f"""
        httpng.cfg{{listen = plain, {before}, handler = function() end}}
        assert(httpng.cfg{{{after}}} == true)
    """
    async with run(source) as served:
        assert await served.body() == "not found"


async def test_the_listeners_are_refused_though_they_are_the_same(run: Run) -> None:
    source = """
        local told
        local parameters = {listen = plain, handler = function() return told end}
        httpng.cfg(parameters)
        told = refused(httpng.cfg, parameters)
    """
    async with run(source) as served:
        assert await served.body() == LISTEN


async def test_numbers_change_but_shuttle_size_does_not(run: Run) -> None:
    source = """
        local told
        local cfg = {
          listen = plain,
          sites = {{path = '/told', handler = function() return told end}},
          threads = 4,
          max_conn_per_thread = 64,
          shuttle_size = 1024,
          max_body_len = 16 * 1024 * 1024,
          use_body_split = true,
        }
        httpng.cfg(cfg)
        cfg.listen = nil
        cfg.max_conn_per_thread = 128
        httpng.cfg(cfg)
        cfg.max_body_len = 32 * 1024 * 1024
        httpng.cfg(cfg)
        cfg.use_body_split = false
        httpng.cfg(cfg)
        cfg.shuttle_size = 2048
        told = refused(httpng.cfg, cfg)
        cfg.shuttle_size = 1024
        cfg.threads = 5
        httpng.cfg(cfg)
    """
    async with run(source) as served:
        assert await served.body(path="/told") == SHUTTLE


async def test_a_handler_comes_from_its_file_again(run: Run, tmp_path: Path) -> None:
    """The module lies beside the script, whose handler reads it again."""
    module = tmp_path / "reloaded.lua"
    text = """
        local handler = function() return {body = '%s'} end
        return {handler = handler}
    """
    source = """
        local again
        local function load()
          package.loaded.reloaded = nil
          httpng.cfg{sites = {{path = '/again', handler = again}}, handler = require('reloaded').handler}
        end
        again = function() load() return 'done' end
        httpng.cfg{
          listen = plain,
          sites = {{path = '/again', handler = again}},
          handler = require('reloaded').handler,
        }
    """
    module.write_text(text % "foo")
    async with run(source) as served:
        assert await served.body() == "foo"
        module.write_text(text % "bar")
        assert await served.body() == "foo"
        assert await served.body(path="/again") == "done"
        assert await served.body() == "bar"
