"""Coming back to a feed: ids of what a client has had, and what is kept for those that were away.

1. An id names the feed's incarnation and a number of its publications: all up to that one was sent to the
   client, or a newer value of the same key was published. So an id of another process is unknown.
2. Payloads aren't sent in the order of their numbers where newer ones take the place of older ones. So an id
   is chosen with the payload that it goes out with: it is less than the number of any that still waits.
3. By the policy "latest" a client that comes back gets the keys that have changed since its id, removed ones
   included. By the policy "every" it gets what was published since, out of so many bytes as are kept.
4. Where the id is unknown, or too old, the client begins anew, behind a mark that tells it of the gap.
"""

import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from math import inf, isfinite
from typing import Any, Final

from httpng_core.feeds.backlog import EveryBacklog, LatestBacklog, Mark, Payload

UNKNOWN: Final = -1
"""The position of who comes with an id that isn't known, and what it has lost: nobody knows how much."""
_DIGITS: Final = 18
# Several ids are joined by commas, and an id is a field's value in HTTP and in events.
_NAME: Final = re.compile(r"[!-+\--~]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume:
    """How clients come back to a feed. What it says by itself suits server-sent events.

    Attributes:
        id_line: put before each payload, with the id in place of `{id}`.
        first: what each follower gets first, in place of `{retry}` the milliseconds after which it may come
            back; like all that is sent it has an id before it. `None`: nothing.
        gap: what a follower gets first whose id isn't known, or was too long ago; in place of `{lost}` how
            many payloads it has lost, or `null` where that isn't known. `None`: nothing.
        retry: seconds after which a client may come back, at random between these two: so not all of them
            come at once after a restart. A number stands for both.
        max_replay: with the policy "every", how many bytes of what was published last are kept for those that
            come back; at most half of `max_queued`, which it is if `None`.
        name: what ids begin with, up to the last full stop. `None`: at random, so that the ids of other
            processes are unknown. A name is for feeds whose numbers are the same in all of them.

    Raises:
        TypeError, ValueError: one of these can't be.
    """

    id_line: str = "id: {id}\n"
    first: str | None = "retry: {retry}\n\n"
    gap: str | None = "event: gap\ndata: {lost}\n\n"
    retry: float | tuple[float, float] = (1.0, 3.0)
    max_replay: int | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        texts: dict[str, object] = {"id_line": self.id_line, "first": self.first, "gap": self.gap}
        for name, given in texts.items():
            if not isinstance(given, str) and (given is not None or name == "id_line"):
                raise TypeError(f"{name} must be a str, not {given!r:.80}")
            if given == "":
                raise ValueError(f"{name} needs at least one character")
        if self.id_line.count("{id}") != 1:
            raise ValueError(f"id_line must have {{id}} in it, once, not {self.id_line!r:.80}")
        self._check_name()
        between = self.retry_between
        if not 0 <= between[0] <= between[1]:
            raise ValueError(f"retry must be seconds, or the least and the most of them, not {self.retry!r}")
        limit: object = self.max_replay
        if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int)):
            raise TypeError(f"max_replay must be an integer, not {limit!r:.80}")
        if limit is not None and limit < 0:
            raise ValueError(f"max_replay must be 0 or more bytes, not {limit}")

    def _check_name(self) -> None:
        name: object = self.name
        if name is not None and not isinstance(name, str):
            raise TypeError(f"name must be a str, not {name!r:.80}")
        if name is not None and not _NAME.fullmatch(name):
            raise ValueError(f"name must be printable ASCII characters without commas, not {name!r:.80}")

    @property
    def retry_between(self) -> tuple[float, float]:
        """The least and the most seconds after which a client may come back."""
        given: Any = self.retry
        pair = given if isinstance(given, (tuple, list)) else (given, given)
        for value in pair:
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not isfinite(value):
                raise TypeError(f"retry must be seconds, or two numbers of them, not {given!r:.80}")
        if len(pair) != 2:
            raise ValueError(f"retry must be one number of seconds, or two, not {given!r:.80}")
        return pair[0], pair[1]

    def replay_of(self, max_queued: int) -> int:
        """Return how many bytes are kept to be sent again.

        Raises:
            ValueError: more than half of what may wait for a follower.
        """
        if self.max_replay is None:
            return max_queued // 2
        if self.max_replay * 2 > max_queued:
            raise ValueError(
                f"max_replay must be at most half of max_queued ({max_queued}), not {self.max_replay}: what "
                "is sent again waits for its client as well"
            )
        return self.max_replay


def checked_resume(resume: Any, merge: object) -> Resume | None:
    """Return how clients come back; `None`: they don't.

    Raises:
        TypeError, ValueError: it is none of these, or the feed merges.
    """
    if resume is None or resume is False:
        return None
    if merge is not None:
        raise ValueError("a feed has merge or resume, not both: what was missed can't be merged anew")
    if resume is True:
        return Resume()
    if isinstance(resume, Resume):
        return resume
    raise TypeError(f"resume must be true, false or a Resume, not {resume!r:.80}")


