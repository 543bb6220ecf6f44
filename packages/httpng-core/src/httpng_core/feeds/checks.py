"""Checks of what feeds are given: a mistake raises at the call, before anything else happens."""

from collections.abc import Callable, Hashable
from math import inf
from typing import Any, Literal

Policy = Literal["latest", "every"]
"""What a feed keeps for a follower that is behind: the newest unsent payload of each key, or all of them."""

Overflow = Literal["close", "drop_oldest"]
"""What is done when more waits than may: the exchange is reset, or the oldest payloads are skipped."""

OnRemove = Callable[[Hashable], bytes | str | None]
"""Gets a key that was removed; may return the payload that tells it."""

MAX_QUEUED = 1 << 20
"""How many bytes may wait for a follower, unless a feed says otherwise."""


def checked_payload(payload: Any) -> bytes:
    """Return the bytes of a payload; raises if it is none."""
    if isinstance(payload, bytes):
        body = payload
    elif isinstance(payload, str):
        body = payload.encode()
    elif isinstance(payload, (bytearray, memoryview)):
        body = bytes(payload)
    else:
        raise TypeError(f"a payload must be bytes or str, not {payload!r:.80}")
    if not body:
        raise ValueError("a payload needs at least one byte")
    return body


def check_key(key: Any) -> None:
    """Raise if it is no key."""
    try:
        hash(key)
    except TypeError:
        raise TypeError(f"a key must be what can be a key of a dict, not {key!r:.80}") from None


def check_options(policy: str, max_queued: int, overflow: str) -> None:
    """Raise if they are none."""
    if policy not in ("latest", "every"):
        raise ValueError(f'policy must be "latest" or "every", not {policy!r}')
    if overflow not in ("close", "drop_oldest"):
        raise ValueError(f'overflow must be "close" or "drop_oldest", not {overflow!r}')
    if isinstance(max_queued, bool) or not isinstance(max_queued, int):
        raise TypeError(f"max_queued must be an integer, not {type(max_queued).__name__}")
    if max_queued < 1:
        raise ValueError(f"max_queued must be 1 or more bytes, not {max_queued}")


def check_for_latest(
    policy: Policy, on_remove: object, snapshot_end: object, merge: object, delta: object
) -> None:
    """Raise if these are none, or are given with a policy that has no use for them."""
    if on_remove is not None and not callable(on_remove):
        raise TypeError(f"on_remove must be a function that gets the key, or None, not {on_remove!r:.80}")
    for name, given in (("merge", merge), ("delta", delta)):
        if given is not None and not callable(given):
            raise TypeError(f"{name} must be a function that gets two payloads, or None, not {given!r:.80}")
    for name, given in (("on_remove", on_remove), ("snapshot_end", snapshot_end), ("delta", delta)):
        if given is not None and policy == "every":
            raise ValueError(f'{name} is for the policy "latest": with "every" no values are kept')
    if merge is not None and policy == "every":
        raise ValueError('merge is for the policy "latest": with "every" no value takes another\'s place')


def check_full_every(full_every: object) -> None:
    """Raise if it is no number of values."""
    if isinstance(full_every, bool) or not isinstance(full_every, int):
        raise TypeError(f"full_every must be an integer, not {full_every!r:.80}")
    if full_every < 1:
        raise ValueError(f"full_every must be 1 or more values of a key, not {full_every}")


def checked_age(max_age: float | None) -> float:
    """Return the seconds after which a payload is too old; raises if they are none."""
    if max_age is None:
        return inf
    if isinstance(max_age, bool) or not isinstance(max_age, (int, float)):
        raise TypeError(f"max_age must be a number of seconds, or None, not {max_age!r:.80}")
    if not max_age > 0:
        raise ValueError(f"max_age must be more than 0 seconds, not {max_age}")
    return max_age


def check_on_gap(on_gap: object) -> None:
    """Raise if it is no function."""
    if on_gap is not None and not callable(on_gap):
        raise TypeError(
            "on_gap must be a function that gets the number of payloads that were lost, or None, "
            f"not {on_gap!r:.80}"
        )
