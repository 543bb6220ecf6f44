"""The functions that feeds of Lua ask: ready ones alone, as any loop may have to call them."""

from collections.abc import Callable
from typing import Any, cast

from httpng_core import Delta, Merge, json_delta, json_merge, text_delta
from httpng_lua.runtime import text_of
from httpng_lua.steps import DONE, Answer, guarded


def value_calls() -> dict[str, Callable[..., Any]]:
    """Return the calls by the names that values.lua uses."""
    return {"check_merge": guarded(_check_merge)}


def merge_of(spec: bytes | None) -> Merge | None:
    """Return what values.lua says: a word, or names and words, each behind a NUL.

    Raises:
        ValueError: it is none of them.
    """
    if spec is None:
        return None
    first, *rest = text_of(spec).split("\0")
    how: Any = dict(zip(rest[::2], rest[1::2], strict=True)) if rest else first
    return json_merge(cast(Any, how))


def delta_of(spec: bytes | None) -> Delta | None:
    """Return what values.lua says: a word, and names of members, each behind a NUL."""
    if spec is None:
        return None
    kind, *keep = text_of(spec).split("\0")
    return text_delta() if kind == "text" else json_delta(*keep)


def _check_merge(spec: bytes) -> Answer:
    merge_of(spec)
    return (DONE,)
