"""Our parser beside h11 and httptools (llhttp): they see the same requests, or differ where that is agreed.

A difference in what belongs to which request is how requests are smuggled past a proxy: there must be none.
Where one refuses what another takes nobody is fooled: those are agreed upon below, each with its reason.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

import pytest
from tests.properties.http1_judges import Seen, Verdict, by_h11, by_httptools, in_origin_form, ours
from tests.properties.http1_requests import Requests

JUDGES = {"h11": by_h11, "httptools": by_httptools}


@dataclass(frozen=True)
class Refused:
    """Something that a judge takes and we refuse.

    Attributes:
        judges: Whose verdict differs from ours.
        reason: How the reason of our refusal begins.
        why: Why we refuse it.
    """

    judges: str
    reason: str
    why: str


@dataclass(frozen=True)
class Taken:
    """Something that we take and a judge refuses.

    Attributes:
        judges: Whose verdict differs from ours.
        reason: What the reason of the judge begins with.
        where: What the input then has in it.
        why: Why we take it.
    """

    judges: str
    reason: str
    where: bytes
    why: str


WE_REFUSE = [
    Refused(
        "h11 httptools", "bare LF", "RFC 9112, 2.2 lets a recipient take it; others then see other lines"
    ),
    Refused("h11 httptools", "bare CR", "RFC 9112, 2.2 forbids it everywhere; h11 takes it in chunk lines"),
    Refused(
        "h11", "control character", "RFC 9110, 5.5: dangerous in values; h11 takes all but NUL, CR and LF"
    ),
    Refused("h11", "folded header line", "RFC 9112, 5.2: a server may refuse obs-fold"),
    Refused("httptools", "malformed request line", "llhttp takes HTTP/0.9, two spaces, a space at the end"),
    Refused("h11 httptools", "only HTTP/1 is spoken", "left by both to their users"),
    Refused("h11 httptools", "malformed Host header", "RFC 9110, 7.2: userinfo, a path, a comma"),
    Refused(
        "h11 httptools", "0 Host headers", "RFC 9112, 3.2: llhttp leaves it to its users, h11 from 1.2 on"
    ),
    Refused("httptools", "2 Host headers", "RFC 9112, 3.2: left to its users"),
    Refused("httptools", "3 Host headers", "RFC 9112, 3.2: left to its users"),
    Refused("h11 httptools", "request target is neither", "RFC 9112, 3.2: left to their users"),
    Refused("h11 httptools", "request target has a fragment", "RFC 9112, 3.2: no form of target has one"),
    Refused("h11 httptools", "malformed authority in", "RFC 9110, 4.2: no userinfo and no empty host"),
    Refused("h11 httptools", "CONNECT to a server", "RFC 9110, 9.3.6: an origin server is no tunnel"),
    Refused("h11 httptools", "Transfer-Encoding in HTTP/1.0", "RFC 9112, 6.1: framing that is in doubt"),
    Refused(
        "h11", "Transfer-Encoding with Content-Length", "RFC 9112, 6.1: may be refused, and is smuggling"
    ),
    Refused("httptools", "unknown Transfer-Encoding", "llhttp takes any list that ends with chunked"),
    Refused("httptools", "malformed Transfer-Encoding", "RFC 9110, 5.6.1: an empty member is never written"),
    Refused("h11 httptools", "malformed chunk line", "RFC 9112, 7.1.1: extensions are name or name=value"),
]
WE_TAKE = [
    Taken(
        "h11 httptools",
        r"illegal chunk header|Invalid character in chunk (size|extensions)",
        rb"[0-9a-fA-F][ \t]+;|;[ \t]|;[^\r]*[ \t][;=]|=[ \t]",
        "RFC 9112, 7.1.1: whitespace around ; and = must be taken",
    ),
    Taken(
        "httptools",
        r"Invalid method|Expected space after method",
        rb"(?m)^(?!(GET|POST|PUT|HEAD|OPTIONS|DELETE) )[^ ]+ ",
        "RFC 9110, 9.1: a method is any token; llhttp has a list",
    ),
    Taken("httptools", r"Invalid HTTP version", rb"HTTP/1\.[2-9]", "RFC 9110, 2.5: minor versions mean 1.1"),
    Taken(
        "httptools",
        r"Duplicate Content-Length|Invalid character in Content-Length",
        rb"(?i)content-length:([^\r]*,|.*\r\n(.*\r\n)*content-length:)",
        "RFC 9110, 8.6: the same length repeated may be taken",
    ),
    Taken(
        "h11 httptools",
        r"Content-Length can't be present|bad Content-Length|conflicting Content-Length",
        rb"(?i)\r\n0+[^\r]*\r\n(.*\r\n)*content-length:",
        "RFC 9110, 6.5.1: in trailers it means nothing; both look at it",
    ),
    Taken(
        "httptools",
        r"Request has invalid `Transfer-Encoding`",
        rb"(?i)chunked[ \t]+\r\n",
        "RFC 9110, 5.5: whitespace behind a value is no part of it",
    ),
]

SEEDS = 4_000
MANY_SEEDS = 300_000


def alike(seen: Seen) -> Seen:
    """Return `seen` with its target and its framing fields in one form: h11 and we change those."""
    fields: dict[bytes, bytes] = {}
    others = []
    for name, value in seen.fields:
        if name == b"transfer-encoding":
            fields[name] = value.lower()
        elif name == b"content-length":
            fields[name] = value.partition(b",")[0].strip()
        else:
            others.append((name, value))
    framed = (*sorted(fields.items()), *others)
    return replace(seen, target=in_origin_form(seen.target), fields=framed)


Kind = Literal["same", "other", "taken", "refused", "waits"]


def first_difference(mine: Verdict, its: Verdict) -> Kind:
    for we, it in zip(mine.requests, its.requests, strict=False):
        if alike(we) != alike(it):
            return "other"
    if len(mine.requests) > len(its.requests):
        # HTTP/1.0 goes on only where that was asked for: h11 never does, and llhttp in spite of a close.
        return "same" if its.end == "stopped" else "taken" if its.end == "refused" else "waits"
    if len(mine.requests) < len(its.requests):
        return "same" if mine.end == "stopped" else "refused" if mine.end == "refused" else "waits"
    return "same"


def agreed(name: str, data: bytes, mine: Verdict, its: Verdict) -> Iterable[Refused | Taken]:
    """Return the differences in the lists that explain why the two verdicts differ."""
    kind = first_difference(mine, its)
    if kind == "refused":
        return [each for each in WE_REFUSE if name in each.judges and mine.reason.startswith(each.reason)]
    if kind == "taken":
        return [
            each
            for each in WE_TAKE
            if name in each.judges and re.match(each.reason, its.reason) and re.search(each.where, data)
        ]
    return []


def compare(seeds: Iterable[int]) -> set[Refused | Taken]:
    """Compare the verdicts on the requests of `seeds`; return which agreed differences came up."""
    used: set[Refused | Taken] = set()
    for seed in seeds:
        data = Requests(seed).wire()
        mine = ours(data)
        for name, judge in JUDGES.items():
            its = judge(data)
            if first_difference(mine, its) != "same":
                found = agreed(name, data, mine, its)
                assert found, f"seed {seed}: {data!r}\nwe: {mine}\n{name}: {its}"
                used.update(found)
    return used


def test_all_see_the_same_requests_or_differ_as_agreed() -> None:
    assert compare(range(SEEDS))


@pytest.mark.soak
def test_they_do_for_long_and_no_agreed_difference_is_out_of_date() -> None:
    used = compare(range(SEEDS, MANY_SEEDS))
    assert [each for each in (*WE_REFUSE, *WE_TAKE) if each not in used] == []


def test_a_good_part_of_the_requests_is_served() -> None:
    verdicts = [ours(Requests(seed).wire()) for seed in range(1000)]
    assert sum(bool(verdict.requests) for verdict in verdicts) > 300
    assert sum(verdict.end == "refused" for verdict in verdicts) > 300
