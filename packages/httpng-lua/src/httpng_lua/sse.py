"""Server-sent events for Lua, where strings are bytes."""

from collections.abc import Callable
from typing import Any

from httpng_core import sse_event, sse_headers
from httpng_lua.calls import whole
from httpng_lua.runtime import text_of
from httpng_lua.steps import DONE, Answer, guarded


def sse_calls() -> dict[str, Callable[..., Any]]:
    """Return the calls by the names that sse.lua uses."""
    return {"sse_event": guarded(_event), "sse_header": guarded(_header)}


def _event(
    data: bytes | None, event: bytes | None, id_: bytes | None, retry: float | None, comment: bytes | None
) -> Answer:
    milliseconds = None if retry is None else whole(retry)
    return DONE, sse_event(
        data, event=_text(event), id=_text(id_), retry=milliseconds, comment=_text(comment)
    )


def _header(name: bytes) -> Answer:
    return DONE, sse_headers()[text_of(name)].encode()


def _text(given: bytes | None) -> str | None:
    return None if given is None else text_of(given)
