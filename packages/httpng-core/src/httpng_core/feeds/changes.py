"""Ready functions for `Feed(delta=...)`: what has changed in a JSON object, or in a text.

A delta says that it is one: of an event by its type, else by what it is in. Of an event with the type `quote`
it is `quote-delta`, of one without a type `delta`; its data is the change alone.
"""

import json
from collections.abc import Callable
from types import NoneType
from typing import Any, Final

from httpng_core.feeds.events import Fields, begins_as_event, event_of, split_event
from httpng_core.feeds.values import to_json

_SAME: Final = object()
"""There is nothing to patch."""


class _WholeError(Exception):
    """No patch can say it: the value has to be sent whole."""


def json_delta(*keep: str) -> Callable[[bytes, bytes], bytes | None]:
    """Return a function for `Feed(delta=...)` whose payloads are JSON objects, or events that have such data.

    A delta is a merge patch (RFC 7396): the members that have changed, `null` for those that are gone. As the
    data of an event it stands alone, and the type of the event ends with `delta`; else it is the only member,
    `delta`, of an object. An object that has a new `null` in it is sent whole, as no patch can say that.

    Args:
        keep: members that are in each patch, so that the client knows of what it is one. Objects aren't.

    Raises:
        TypeError: a name that is no str.
    """
    for name in keep:
        if not isinstance(name, str):
            raise TypeError(f"json_delta needs names of members, not {name!r:.80}")

    def change(base: bytes, new: bytes) -> bytes | None:
        older, newer = json.loads(base), json.loads(new)
        if not isinstance(older, dict) or not isinstance(newer, dict):
            return None
        try:
            patch = _patch(older, newer)
            kept = {name: newer[name] for name in keep if not isinstance(newer.get(name), (dict, NoneType))}
            changed = {} if patch is _SAME else patch
            return to_json({**kept, **changed})
        except (_WholeError, ValueError):
            return None

    return _for_payloads(change, lambda patch: b'{"delta":' + patch + b"}")


def text_delta() -> Callable[[bytes, bytes], bytes | None]:
    """Return a function for `Feed(delta=...)` whose payloads are text, or events that have such data.

    A delta is a JSON array of where it begins, how much is to be taken out there, and what is put in its
    place: `[3, 5, "word"]`. Both numbers count as JavaScript does, in units of UTF-16. Of an event it is the
    data, and the type of the event ends with `delta`; else it comes behind a NUL. What begins as an event
    does, and isn't one with data, is sent whole.
    """
    return _for_payloads(_splice, lambda change: b"\0" + change)


def _for_payloads(
    change: Callable[[bytes, bytes], bytes | None], marked: Callable[[bytes], bytes]
) -> Callable[[bytes, bytes], bytes | None]:
    def delta(base: bytes, new: bytes) -> bytes | None:
        before, now = split_event(base), split_event(new)
        if before is None and now is None:
            if begins_as_event(base) or begins_as_event(new):
                return None
            made = change(base, new)
            if made is None:
                return None
            return marked(made) + (b"\n" if new.endswith(b"\n") else b"")
        if before is None or now is None or _type(before[0]) != _type(now[0]):
            return None
        made = change(before[1], now[1])
        return None if made is None else event_of(_as_delta(now[0]), made)

    return delta


def _type(fields: Fields) -> bytes:
    return dict(fields).get(b"event", b"")


def _as_delta(fields: Fields) -> Fields:
    name = _type(fields)
    rest = [field for field in fields if field[0] != b"event"]
    return [(b"event", name + b"-delta" if name else b"delta"), *rest]


def _patch(older: Any, newer: Any) -> Any:
    """Return the merge patch that makes one value of the other; raises if there is none."""
    if not isinstance(newer, dict):
        return _SAME if _are_same(older, newer) else newer
    before = older if isinstance(older, dict) else {}
    patch: dict[str, Any] = {name: None for name in before if name not in newer}
    for name, value in newer.items():
        if name not in before or value is None:
            if name in before and before[name] is None:
                continue
            if value is None:
                raise _WholeError
        change = _patch(before.get(name), value)
        if change is not _SAME:
            patch[name] = change
    if not patch and isinstance(older, dict):
        return _SAME
    return patch


def _are_same(a: Any, b: Any) -> bool:
    """Return whether they are the same JSON: 1, 1.0 and true aren't."""
    if type(a) is not type(b):
        return False
    if isinstance(a, list):
        return len(a) == len(b) and all(map(_are_same, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_are_same(a[name], b[name]) for name in a)
    return bool(a == b)


def _splice(base: bytes, new: bytes) -> bytes | None:
    older, newer = base.decode(), new.decode()
    most = min(len(older), len(newer))
    begin = _common(older, newer, most)
    end = _common(older[::-1], newer[::-1], most - begin)
    out, put = older[begin : len(older) - end], newer[begin : len(newer) - end]
    return to_json([_units(older[:begin]), _units(out), put])


def _common(a: str, b: str, most: int) -> int:
    """Return how many characters both have in common at their beginning, at most so many."""
    least = 0
    while least < most:
        middle = (least + most + 1) // 2
        if a[least:middle] == b[least:middle]:
            least = middle
        else:
            most = middle - 1
    return least


def _units(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2
