"""What `httpng.cfg` refuses, in the words of the original, and that nothing is left of it."""

import socket
from pathlib import Path

import pytest
from tests.certificates import make_pair
from tests.lua.requirements.scripts import Finish, Run

pytestmark = pytest.mark.anyio

H = "handler = function() end"

WRONG = {
    "shuttle_size-64": ("{shuttle_size = 64, %s}", "shuttle_size is too small for Lua handlers"),
    "nothing": ("", "No parameters specified"),
    "empty": ("{}", "No handlers specified"),
    "c_sites_func-a-number": ("{c_sites_func = 42}", "c_sites_func must be a function"),
    "c_sites_func-raises": (
        "{c_sites_func = function() error('') end, %s}",
        "c_sites_func: native C handlers are not supported",
    ),
    "c_sites_func-returns-a-number": (
        "{c_sites_func = function() return 42 end, %s}",
        "c_sites_func: native C handlers are not supported",
    ),
    "threads-a-text": ("{threads = 'test'}", "parameter threads is not a number"),
    "sites-a-text": ("{sites = 'test'}", "sites is not a table"),
    "sites-one-of-a-number": ("{sites = {path = 42}}", "sites is not a table of tables"),
    "path-a-number": ("{sites = {{path = 42}}}", "sites[].path is not a string"),
    "no-path": ("{sites = {{}}}", "sites[].path is nil"),
    "handler-a-number": ("{handler = 42}", "handler is not a function"),
    "handler-of-a-site-a-number": (
        "{sites = {{path = '/', handler = 42}}}",
        "sites[].handler is not a function or string",
    ),
    "port-77777": ("{%s, listen = {{port = 77777}}}", "invalid port specified: listen.port = 77777"),
    "min_proto_version-a-number": ("{%s, min_proto_version = 1}", "min_proto_version is not a string"),
    "min_proto_version-ssl2": ("{%s, min_proto_version = 'ssl2'}", "unknown min_proto_version specified"),
    "openssl_security_level-a-text": (
        "{%s, openssl_security_level = 'ssl'}",
        "openssl_security_level is not a number",
    ),
    "openssl_security_level-6": (
        "{%s, openssl_security_level = 6}",
        "openssl_security_level is invalid",
    ),
    "two-roots": ("{sites = {{path = '/', %s}, {path = '/', %s}}}", 'There can be only one "/"'),
    "a-root-and-a-handler": ("{sites = {{path = '/', %s}}, %s}", 'There can be only one "/"'),
    "a-path-behind-the-root": (
        "{sites = {{path = '/', %s}, {path = '/alt', %s}}}",
        'Can\'t add other paths after adding "/"',
    ),
    "a-path-twice": (
        "{sites = {{path = '/alt', %s}, {path = '/alt', %s}}}",
        "Can't add duplicate paths",
    ),
}


ROWS = [pytest.param(*row, id=name) for name, row in WRONG.items()]


@pytest.mark.parametrize(("parameters", "message"), ROWS)
async def test_a_wrong_cfg_is_refused_and_leaves_nothing(run: Run, parameters: str, message: str) -> None:
    """The message stands alone, without a position in front."""
    source = f"""
        local first = refused(httpng.cfg{parameters and ", "}{parameters.replace("%s", H)})
        local second = refused(httpng.shutdown)
        httpng.cfg{{listen = plain, handler = function() return first .. '; ' .. second end}}
    """
    async with run(source) as served:
        assert await served.body() == f"{message}; Server is not launched"


# Sequences: what is refused while the server runs doesn't hinder its shutdown ---------------------------

SEQUENCES = {
    "a-handler-of-a-site": ["{sites = {{path = '/', handler = 42}}}"],
    "a-path-behind-the-root": [
        "{sites = {{path = '/', %s}}, %s}",
        "{sites = {{path = '/', %s}, {path = '/alt', handler = 42}}}",
    ],
    "three-types": ["{sites = 'test'}", "{handler = 42}", "{sites = {{path = '/', handler = 42}}}"],
}
"""Of two of them the original removes all sites at first."""


@pytest.mark.parametrize("name", SEQUENCES)
async def test_shutdown_works_after_a_sequence_of_refused_cfgs(finish: Finish, name: str) -> None:
    wrong = [parameters.replace("%s", H) for parameters in SEQUENCES[name]]
    removal = "" if name == "three-types" else "httpng.cfg{}"
    source = f"""
        httpng.cfg{{listen = plain, {H}}}
        {removal}
        for _, parameters in ipairs{{{", ".join(wrong)}}} do report(refused(httpng.cfg, parameters)) end
        httpng.shutdown()
        report('down')
        report(refused(httpng.shutdown))
    """
    *refusals, down, again = await finish(source)
    assert (down, again) == ("down", "Server is not launched")
    assert len(refusals) == len(wrong)
    assert "false" not in refusals


# What only opening the listeners can tell ---------------------------------------------------------------


async def test_an_address_that_is_taken_is_an_error_of_cfg(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        source = f"""
            local told = refused(httpng.cfg, {{listen = {{plain, '127.0.0.1:{port}'}}, {H}}})
            local stopped = refused(httpng.shutdown)
            httpng.cfg{{listen = plain, handler = function() return told .. '; ' .. stopped end}}
        """
        async with run(source) as served:
            told = f"bind error: http://127.0.0.1:{port}: Address already in use; Server is not launched"
            assert await served.body() == told


CERTIFICATES = {
    "certificate": ("none.pem", "%(key)s", "can't bind certificate file to ssl_ctx: none.pem: "),
    "key": ("%(certificate)s", "none.key", "can't bind private key to ssl_ctx: none.key: "),
    "pair": ("%(certificate)s", "%(other)s", "check private key with certificate failed: "),
}


@pytest.mark.parametrize("name", CERTIFICATES)
async def test_a_certificate_that_can_not_be_used_is_an_error_of_cfg(
    run: Run, tmp_path: Path, name: str
) -> None:
    pair, other = make_pair(tmp_path, stem="one"), make_pair(tmp_path, stem="other")
    files = {
        "certificate": pair.certificate_file,
        "key": pair.certificate_key_file,
        "other": other.certificate_key_file,
    }
    certificate, key, message = CERTIFICATES[name]
    source = f"""
        local tls = {{{{certificate_file = '{certificate % files}', certificate_key_file = '{key % files}'}}}}
        local listen = {{addr = '127.0.0.1', port = 0, tls = tls}}
        local told = refused(httpng.cfg, {{listen = listen, {H}}})
        httpng.cfg{{listen = plain, handler = function() return told end}}
    """
    async with run(source) as served:
        assert (await served.body()).startswith(message)
