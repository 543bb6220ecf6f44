"""Every case of h2spec has a test of ours, which is there and runs in clear text and over TLS."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from tests.core.http2 import test_http2_demands
from tests.core.http2.h2spec_cases import CASES

SECTIONS = {"generic": 44, "http2": 95, "hpack": 8}


def parameters(test: Callable[..., Any]) -> dict[str, list[str]]:
    """The names of rows, by the names of the parameters that they give."""
    marks: list[pytest.Mark] = getattr(test, "pytestmark", [])
    found = {}
    for mark in marks:
        names = mark.args[0] if isinstance(mark.args[0], str) else ",".join(mark.args[0])
        found[names] = list(mark.kwargs["ids"])
    return found


@pytest.mark.parametrize("case", CASES)
def test_a_case_has_a_test(case: str) -> None:
    words, name = CASES[case]
    test = getattr(test_http2_demands, name)
    found = parameters(test)
    assert found.pop("tls") == ["clear text", "TLS"]
    rows = [row for ids in found.values() for row in ids]
    assert not rows or words in rows


def test_all_are_there() -> None:
    assert Counter(case.split("/")[0] for case in CASES) == SECTIONS
    numbers: dict[str, list[int]] = {}
    for case in CASES:
        section, _, number = case.rpartition("/")
        numbers.setdefault(section, []).append(int(number))
    assert all(found == list(range(1, len(found) + 1)) for found in numbers.values())
