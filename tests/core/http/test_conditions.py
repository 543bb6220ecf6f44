"""Conditional requests and ranges: the order of RFC 9110, 13.2.2, and every form of a range."""

from typing import Any

import pytest

from httpng_core.http import (
    Headers,
    Representation,
    Selected,
    content_type,
    http_date,
    parse_http_date,
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
        (DATE, 206),
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
    ],
)
def test_the_end_of_a_name_tells_the_content_type(name: bytes, told: str) -> None:
    assert content_type(name) == told
