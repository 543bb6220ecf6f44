"""Conditional requests and ranges: the order of RFC 9110, 13.2.2, and every form of a range."""

from typing import Any

import pytest

from httpng_core import FileInfo, Headers
from httpng_core.http import (
    Representation,
    Selected,
    content_type,
    http_date,
    parse_http_date,
    representation,
    select,
)

SIZE = 1000
ETAG = '"5-3e8"'
MODIFIED = 784111777
DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
EARLIER = "Sun, 06 Nov 1994 08:49:36 GMT"
LATER = "Sun, 06 Nov 1994 08:49:38 GMT"
FOUND = Representation(SIZE, ETAG, MODIFIED)


def asked(method: str = "GET", found: Representation = FOUND, **headers: Any) -> Selected:
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return select(method, Headers(pairs), found)


def test_without_conditions_all_of_it_is_sent() -> None:
    assert asked() == asked("HEAD") == Selected(200, 0, SIZE)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"if_match": ETAG}, 200),
        ({"if_match": f'"x", {ETAG}'}, 200),
        ({"if_match": "*"}, 200),
        ({"if_match": '"x"'}, 412),
        ({"if_match": f"W/{ETAG}"}, 412),
        ({"if_match": "nonsense"}, 412),
        ({"if_unmodified_since": DATE}, 200),
        ({"if_unmodified_since": LATER}, 200),
        ({"if_unmodified_since": EARLIER}, 412),
        ({"if_unmodified_since": "nonsense"}, 200),
        ({"if_none_match": ETAG}, 304),
        ({"if_none_match": f'"x", W/{ETAG}'}, 304),
        ({"if_none_match": " * "}, 304),
        ({"if_none_match": '"x"'}, 200),
        ({"if_none_match": '"a, b", "*"'}, 200),
        ({"if_modified_since": DATE}, 304),
        ({"if_modified_since": LATER}, 304),
        ({"if_modified_since": EARLIER}, 200),
        ({"if_modified_since": "nonsense"}, 200),
        # What is looked at first, and what not at all.
        ({"if_match": ETAG, "if_unmodified_since": EARLIER}, 200),
        ({"if_match": '"x"', "if_none_match": ETAG}, 412),
        ({"if_unmodified_since": EARLIER, "if_none_match": ETAG}, 412),
        ({"if_none_match": '"x"', "if_modified_since": LATER}, 200),
        ({"if_none_match": ETAG, "if_modified_since": EARLIER}, 304),
        ({"if_none_match": ETAG, "range": "bytes=0-0"}, 304),
        ({"if_match": '"x"', "range": "bytes=0-0"}, 412),
        ({"if_match": ETAG, "if_none_match": ETAG}, 304),
        ({"if_match": ETAG, "range": "bytes=0-0"}, 206),
    ],
)
def test_preconditions_are_looked_at_in_order(headers: dict[str, Any], status: int) -> None:
    assert asked(**headers).status == status
    if "range" not in headers:
        assert asked("HEAD", **headers).status == status


def test_dates_mean_nothing_where_none_is_known() -> None:
    found = Representation(SIZE, ETAG, None)
    assert asked(found=found, if_modified_since=LATER).status == 200
    assert asked(found=found, if_unmodified_since=EARLIER).status == 200
    assert asked(found=found, range="bytes=0-0", if_range=DATE).status == 200


WHOLE = Selected(200, 0, SIZE)
RANGES = [
    ("bytes=0-0", Selected(206, 0, 1)),
    ("bytes=0-", Selected(206, 0, SIZE)),
    ("bytes=5-9", Selected(206, 5, 10)),
    ("Bytes= 5-9 ", Selected(206, 5, 10)),
    ("bytes=999-", Selected(206, 999, SIZE)),
    ("bytes=990-5000", Selected(206, 990, SIZE)),
    ("bytes=0-9999999999999999999", Selected(206, 0, SIZE)),
    ("bytes=-1", Selected(206, 999, SIZE)),
    ("bytes=-1000", Selected(206, 0, SIZE)),
    ("bytes=-5000", Selected(206, 0, SIZE)),
    ("bytes=1000-", Selected(416)),
    ("bytes=1000-1001", Selected(416)),
    ("bytes=-0", Selected(416)),
    # No single range of bytes: ignored.
    ("bytes=9-5", WHOLE),
    ("bytes=-", WHOLE),
    ("bytes=", WHOLE),
    ("bytes=a-b", WHOLE),
    ("bytes=1", WHOLE),
    ("bytes=0-0,5-5", WHOLE),
    ("bytes=0-0, 9000-", WHOLE),
    ("lines=0-5", WHOLE),
    ("bytes=+1-5", WHOLE),
    ("bytes=1_0-50", WHOLE),
    ("bytes=99999999999999999999-", WHOLE),
    ("", WHOLE),
]


@pytest.mark.parametrize(("value", "selected"), RANGES)
def test_ranges(value: str, selected: Selected) -> None:
    assert asked(range=value) == selected
    assert asked("HEAD", range=value) == WHOLE


