"""What waits for a broker, a test a sentence."""

import pytest

from httpng.feeds.outbox import Outbox, OutboxFullError


def shown(outbox: Outbox) -> list[tuple[str | None, bytes | None, int, int]]:
    return [(each.key, each.body, each.count, each.ordinal) for each in outbox.take()]


def test_a_newer_one_takes_the_place_of_an_older_one_and_stands_for_both() -> None:
    outbox = Outbox(100, replaces=True)
    for key, body in (("a", b"1"), ("b", b"1"), ("a", b"2"), ("a", None), ("b", b"2")):
        outbox.put(key, body)
    assert len(outbox) == 2
    assert shown(outbox) == [("a", None, 3, 1), ("b", b"2", 2, 2)]


def test_what_is_removed_twice_is_removed_once() -> None:
    outbox = Outbox(100, replaces=True)
    outbox.put("a", None)
    outbox.put("a", None)
    assert shown(outbox) == [("a", None, 1, 1)]


def test_where_each_counts_none_takes_the_place_of_another() -> None:
    outbox = Outbox(100, replaces=False)
    outbox.put("a", b"1")
    outbox.put("a", b"2")
    assert shown(outbox) == [("a", b"1", 1, 1), ("a", b"2", 1, 2)]


def test_the_same_is_sent_again_whatever_came_meanwhile() -> None:
    outbox = Outbox(100, replaces=True)
    outbox.put("a", b"1")
    first = shown(outbox)
    outbox.put("a", b"2")
    outbox.put("b", b"1")
    assert shown(outbox) == first == [("a", b"1", 1, 1)]
    outbox.sent()
    assert shown(outbox) == [("a", b"2", 1, 2), ("b", b"1", 1, 3)]
    outbox.sent()
    assert outbox.take() == []
    assert outbox.wait_empty(0)


def test_it_takes_so_many_bytes_and_has_room_again_when_they_are_sent() -> None:
    outbox = Outbox(4, replaces=False)
    outbox.put("a", b"123")
    with pytest.raises(OutboxFullError, match="4 bytes wait for the broker, and no more than 4 may"):
        outbox.put(None, b"1")
    assert not outbox.wait_empty(0)
    assert len(outbox.take()) == 1
    outbox.sent()
    outbox.put(None, b"1234")
