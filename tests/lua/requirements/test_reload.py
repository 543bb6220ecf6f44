"""`httpng.cfg` while the server runs: the sites that it adds, removes and replaces, all or none."""

from collections.abc import Mapping

import pytest
from tests.driver.net import Transport
from tests.lua.requirements.scripts import Run, on_four, on_three

pytestmark = pytest.mark.anyio

SCRIPT = """
local function foo() return {{body = 'foo'}} end
local function bar() return {{body = 'bar'}} end
local function FOO() return {{body = 'FOO'}} end
local function BAR() return {{body = 'BAR'}} end
local after
-- The site that reconfigures. Its request is answered by this function, also when `after` has no such site.
local AGAIN = {{path = '/again', handler = function()
  local done, why = pcall(httpng.cfg, after)
  return tostring(done) .. ' ' .. tostring(why)
end}}
local before = {{{before}}}
before.listen, before.threads = both, 4
after = {{{after}}}
after.threads = 4
httpng.cfg(before)
"""
Bodies = Mapping[str, str]
"""What is answered, by path."""


async def check(
    run: Run, over: Transport, before: str, first: Bodies, after: str, then: Bodies, why: str = ""
) -> None:
    """A cfg is replaced by another one, or not, as `why` says; what is answered before that, and after it.

    Each request has a connection of its own, as in the original's tests.
    """
    async with run(SCRIPT.format(before=before, after=after)) as served:
        assert {path: await served.body(over, path) for path in first} == first
        assert await served.body(over, "/again") == (f"false {why}" if why else "true true")
        assert {path: await served.body(over, path) for path in then} == then


# Added --------------------------------------------------------------------------------------------------


@on_four
async def test_a_root_site_is_added(run: Run, over: Transport) -> None:
    await check(
        run,
        over,
        "sites = {AGAIN, {path = '/alt', handler = foo}}",
        {"/": "not found", "/alt": "foo"},
        "sites = {{path = '/alt', handler = foo}, {path = '/', handler = bar}}",
        {"/": "bar", "/alt": "foo"},
    )


@on_three
async def test_a_handler_is_added(run: Run, over: Transport) -> None:
    await check(
        run,
        over,
        "sites = {AGAIN, {path = '/alt', handler = foo}}",
        {"/": "not found", "/alt": "foo"},
        "sites = {{path = '/alt', handler = foo}}, handler = bar",
        {"/": "bar", "/alt": "foo"},
    )


@on_three
async def test_a_site_is_added_before_the_handler(run: Run, over: Transport) -> None:
    await check(
        run,
        over,
        "sites = {AGAIN}, handler = foo",
        {"/": "foo", "/alt": "foo"},
        "sites = {{path = '/alt', handler = bar}}, handler = foo",
        {"/": "foo", "/alt": "bar"},
    )


@on_three
async def test_a_site_is_added_before_the_root_site_though_it_stands_behind(
    run: Run, over: Transport
) -> None:
    await check(
        run,
        over,
        "sites = {AGAIN, {path = '/', handler = foo}}",
        {"/": "foo", "/alt": "foo"},
        "sites = {{path = '/', handler = foo}, {path = '/alt', handler = bar}}",
        {"/": "foo", "/alt": "bar"},
    )


# Refused ------------------------------------------------------------------------------------------------

TWICE = ", ".join(["{path = '%(path)s', handler = bar}"] * 2)


@on_four
async def test_a_site_that_is_added_twice_is_refused_and_all_stays(run: Run, over: Transport) -> None:
    """That `listen` is given again would be refused as well, but is looked at later."""
    await check(
        run,
        over,
        "sites = {AGAIN, {path = '/foo', handler = foo}}",
        {"/foo": "foo", "/bar": "not found"},
        f"sites = {{{{path = '/foo', handler = FOO}}, {TWICE % {'path': '/bar'}}}}, listen = both",
        {"/foo": "foo", "/bar": "not found"},
        "Can't add duplicate paths",
    )


@on_three
async def test_a_site_that_is_added_twice_beside_the_root_is_refused_and_all_stays(
    run: Run, over: Transport
) -> None:
    await check(
        run,
        over,
        "sites = {AGAIN, {path = '/', handler = foo}}",
        {"/": "foo", "/alt": "foo"},
        f"sites = {{{{path = '/', handler = FOO}}, {TWICE % {'path': '/alt'}}}}, listen = both",
        {"/": "foo", "/alt": "foo"},
        "Can't add duplicate paths",
    )


# Removed ------------------------------------------------------------------------------------------------


@on_three
async def test_a_site_is_removed(run: Run, over: Transport) -> None:
    await check(
        run,
        over,
        "sites = {{path = '/foo', handler = foo}, {path = '/bar', handler = bar}, AGAIN}",
        {"/foo": "foo", "/bar": "bar"},
        "sites = {{path = '/foo', handler = foo}}",
        {"/foo": "foo", "/bar": "not found"},
    )


@on_three
async def test_all_sites_are_removed(run: Run, over: Transport) -> None:
    before = "sites = {AGAIN, {path = '/', handler = foo}}"
    await check(run, over, before, {"/": "foo"}, "", {"/": "not found", "/again": "not found"})


@on_three
async def test_the_handler_is_removed(run: Run, over: Transport) -> None:
    before = "sites = {AGAIN}, handler = foo"
    await check(run, over, before, {"/": "foo"}, "", {"/": "not found", "/again": "not found"})


# Replaced -----------------------------------------------------------------------------------------------


@on_four
async def test_two_handlers_are_replaced_at_once(run: Run, over: Transport) -> None:
    await check(
        run,
        over,
        "sites = {AGAIN, {path = '/alt', handler = FOO}}, handler = foo",
        {"/": "foo", "/alt": "FOO"},
        "sites = {{path = '/alt', handler = BAR}}, handler = bar",
        {"/": "bar", "/alt": "BAR"},
    )