def test_a_digit_of_another_script_is_none() -> None:
    assert select("GET", {"range": "bytes=\N{ARABIC-INDIC DIGIT ONE}-5"}, FOUND) == WHOLE


@pytest.mark.parametrize(
    ("value", "selected"),
    [
        ("bytes=0-", Selected(416)),
        ("bytes=0-0", Selected(416)),
        ("bytes=-1", Selected(200, 0, 0)),
        ("bytes=-0", Selected(416)),
    ],
)
def test_ranges_of_an_empty_file(value: str, selected: Selected) -> None:
    assert asked(found=Representation(0, ETAG, None), range=value) == selected


@pytest.mark.parametrize(
    ("validator", "status"),
    [
        (ETAG, 206),
        (f"W/{ETAG}", 200),
        ('"x"', 200),
        ("*", 200),
        # It may have changed twice in that second.
        (DATE, 200),
        (EARLIER, 200),
        (LATER, 200),
        ("nonsense", 200),
    ],
)
def test_a_range_is_for_those_whose_other_parts_are_of_this_file(validator: str, status: int) -> None:
    assert asked(range="bytes=5-9", if_range=validator).status == status
    # Otherwise it wouldn't be answered with 416 either.
    assert asked(range="bytes=5000-", if_range=validator).status == (416 if status == 206 else 200)


# Dates ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (DATE, MODIFIED),
        ("Sunday, 06-Nov-94 08:49:37 GMT", MODIFIED),
        ("Sun Nov  6 08:49:37 1994", MODIFIED),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Wed, 31 Dec 1969 23:59:59 GMT", -1),
        ("Tue, 29 Feb 2000 00:00:00 GMT", 951782400),
        ("Sat, 31 Dec 2016 23:59:60 GMT", 1483228800),
        ("Tuesday, 01-Jan-69 00:00:00 GMT", 3124224000),
        ("Thursday, 01-Jan-70 00:00:00 GMT", 0),
    ],
)
def test_a_date_has_three_forms(text: str, seconds: int) -> None:
    assert parse_http_date(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "784111777",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 +0000",
        "Sun, 06 Nov 1994 08:49:37 GMT, " + DATE,
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nox 1994 08:49:37 GMT",
        "Sun, 31 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 0000 08:49:37 GMT",
        "Fri, 31 Dec 9999 24:00:00 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 23:60:00 GMT",
        "Sun, 06 Nov 1994 23:00:61 GMT",
    ],
)
def test_what_is_no_date(text: str) -> None:
    assert parse_http_date(text) is None


def test_a_date_is_written_in_the_first_form() -> None:
    assert http_date(MODIFIED) == DATE


