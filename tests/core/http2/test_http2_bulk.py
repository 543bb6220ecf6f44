"""What streams have buffered goes to a client that is fast in vectors, which can be taken back."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.core.driving import Driven
from tests.core.driving2 import Driven2
from tests.core.http2.test_http2_sharing import body_sizes

from httpng_core import Exchange, Readiness

WINDOW = 1 << 24
INK = bytes(range(251)) * 2_000
SIZES = [60_000, 100, 33_000]
NO_WINDOW = b"\0\0\6\4\0\0\0\0\0" + b"\0\4" + bytes(4)

# Each with what its client has received.
Begun = list[tuple[Exchange, Any]]


def fast(warm: int = 200_000, **more: bool) -> Driven2:
    """One whose client has taken so much as it was offered."""
    driven = Driven2(WINDOW, **more)
    driven.client.give(1 << 30)
    exchange, stream = driven.begin()
    exchange.write(INK[:warm], driven.now)
    exchange.finish(driven.now)
    driven.turn()
    assert stream.complete
    return driven


def writing(driven: Driven2, sizes: list[int] | None = None) -> Begun:
    """Streams that have begun, and have so much buffered each."""
    begun = [driven.begin() for _ in sizes or SIZES]
    for exchange, _ in begun:
        exchange.write(b"", driven.now)
    driven.turn()
    for number, ((exchange, _), size) in enumerate(zip(begun, sizes or SIZES, strict=True)):
        exchange.write(INK[number : number + size], driven.now)
    return begun


def offered(driven: Driven2, limit: int | None = None) -> bytes:
    assert driven.connection.prepare() is Readiness.OFFER
    return b"".join(driven.connection.data_to_send(driven.now, limit))


def give(driven: Driven2, wire: bytes) -> None:
    """The kernel takes this of what was offered, and the client has it at once."""
    driven.connection.bytes_accepted(len(wire), driven.now)
    driven.client.receive(wire)
    driven.wire += wire
    driven.read = len(driven.wire)


def check_bodies(begun: Begun, sizes: list[int]) -> None:
    for number, ((_, stream), size) in enumerate(zip(begun, sizes, strict=True)):
        assert bytes(stream.body) == INK[number : number + size]


def test_all_that_is_buffered_is_one_offer_and_nothing_is_committed_before_the_kernel_has_it() -> None:
    driven = fast()
    begun = writing(driven)
    wire = offered(driven)
    assert len(wire) > sum(SIZES)
    assert [exchange.committed for exchange, _ in begun] == [0, 0, 0]
    give(driven, wire)
    assert [exchange.stats(driven.now).sent for exchange, _ in begun] == SIZES
    check_bodies(begun, SIZES)
    assert driven.connection.prepare() is Readiness.NOTHING


def test_whatever_the_kernel_takes_what_is_sent_is_true_to_the_byte() -> None:
    size = len(offered_by(fast())[1])
    for taken in sorted({*range(40), *range(0, size, 4_001), *range(65_500, 65_600), size - 1, size}):
        driven = fast()
        begun, _ = offered_by(driven)
        Driven.push(driven, taken)
        kept = body_sizes(driven.wire, 0)
        for exchange, stream in begun:
            number = next(number for number, one in driven.client.streams.items() if one is stream)
            stats = exchange.stats(driven.now)
            assert stats.sent == kept[number]
            # At most the frame that was cut.
            assert exchange.committed - stats.sent <= 16_384
        committed = sum(exchange.committed - exchange.stats(driven.now).sent for exchange, _ in begun)
        assert committed <= 16_384
        for exchange, _ in begun:
            exchange.finish(driven.now)
        driven.turn()
        check_bodies(begun, SIZES)
        assert all(stream.complete for _, stream in begun)
        assert driven.outcomes == ["complete"] * 4


def offered_by(driven: Driven2) -> tuple[Begun, bytes]:
    begun = writing(driven)
    wire = offered(driven)
    driven.connection.bytes_accepted(0, driven.now)
    return begun, wire


@pytest.mark.parametrize("limit", [1, 100, 10_000])
def test_a_driver_may_bound_it_and_it_can_be_taken_back_all_the_same(limit: int) -> None:
    driven = fast()
    begun = writing(driven)
    assert len(offered(driven, limit)) == 9 + limit
    assert [exchange.committed for exchange, _ in begun] == [0, 0, 0]
    driven.connection.bytes_accepted(0, driven.now)
    begin = len(driven.wire)
    give(driven, offered(driven, limit))
    assert sum(body_sizes(driven.wire, begin).values()) == limit
    driven.turn()
    check_bodies(begun, SIZES)


def test_the_socket_is_asked_first_only_where_the_client_is_slow() -> None:
    """As everything that is offered can be taken back."""
    driven = fast()
    writing(driven)
    assert driven.connection.prepare() is Readiness.OFFER
    while driven.connection.prepare() is Readiness.OFFER:
        # Refused again and again, what is offered shrinks to the smallest size.
        assert driven.connection.data_to_send(driven.now)
        driven.connection.bytes_accepted(0, driven.now)
    assert driven.connection.prepare() is Readiness.ASK


def test_what_was_refused_can_still_be_dropped() -> None:
    driven = fast()
    begun = writing(driven)
    assert driven.push(0) == 0
    assert offered(driven)
    driven.connection.bytes_accepted(0, driven.now)
    begun[0][0].reset(driven.now)
    driven.turn()
    assert begun[0][1].body == b""
    assert begun[0][1].reset is not None
    assert begun[0][0].stats(driven.now).sent == 0
    assert [len(stream.body) for _, stream in begun[1:]] == SIZES[1:]


@pytest.mark.parametrize("taken", [0, 1, 16_393, 70_000, 1 << 30])
@pytest.mark.parametrize("by", ["client", "server", "handler", "window", "write", "finish"])
def test_what_changes_while_it_is_offered_comes_behind_it(by: str, taken: int) -> None:
    driven = fast()
    begun = writing(driven)
    wire = offered(driven)
    exchange, stream = begun[0]
    changes: dict[str, Callable[[], object]] = {
        "client": lambda: driven.receive(rst_stream(driven, stream)),
        "server": lambda: exchange.reset(driven.now),
        "handler": lambda: exchange.cancel(driven.now),
        "window": lambda: driven.receive(NO_WINDOW),
        "write": lambda: exchange.write(b"more", driven.now),
        "finish": lambda: exchange.finish(driven.now),
    }
    changes[by]()
    give(driven, wire[:taken])
    driven.turn()
    sizes = list(SIZES)
    if by == "write":
        sizes[0] += 4
        assert bytes(stream.body) == INK[: SIZES[0]] + b"more"
        begun, sizes = begun[1:], sizes[1:]
        assert [len(one.body) for _, one in begun] == sizes
    elif by == "client":
        # Its client has forgotten what it has reset.
        assert [len(one.body) for _, one in begun[1:]] == sizes[1:]
    else:
        check_bodies(begun, sizes)
    if by == "finish":
        assert stream.complete
    assert exchange.stats(driven.now).sent == (SIZES[0] + 4 if by == "write" else SIZES[0])
    assert driven.connection.prepare() is Readiness.NOTHING


def rst_stream(driven: Driven2, stream: Any) -> bytes:
    number = next(number for number, one in driven.client.streams.items() if one is stream)
    return b"\0\0\4\3\0" + number.to_bytes(4) + (8).to_bytes(4)


def test_a_lost_connection_has_sent_nothing_of_what_was_offered() -> None:
    driven = fast()
    begun = writing(driven)
    assert offered(driven)
    driven.lost()
    assert [exchange.stats(driven.now).sent for exchange, _ in begun] == [0, 0, 0]


def test_the_end_is_in_the_last_frame() -> None:
    driven = fast()
    begun = [driven.begin() for _ in range(2)]
    begun[0][0].write_header(200, {"content-length": "50000"}, driven.now)
    begun[1][0].write(b"", driven.now)
    driven.turn()
    begun[0][0].write(INK[:50_000], driven.now)
    begun[1][0].write(INK[:50_000], driven.now)
    begun[1][0].finish(driven.now)
    wire = offered(driven)
    begin = len(driven.wire)
    give(driven, wire)
    assert all(stream.complete and len(stream.body) == 50_000 for _, stream in begun)
    assert all(exchange.is_over for exchange, _ in begun)
    assert len(wire) == 100_000 + 9 * 8
    assert set(body_sizes(driven.wire, begin).values()) == {50_000}


@pytest.mark.parametrize("limit", [None, 1 << 20])
def test_trailers_come_behind_it(limit: int | None) -> None:
    """Also where a driver bounds what is offered."""
    driven = fast()
    exchange, stream = writing(driven, [50_000])[0]
    exchange.close(driven.now, trailers={"x-sum": "1"})
    driven.push(limit=limit)
    driven.turn()
    assert len(stream.body) == 50_000
    assert stream.trailers == [("x-sum", "1")]
    assert stream.complete


def test_windows_bound_it() -> None:
    driven = fast(reads=False)
    driven.client.h2.update_settings({4: 1000})
    driven.turn()
    more = [driven.begin() for _ in range(2)]
    for exchange, _ in more:
        exchange.write(b"", driven.now)
    driven.turn()
    for exchange, _ in more:
        for _ in range(50):
            exchange.write(b"x" * 99, driven.now)
    driven.turn()
    assert [len(stream.body) for _, stream in more] == [1000, 1000]
    for _, stream in more:
        number = next(number for number, one in driven.client.streams.items() if one is stream)
        driven.client.give(100_000, number)
    driven.turn()
    assert [len(stream.body) for _, stream in more] == [4950, 4950]


def test_the_window_of_the_connection_bounds_all_of_them() -> None:
    driven = Driven2(WINDOW, reads=False)
    driven.client.give(400_000)
    exchange, _ = driven.begin()
    exchange.write(INK[:200_000], driven.now)
    exchange.finish(driven.now)
    driven.turn()
    begun = writing(driven, [200_000] * 3)
    driven.turn()
    assert sum(len(stream.body) for _, stream in begun) == 400_000 + 65_535 - 200_000
    driven.client.give(1 << 24)
    driven.turn()
    check_bodies(begun, [200_000] * 3)


def test_who_is_more_urgent_goes_on_until_it_has_nothing_left() -> None:
    driven = fast()
    slow = [driven.begin(headers=(("priority", "u=5, i"),)) for _ in range(3)]
    first = driven.begin(headers=(("priority", "u=1, i"),))
    for exchange, _ in (*slow, first):
        exchange.write(b"", driven.now)
    driven.turn()
    for exchange, _ in (*slow, first):
        exchange.write(INK[:400_000], driven.now)
    while len(first[1].body) < 400_000:
        give(driven, offered(driven))
        assert len(first[1].body) == 400_000 or not any(stream.body for _, stream in slow)
    driven.turn()
    assert all(len(stream.body) == 400_000 for _, stream in slow)


def test_those_of_no_use_in_part_go_one_by_one() -> None:
    driven = fast()
    begun = [driven.begin(headers=(("priority", "u=3, i=?0"),)) for _ in range(3)]
    for exchange, _ in begun:
        exchange.write(b"", driven.now)
    driven.turn()
    for exchange, _ in begun:
        exchange.write(INK[:400_000], driven.now)
    while driven.connection.wants_write:
        give(driven, offered(driven))
        begun_bodies = [len(stream.body) for _, stream in begun if 0 < len(stream.body) < 400_000]
        assert len(begun_bodies) <= 1


def test_a_stream_that_ends_while_a_round_goes_on_leaves_the_others() -> None:
    driven = fast()
    begun = writing(driven, [300_000] * 8)
    give(driven, offered(driven))
    begun[7][0].cancel(driven.now)
    begun[6][0].finish(driven.now)
    driven.turn()
    assert [len(stream.body) for _, stream in begun[:7]] == [300_000] * 7
    assert begun[6][1].complete


def test_acknowledgements_are_told_of_it() -> None:
    driven = fast(tells_acknowledged=True)
    begun = writing(driven, [100, 100])
    waits = [exchange.wait(50_000, driven.now, until="acked") for exchange, _ in begun]
    for exchange, _ in begun:
        exchange.write(INK[:60_000], driven.now)
    driven.turn()
    assert not any(wait.settled for wait in waits)
    driven.connection.bytes_acknowledged(len(driven.wire), driven.now)
    assert [wait.settled for wait in waits] == [True, True]


def test_more_than_was_offered_can_not_be_accepted() -> None:
    driven = fast()
    writing(driven)
    size = len(offered(driven))
    with pytest.raises(ValueError, match="1 more bytes accepted than were offered"):
        driven.connection.bytes_accepted(size + 1, driven.now)


def test_a_cut_takes_no_claim_from_who_was_cut() -> None:
    driven = fast()
    begun = writing(driven, [400_000] * 4)
    begin = len(driven.wire)
    for turn in range(60):
        Driven.push(driven, 9_000 + turn * 7_001 % 10_000)
    sizes = body_sizes(driven.wire, begin)
    assert len(begun) == len(sizes) == 4
    assert max(sizes.values()) - min(sizes.values()) <= 65_536


def test_all_are_looked_at_again_when_a_round_has_ended_also_with_a_frame_that_is_cut() -> None:
    driven = fast(warm=600_000)
    late, *begun = [driven.begin() for _ in range(4)]
    for exchange, _ in (late, *begun):
        exchange.write(b"", driven.now)
    driven.turn()
    for exchange, _ in begun:
        for at in range(0, 300_000, 10_000):
            exchange.write(INK[at : at + 10_000], driven.now)
    wire = offered(driven)
    assert len(wire) > 256 * 1024, "that is a round"
    give(driven, wire[:-1])
    late[0].write(b"news", driven.now)
    give(driven, b"".join(driven.connection.data_to_send(driven.now)))
    give(driven, offered(driven))
    assert late[1].body == b"news"
    driven.turn()
    for _, stream in begun:
        assert bytes(stream.body) == INK[:300_000]


def test_a_request_that_still_comes_in_has_no_part_in_it_and_is_in_nobodys_way() -> None:
    driven = fast()
    driven.client.request("/", "POST", body=None)
    driven.turn()
    begun = writing(driven)
    wire = offered(driven)
    assert len(wire) > sum(SIZES)
    give(driven, wire)
    check_bodies(begun, SIZES)


def test_a_piece_that_its_window_is_too_small_for_goes_in_parts() -> None:
    driven = Driven2(1000, reads=False)
    exchange, stream = driven.begin()
    exchange.write(INK[:10_000], driven.now)
    exchange.write(INK[10_000:20_000], driven.now)
    driven.turn()
    assert len(stream.body) == 1000
    for number in range(2, 21):
        driven.client.give(1000, 1)
        driven.turn()
        assert bytes(stream.body) == INK[: 1000 * number]
    assert exchange.stats(driven.now).sent == 20_000