def number_in(since: str | None, incarnation: str) -> int | None:
    """Return the number that an id has for a feed, `UNKNOWN` if none; `None` if there is no id.

    Raises:
        TypeError: it is none.
    """
    if since is None:
        return None
    if not isinstance(since, str):
        raise TypeError(f"since must be an id as the feed has given it, or None, not {since!r:.80}")
    for part in since.split(","):
        name, _, number = part.strip().rpartition(".")
        if name == incarnation and number.isascii() and number.isdigit() and len(number) <= _DIGITS:
            return int(number)
    return UNKNOWN if since else None


class Ids:
    """The ids of a feed's payloads in one event loop.

    Attributes:
        handed: the number up to which all was given to the followers there, or superseded.
    """

    __slots__ = ("_after", "_before", "_resume", "handed", "incarnation")

    def __init__(self, resume: Resume, incarnation: str) -> None:
        self.handed = 0
        self.incarnation = incarnation
        self._resume = resume
        before, _, after = resume.id_line.partition("{id}")
        self._before, self._after = before.encode(), after.encode()

    def mark(self, backlog: LatestBacklog | EveryBacklog, offered: Payload | None) -> int:
        """Return the number up to which nothing is owed to a client any more that has got `offered`."""
        owed = backlog.owed_without(offered)
        return self.handed if owed is None else min(owed - 1, self.handed)

    def id_of(self, mark: int) -> str:
        """Return the id of a number."""
        return f"{self.incarnation}.{mark}"

    def line(self, id: str) -> bytes:
        """Return what goes before a payload."""
        return b"".join((self._before, id.encode(), self._after))

    def line_before(self, backlog: LatestBacklog | EveryBacklog, offered: Payload) -> bytes:
        """Return what goes before a payload that is offered to those in step."""
        return self.line(self.id_of(self.mark(backlog, offered)))

    def opening(self, gap: Payload | None, *, greets: bool) -> list[Payload]:
        """Return what a follower gets before all others, with what tells it of a gap, if there is one."""
        resume, found = self._resume, list[Payload]()
        if greets and resume.first is not None:
            least, most = resume.retry_between
            milliseconds = round(random.uniform(least, most) * 1000)
            found.append(_notice(resume.first.replace("{retry}", str(milliseconds))))
        return found if gap is None else [*found, gap]

    def gap(self, lost: int) -> Payload | None:
        """Return what tells a follower that it has lost so many, or `UNKNOWN`; `None`: nothing does."""
        gap = self._resume.gap
        if not lost or gap is None:
            return None
        return _notice(gap.replace("{lost}", "null" if lost == UNKNOWN else str(lost)))


def _notice(text: str) -> Payload:
    """Return a payload that is no value, and to which nothing is a delta."""
    return Payload(text.encode(), Mark(), inf, removes=True)


class Progress:
    """Where a follower stands among the publications of a feed that gives ids.

    Attributes:
        since: the number that its client came with, `None`: with none; `UNKNOWN`: one that tells nothing.
        greets: whether its client is to be told first that there are ids.
        id_of: makes its id, by a number, one with those of others; `None`: it is alone in its exchange.
        ids: what makes ids, once it follows.
        gap: what tells its client of a loss, until that goes out: no id before it goes past the loss.
        mark: the number up to which its client is owed nothing more.
    """

    __slots__ = ("_marked", "_most", "gap", "greets", "id_of", "ids", "mark", "since")

    def __init__(self, since: int | None) -> None:
        self.since = since
        self.greets = True
        self.id_of: Callable[[Progress, int], str] | None = None
        self.ids: Ids | None = None
        self.gap: Payload | None = None
        self.mark = self._marked = 0
        # The highest that is told, as what comes behind it isn't sent; `None`: all is.
        self._most: int | None = None

    def begin(self, ids: Ids, backlog: LatestBacklog | EveryBacklog) -> None:
        """Note that it follows, and what it begins with."""
        self.ids, self.mark = ids, ids.mark(backlog, None)
        if self.gap is not None and self.since is not None:
            # Made of `UNKNOWN`, an id is unknown itself.
            self.mark = self.since

    def line_before(self, backlog: LatestBacklog | EveryBacklog, offered: Payload) -> bytes:
        """Return what goes before a payload that is offered."""
        ids = self.ids
        assert ids is not None
        mark = ids.mark(backlog, offered) if self.gap is None or self.gap is offered else self.mark
        if self._most is not None:
            mark = min(mark, self._most)
        self._marked = mark
        return ids.line(ids.id_of(mark) if self.id_of is None else self.id_of(self, mark))

    def taken(self, offered: Payload) -> None:
        """Note that what was offered last goes out."""
        self.mark = self._marked
        if offered is self.gap:
            self.gap = None

    def hold(self) -> None:
        """Tell no higher number any more: something behind this one is not sent."""
        if self._most is None:
            self._most = self.mark

    def owe(self, payload: Payload) -> None:
        """Note that an older payload is pending as well."""
        self.mark = min(self.mark, payload.number - 1)