# Content types ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "told"),
    [
        (b"index.html", "text/html; charset=utf-8"),
        (b"INDEX.HTML", "text/html; charset=utf-8"),
        (b"app.js", "text/javascript; charset=utf-8"),
        (b"a.tar.gz", "application/gzip"),
        (b"data.json", "application/json"),
        (b"pic.svg", "image/svg+xml"),
        (b"html", "application/octet-stream"),
        (b"a.unknown", "application/octet-stream"),
        (b"a.", "application/octet-stream"),
        (b"a.\xff", "application/octet-stream"),
        (b".txt", "text/plain; charset=utf-8"),
        (b"film.mov", "video/quicktime"),
        (b"film.mkv", "video/x-matroska"),
        (b"film.avi", "video/x-msvideo"),
        (b"server.log", "text/plain; charset=utf-8"),
        (b"a.yaml", "application/yaml"),
        (b"a.yml", "application/yaml"),
        (b"a.toml", "application/toml"),
        (b"a.cjs", "text/javascript; charset=utf-8"),
        (b"a.glb", "model/gltf-binary"),
        (b"a.gltf", "model/gltf+json"),
        (b"a.apk", "application/vnd.android.package-archive"),
        (b"photo.HEIC", "image/heic"),
        (b"a.doc", "application/msword"),
        (b"a.docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        (b"a.xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        (b"a.pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
        (b"a.odt", "application/vnd.oasis.opendocument.text"),
        (b"a.ods", "application/vnd.oasis.opendocument.spreadsheet"),
        (b"a.odp", "application/vnd.oasis.opendocument.presentation"),
    ],
)
def test_the_end_of_a_name_tells_the_content_type(name: bytes, told: str) -> None:
    assert content_type(name) == told


# What tells one content of a file from another -------------------------------------------------------

SECOND = 10**9
CAME = 1_000_000_000 * SECOND + 123
LONG_AGO = 1 * SECOND


def info(
    mtime_ns: int = LONG_AGO, ctime_ns: int | None = CAME, *, after: float = 60, **more: int
) -> FileInfo:
    """A file as it is found `after` seconds."""
    opened_at = (CAME if ctime_ns is None else ctime_ns) / SECOND + after
    return FileInfo(size=SIZE, mtime_ns=mtime_ns, ctime_ns=ctime_ns, opened_at=opened_at, **more)


def stated(found: FileInfo, earlier: FileInfo, **headers: Any) -> int:
    """How a client is answered that has seen `earlier`."""
    seen = representation(earlier)
    told = {"tag": seen.etag, "date": http_date(seen.last_modified or 0)}
    return asked(
        found=representation(found), **{key: value.format(**told) for key, value in headers.items()}
    ).status


def test_a_file_is_itself_for_as_long_as_nothing_of_it_changes() -> None:
    assert stated(info(after=99), info(), if_none_match="{tag}") == 304
    assert stated(info(after=99), info(), if_modified_since="{date}") == 304
    assert stated(info(after=99), info(), range="bytes=5-9", if_range="{tag}") == 206
    assert stated(info(after=99), info(), if_match="{tag}") == 200
    assert not representation(info()).etag.startswith("W/")


@pytest.mark.parametrize("after", [0, 0.001, 0.5, 1.5, 60])
@pytest.mark.parametrize(
    "new",
    [
        info(ctime_ns=CAME + 1),
        info(ctime_ns=CAME + 4_000_000, inode=1),
        info(ctime_ns=CAME + SECOND),
        info(ctime_ns=CAME + 3600 * SECOND),
    ],
)
def test_a_file_of_the_same_size_and_mtime_is_another(new: FileInfo, after: float) -> None:
    """As rsync -t, Nix and Bazel make them; within the same second, too."""
    old = info(after=after)
    assert stated(new, old, if_none_match="{tag}") == 200
    if old.opened_at * SECOND < (new.ctime_ns or 0):
        assert stated(new, old, if_modified_since="{date}") == 200
    assert stated(new, old, range="bytes=5-9", if_range="{tag}") == 200
    assert stated(new, old, range="bytes=5-9", if_range="{date}") == 200
    assert stated(new, old, if_match="{tag}") == 412


@pytest.mark.parametrize("part", ["inode", "device"])
def test_another_inode_or_device_is_another_file_whatever_the_times(part: str) -> None:
    assert stated(info(**{part: 7}), info(), if_none_match="{tag}") == 200


def test_a_tag_tells_no_inode() -> None:
    assert "123456789" not in representation(info(inode=123456789)).etag


def test_where_times_are_coarse_what_has_just_changed_has_a_weak_tag_that_no_later_one_equals() -> None:
    old = [info(tick_ns=20_000_000, after=after) for after in (0.001, 0.002)]
    assert all(representation(one).etag.startswith("W/") for one in old)
    assert stated(old[1], old[0], if_none_match="{tag}") == 200
    later = info(tick_ns=20_000_000, after=0.02)
    for one in old:
        assert stated(later, one, if_none_match="{tag}") == 200
        assert stated(one, one, range="bytes=5-9", if_range="{tag}") == 200
    assert not representation(later).etag.startswith("W/")


@pytest.mark.parametrize(("after", "is_weak"), [(0, True), (1.9, True), (2.1, False)])
def test_a_file_system_that_counts_seconds_is_given_two_of_them(after: float, is_weak: bool) -> None:
    assert (
        representation(info(ctime_ns=CAME // SECOND * SECOND, after=after)).etag.startswith("W/") is is_weak
    )


def test_last_modified_is_when_the_file_came_here() -> None:
    came = CAME // SECOND
    assert representation(info(after=60)).last_modified == came
    # A file that was written here.
    assert representation(info(mtime_ns=CAME, after=0)).last_modified == came
    # One that was copied with its time: in this second another may come.
    assert representation(info(after=0)).last_modified == came - 1


def test_a_mtime_in_the_future_counts_for_nothing() -> None:
    found = representation(info(mtime_ns=CAME + 3600 * SECOND))
    assert found.last_modified == CAME // SECOND
    assert not found.etag.startswith("W/")


def test_a_store_without_a_ctime_is_believed_its_mtime() -> None:
    old, new = info(mtime_ns=CAME, ctime_ns=None), info(mtime_ns=CAME + 1, ctime_ns=None)
    assert representation(old).last_modified == CAME // SECOND
    assert stated(old, old, if_none_match="{tag}") == 304
    assert stated(new, old, if_none_match="{tag}") == 200


def test_a_change_that_has_yet_to_come_makes_a_weak_tag_and_no_date() -> None:
    found = representation(info(mtime_ns=CAME + 99 * SECOND, ctime_ns=None))
    assert (found.etag[:2], found.modified, found.last_modified) == ("W/", None, None)


def test_weak_tags_are_for_if_none_match_alone() -> None:
    weak = Representation(SIZE, f"W/{ETAG}", MODIFIED)
    assert asked(found=weak, if_none_match=f"W/{ETAG}").status == 304
    assert asked(found=weak, if_none_match=ETAG).status == 304
    assert asked(found=weak, if_none_match='W/"x"').status == 200
    for tag in (ETAG, f"W/{ETAG}"):
        assert asked(found=weak, if_match=tag).status == 412
        assert asked(found=weak, range="bytes=5-9", if_range=tag).status == 200
