"""Ready functions for feeds whose payloads are JSON, alone or as the data of server-sent events."""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

from httpng_core.feeds.events import event_of, split_event
from httpng_core.feeds.merging import Merge

How = Literal["sum", "max", "min", "first", "last"]
"""How two values become one, the older one first."""

_COMBINE: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "sum": lambda older, newer: older + newer,
    "max": max,
    "min": min,
    "first": lambda older, newer: older,
    "last": lambda older, newer: newer,
}


def json_merge(how: How | Mapping[str, How]) -> Merge:
    """Return a function for `Feed(merge=...)` whose payloads are numbers in JSON, or objects.

    Args:
        how: of numbers "sum", "max", "min", "first" or "last"; of objects one of these for each member that
            is to be combined: `{"volume": "sum", "high": "max", "low": "min", "open": "first"}` are bars.
            Other members are those of the newer object, or of the older where the newer has none.

    Raises:
        TypeError, ValueError: `how` is none of these.
    """
    combine: Callable[[Any, Any], Any]
    if isinstance(how, str):
        combine = _numbers(_known(how))
    elif isinstance(how, Mapping):
        members = {_name(name): _known(each) for name, each in how.items()}
        combine = lambda older, newer: _objects(members, older, newer)  # noqa: E731
    else:
        raise TypeError(f"json_merge needs a word, or a dict of one for each member, not {how!r:.80}")

    def merge(older: bytes, newer: bytes) -> bytes:
        before, now = split_event(older), split_event(newer)
        if before is not None and now is not None:
            fields, data = now
            return event_of(fields, to_json(combine(json.loads(before[1]), json.loads(data))))
        end = b"\n" if newer.endswith(b"\n") else b""
        return to_json(combine(json.loads(older), json.loads(newer))) + end

    return merge


def to_json(value: object) -> bytes:
    """Return a value as JSON, in as few bytes as that takes; raises if JSON has no such value."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def _known(how: object) -> str:
    if not isinstance(how, str) or how not in _COMBINE:
        known = ", ".join(f'"{name}"' for name in _COMBINE)
        raise ValueError(f"json_merge combines values by one of {known}, not {how!r:.80}")
    return how


def _name(name: object) -> str:
    if not isinstance(name, str):
        raise TypeError(f"json_merge needs names of members, not {name!r:.80}")
    return name


def _numbers(how: str) -> Callable[[Any, Any], Any]:
    combine = _COMBINE[how]

    def combined(older: Any, newer: Any) -> Any:
        for value in (older, newer):
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise TypeError(f"json_merge was to combine numbers, and one is {value!r:.80}")
        return combine(older, newer)

    return combined


def _objects(members: dict[str, str], older: Any, newer: Any) -> Any:
    for value in (older, newer):
        if not isinstance(value, dict):
            raise TypeError(f"json_merge was to combine objects, and one is {value!r:.80}")
    merged = {**older, **newer}
    for name, how in members.items():
        if name in older and name in newer:
            is_kept = how in ("first", "last")
            combine = _COMBINE[how] if is_kept else _numbers(how)
            merged[name] = combine(older[name], newer[name])
    return merged
