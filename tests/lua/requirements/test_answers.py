"""What a handler that only writes, and returns nil, answers."""

import pytest
from tests.driver.net import Transport
from tests.lua.requirements.scripts import Run, on_four

pytestmark = pytest.mark.anyio


async def answered(run: Run, over: Transport, statement: str) -> int:
    """The status of the response of a handler that is one statement; its body is 'foo', and nothing more."""
    source = f"httpng.cfg{{listen = both, handler = function(req, io) {statement} end}}"
    async with run(source) as served:
        received = await served.get(over)
    assert (received.body, received.complete) == (b"foo", True)
    return received.status


@on_four
async def test_write_header_with_a_body_then_nil_is_a_whole_response(run: Run, over: Transport) -> None:
    assert await answered(run, over, "io:write_header(201, nil, 'foo')") == 201


@on_four
async def test_write_then_nil_is_a_whole_response(run: Run, over: Transport) -> None:
    assert await answered(run, over, "io:write('foo')") == 200
