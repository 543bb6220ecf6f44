"""Which keys of a feed a follower wants: a set, a function, or a set that changes while it follows."""

from collections.abc import Callable, Collection, Hashable, Iterable, Iterator
from typing import Any

from httpng_core.feeds.checks import check_key

Predicate = Callable[[Any], object]
"""Gets a key; returns whether it is wanted."""


class Keys:
    """Keys that a follower wants, which may change while it follows: subscriptions.

    A key that is added brings its latest value; of one that is discarded nothing more comes, nor what was
    pending. Several followers may share one of these. Any thread may change it.
    """

    def __init__(self, keys: Iterable[Hashable] = ()) -> None:
        """Begin with `keys`.

        Raises:
            TypeError: one of them can't be a key.
        """
        self._keys: dict[Hashable, None] = {}
        self._watchers: dict[Callable[[Hashable], None], None] = {}
        for key in _listed(keys):
            self._keys[key] = None

    def __contains__(self, key: object) -> bool:
        """Return whether it is wanted."""
        return key in self._keys

    def __len__(self) -> int:
        """Return how many are wanted."""
        return len(self._keys)

    def __iter__(self) -> Iterator[Hashable]:
        """Go through them, in the order in which they were added."""
        return iter(tuple(self._keys))

    def __bool__(self) -> bool:
        # Also when it is empty: it may be added to.
        return True

    def add(self, key: Hashable) -> None:
        """Want a key from now on.

        Raises:
            TypeError: it can't be a key.
        """
        check_key(key)
        if key not in self._keys:
            self._keys[key] = None
            self._tell(key)

    def discard(self, key: Hashable) -> None:
        """Want a key no more; if it isn't wanted, do nothing."""
        if self._keys.pop(key, self) is None:
            self._tell(key)

    # What feeds do ------------------------------------------------------------------------------------

    def watch(self, watcher: Callable[[Hashable], None]) -> None:
        """Call `watcher` with each key that is added or discarded, in the thread that does it."""
        self._watchers[watcher] = None

    def unwatch(self, watcher: Callable[[Hashable], None]) -> None:
        """Call it no more."""
        self._watchers.pop(watcher, None)

    def _tell(self, key: Hashable) -> None:
        for watcher in tuple(self._watchers):
            watcher(key)


def checked_keys(keys: Any) -> "frozenset[Hashable] | Keys | Predicate | None":
    """Return what a follower wants, as it will be asked.

    Raises:
        TypeError: it is none of these.
    """
    if keys is None or isinstance(keys, (frozenset, Keys)):
        return keys
    if isinstance(keys, (set, list, tuple, dict)):
        return frozenset(_listed(keys))
    if callable(keys):
        function: Predicate = keys
        return function
    raise TypeError(
        "keys must be a set of keys, a function that gets a key and tells whether it is wanted, or Keys; "
        f"not {keys!r:.80}"
    )


def _listed(keys: Any) -> list[Hashable]:
    if isinstance(keys, (str, bytes)) or not isinstance(keys, Iterable):
        raise TypeError(f"keys must be a set of keys, not {keys!r:.80}")
    listed = list(keys)
    for key in listed:
        check_key(key)
    return listed


KeyFilter = Collection[Hashable] | Keys | Predicate
"""Which keys of a feed are wanted: a set of them, `Keys`, or a function that is asked once for each."""
