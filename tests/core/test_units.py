"""Sizes and times with their units, wherever settings are given as text."""

import math

import pytest

from httpng_core import ConfigError, parse_settings

SIZES = {
    "50": 50,
    "50M": 50 << 20,
    "50m": 50 << 20,
    "64k": 64 << 10,
    "64 KiB": 64 << 10,
    "64KB": 64 << 10,
    "1G": 1 << 30,
    "1.5M": 3 << 19,
    ".5k": 512,
    "100B": 100,
    " 7 ": 7,
    "1e3": 1000,
}
TIMES = {
    "30": 30,
    "30s": 30,
    "2m": 120,
    "2 min": 120,
    "500ms": 0.5,
    "1.5s": 1.5,
    "1h": 3600,
    "1D": 86400,
    "infinity": math.inf,
    "inf": math.inf,
}


@pytest.mark.parametrize(("text", "size"), SIZES.items())
def test_a_size(text: str, size: int) -> None:
    assert parse_settings({"max_body_len": text}).max_body_len == size
    assert parse_settings({"default_send_window": text}).default_send_window == size


@pytest.mark.parametrize(("text", "seconds"), TIMES.items())
def test_a_time(text: str, seconds: float) -> None:
    assert parse_settings({"body_timeout": text}).body_timeout == seconds
    assert parse_settings({"thread_termination_timeout": text}).thread_termination_timeout == seconds


@pytest.mark.parametrize("text", ["", "M", "50X", "50 M B", "5 0M", "-5M", "50s", "1,5M", "50MM", "0x10M"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^parameter max_body_len is not a number$"):
        parse_settings({"max_body_len": text})


@pytest.mark.parametrize("text", ["", "s", "30x", "30M5", "3 0s", "-3s", "1m30s", "30sec"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^parameter body_timeout is not a number$"):
        parse_settings({"body_timeout": text})


def test_a_size_out_of_range_is_told_as_it_was_written() -> None:
    with pytest.raises(ConfigError, match=r"^max_body_len is '65G', must be an integer, 0 \.\. 68719476736$"):
        parse_settings({"max_body_len": "65G"})


def test_words_stay_words() -> None:
    assert parse_settings({"default_send_window": "auto"}).default_send_window == "auto"
