"""Responses on HTTP/2: what is framed, when, and what it pays for."""

import pytest
from h2.errors import ErrorCodes
from tests.core.driving import result
from tests.core.driving2 import Driven2

from httpng_core import Feed, Readiness, Response, body_bytes_sent, cancelled, headers_were_sent


def test_a_whole_response() -> None:
    driven = Driven2()
    exchange, stream = driven.begin()
    exchange.respond(Response(body="hello", headers={"X-Name": "a"}), driven.now)
    driven.turn()
    assert stream.status == 200
    assert stream.headers == {"x-name": "a", "content-length": "5"}
    assert stream.body == b"hello"
    assert stream.complete
    assert driven.outcomes == ["complete"]
    assert exchange.stats(driven.now).sent == 5


def test_an_empty_response_is_one_frame() -> None:
    driven = Driven2()
    exchange, stream = driven.begin()
    exchange.finish(driven.now)
    before = len(driven.wire)
    driven.push()
    assert driven.wire[before + 4] == 0x5, "END_STREAM and END_HEADERS"
    assert stream.headers == {"content-length": "0"}
    assert stream.complete


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
def test_bodies_that_are_dropped_by_rule(method: str, status: int) -> None:
    driven = Driven2()
    exchange, stream = driven.begin(method=method)
    exchange.write_header(status, {"content-length": "3"}, driven.now)
    assert exchange.write("abc", driven.now).result is None
    exchange.finish(driven.now)
    driven.turn()
    assert stream.status == status
    assert stream.complete
    assert stream.body == b""
    assert ("content-length" in stream.headers) == (status != 204)
    assert driven.positions == (3, 3)


def test_headers_of_a_connection_are_dropped() -> None:
    driven = Driven2()
    exchange, stream = driven.begin()
    names = ("Connection", "Keep-Alive", "Proxy-Connection", "TE", "Upgrade")
    exchange.write_header(200, dict.fromkeys(names, "x") | {"Transfer-Encoding": "chunked"}, driven.now)
    exchange.finish(driven.now)
    driven.turn()
    assert stream.headers == {}


def test_connection_close_of_a_handler_is_a_goaway_after_it() -> None:
    driven = Driven2()
    exchange, stream = driven.begin()
    exchange.write_header(200, {"connection": "close"}, driven.now)
    driven.turn()
    assert driven.client.goaway is None
    exchange.finish(driven.now)
    driven.turn()
    assert stream.complete
    assert driven.client.goaway == ErrorCodes.NO_ERROR
    assert driven.connection.half_close_expected()


def test_dates_are_as_on_http1() -> None:
    driven = Driven2(date=lambda: b"Sun")
    exchange, stream = driven.begin()
    exchange.finish(driven.now)
    driven.turn()
    assert stream.headers["date"] == "Sun"
    exchange, stream = driven.begin()
    exchange.write_header(200, {"date": "Mon"}, driven.now)
    driven.turn()
    assert stream.headers["date"] == "Mon"


# Late: windows of the client --------------------------------------------------------------------------


def test_a_long_body_is_accepted_frame_by_frame_as_the_window_of_the_stream_opens() -> None:
    driven = Driven2(10, reads=False)
    exchange, stream = driven.begin()
    write = exchange.write(b"x" * 25, driven.now, window=0)
    driven.turn()
    assert stream.status == 200
    assert stream.body == b"x" * 10
    assert driven.positions == (10, 10)
    assert not write.settled
    driven.client.give(7, 1)
    driven.turn()
    assert driven.positions == (17, 17)
    driven.client.give(8, 1)
    driven.turn()
    assert write.result is None


def test_a_write_that_times_out_on_a_zero_window_took_nothing_and_the_stream_goes_on() -> None:
    driven = Driven2(0, reads=False)
    exchange, stream = driven.begin()
    write = exchange.write(b"old", driven.now, 5, 0)
    driven.turn()
    assert stream.status == 200
    driven.advance(5)
    assert body_bytes_sent(result(write)) == 0
    assert headers_were_sent(result(write))
    assert driven.positions == (0, 0)
    write = exchange.write(b"new", driven.now, 5, 0)
    exchange.finish(driven.now)
    assert cancelled(result(write))
    exchange, stream = driven.begin()
    write = exchange.write(b"new", driven.now, 5, 0)
    driven.client.give(3, 3)
    driven.turn()
    assert write.result is None
    assert stream.body == b"new"


def test_a_record_that_fits_into_the_send_window_waits_in_ours_not_in_a_buffer_of_h2() -> None:
    driven = Driven2(0, reads=False)
    exchange, stream = driven.begin()
    assert exchange.write(b"abc", driven.now).result is None
    driven.turn()
    assert driven.positions == (3, 0)
    assert exchange.stats(driven.now).lag == 0
    driven.advance(2)
    assert exchange.stats(driven.now).lag == 2
    driven.client.give(1, 1)
    driven.turn()
    assert driven.positions == (3, 1)
    assert stream.body == b"a"


def test_the_window_of_the_connection_bounds_all_streams() -> None:
    driven = Driven2(1 << 20, reads=False)
    (one, _), (two, _) = driven.begin(), driven.begin()
    for exchange in (one, two):
        exchange.write(b"x" * 100_000, driven.now, window=1 << 20)
    driven.turn()
    assert one.stats(driven.now).sent + two.stats(driven.now).sent == 65535
    assert not driven.connection.wants_write
    driven.client.give(1000)
    driven.turn()
    assert one.stats(driven.now).sent + two.stats(driven.now).sent == 66535


def test_a_window_that_shrinks_below_zero_holds_all_but_the_end() -> None:
    driven = Driven2(100, reads=False)
    exchange, stream = driven.begin()
    exchange.write(b"x" * 60, driven.now)
    driven.turn()
    driven.client.h2.update_settings({4: 50})
    driven.turn()
    assert exchange.write(b"y", driven.now).result is None
    driven.turn()
    assert driven.positions == (61, 60)
    driven.client.h2.update_settings({4: 61})
    exchange.finish(driven.now)
    driven.turn()
    assert stream.body == b"x" * 60 + b"y"
    assert stream.complete


def test_an_end_needs_no_window() -> None:
    driven = Driven2(0, reads=False)
    exchange, stream = driven.begin()
    exchange.write(b"", driven.now)
    driven.turn()
    exchange.finish(driven.now)
    driven.turn()
    assert stream.complete


def test_frames_are_no_longer_than_the_client_takes() -> None:
    driven = Driven2(1 << 20)
    exchange, stream = driven.begin()
    exchange.write(b"x" * 200_000, driven.now, window=1 << 20)
    sizes = []
    for _ in range(30):
        offer = b"".join(driven.connection.data_to_send(driven.now))
        at = 0
        while at < len(offer):
            sizes.append(int.from_bytes(offer[at : at + 3]))
            at += 9 + sizes[-1]
        driven.connection.bytes_accepted(len(offer), driven.now)
        driven.client.receive(offer)
        driven.receive(driven.client.take())
    assert max(sizes) == 16384
    assert len(stream.body) == 200_000


def test_a_stream_whose_window_is_closed_delays_no_other() -> None:
    driven = Driven2(1000, reads=False)
    exchanges = [driven.begin() for _ in range(5)]
    for exchange, _ in exchanges:
        exchange.write(b"x" * 2000, driven.now)
    driven.turn()
    driven.client.reads = True
    for number, (_exchange, _stream) in enumerate(exchanges[1:], 1):
        driven.client.give(1000, 2 * number + 1)
    driven.turn()
    assert [len(stream.body) for _, stream in exchanges] == [1000, 2000, 2000, 2000, 2000]


def test_nothing_is_accepted_from_a_writer_before_the_socket_can_take_it() -> None:
    driven = Driven2()
    exchange, _ = driven.begin()
    exchange.write(b"x" * 100, driven.now, window=0)
    assert driven.connection.prepare() is Readiness.ASK
    driven.push(0)
    assert driven.positions == (0, 0)
    driven.push(60)
    current, sent = driven.positions
    assert sent < current == 100
    driven.push()
    assert driven.positions == (100, 100)


def offer_sizes(driven: Driven2, count: int) -> list[int]:
    """In KiB, of offers that the kernel takes whole."""
    sizes = []
    for _ in range(count):
        offer = b"".join(driven.connection.data_to_send(driven.now))
        sizes.append(len(offer) // 1024)
        driven.connection.bytes_accepted(len(offer), driven.now)
    return sizes


def test_of_what_was_refused_the_frame_that_was_cut_stays_committed() -> None:
    driven = Driven2(1 << 20)
    driven.client.give(1 << 20)
    exchange, _ = driven.begin()
    exchange.write(b"x" * 1_000_000, driven.now, window=1 << 20)
    assert offer_sizes(driven, 5) == [16, 32, 64, 128, 256]
    for smaller in (128, 64, 32, 16):
        offer = b"".join(driven.connection.data_to_send(driven.now))
        driven.connection.bytes_accepted(100, driven.now)
        assert driven.connection.prepare() is not Readiness.ASK
        cut = b"".join(driven.connection.data_to_send(driven.now))
        assert cut == offer[100 : 9 + 16_384]
        assert exchange.committed - exchange.stats(driven.now).sent == len(cut)
        driven.connection.bytes_accepted(len(cut), driven.now)
        assert driven.connection.statistics().offer_limit == smaller * 1024


def test_the_largest_lag_is_that_of_the_byte_that_waited_longest() -> None:
    driven = Driven2()
    exchange, _ = driven.begin()
    exchange.write(b"", driven.now)
    driven.turn()
    for _ in range(100):
        exchange.write(b"x" * 10, driven.now)
        driven.clock.now += 0.01
        driven.push(18)
    assert exchange.current - exchange.sent in range(1, 40)
    exchange.finish(driven.now)
    driven.turn()
    assert exchange.is_over
    assert 0.01 <= exchange.largest_lag < 0.1


# Errors of handlers -----------------------------------------------------------------------------------


def test_an_error_of_a_handler_is_500_which_waits_for_room_as_any_body() -> None:
    driven = Driven2(10, reads=False)
    exchange, stream = driven.begin()
    exchange.fail(driven.now)
    driven.turn()
    assert stream.status == 500
    assert stream.headers["content-length"] == "28"
    assert stream.body == b"Path handl"
    driven.client.give(18, 1)
    driven.turn()
    assert stream.body == b"Path handler execution error"
    assert stream.complete
    assert driven.positions == (0, 0)


def test_an_error_of_a_handler_of_head_has_no_body() -> None:
    driven = Driven2()
    exchange, stream = driven.begin(method="HEAD")
    exchange.fail(driven.now)
    driven.turn()
    assert stream.status == 500
    assert stream.complete


def test_a_response_that_is_cut_short_resets_the_stream_and_not_the_connection() -> None:
    driven = Driven2()
    exchange, stream = driven.begin()
    exchange.write(b"abc", driven.now)
    driven.turn()
    exchange.fail(driven.now)
    driven.turn()
    assert stream.reset == ErrorCodes.INTERNAL_ERROR
    assert not stream.complete
    assert driven.outcomes == ["cut short"]
    exchange, stream = driven.begin()
    exchange.respond(Response(body="ok"), driven.now)
    driven.turn()
    assert stream.body == b"ok"


def test_a_reset_before_anything_was_sent() -> None:
    driven = Driven2()
    exchange, stream = driven.begin()
    exchange.reset(driven.now)
    driven.turn()
    assert stream.reset == ErrorCodes.INTERNAL_ERROR
    assert stream.status == 0


def test_a_response_that_falls_short_is_reset() -> None:
    driven = Driven2()
    exchange, stream = driven.begin()
    exchange.write_header(200, {"content-length": 10}, driven.now)
    exchange.write(b"abc", driven.now)
    exchange.finish(driven.now)
    driven.turn()
    assert stream.reset == ErrorCodes.INTERNAL_ERROR


# Feeds ------------------------------------------------------------------------------------------------


def test_a_follower_draws_only_when_its_window_has_room() -> None:
    driven = Driven2(0, reads=False)
    exchange, stream = driven.begin()
    feed = Feed(clock=driven.clock)
    exchange.follow(feed.follower(), driven.now)
    driven.turn()
    feed.publish(b"old")
    driven.turn()
    feed.publish(b"new")
    driven.turn()
    assert stream.body == b""
    driven.client.give(100, 1)
    driven.turn()
    assert stream.body == b"new"
    assert driven.positions == (3, 3)


def test_a_payload_that_has_begun_goes_out_whole_and_others_go_between() -> None:
    driven = Driven2(10, reads=False)
    exchange, stream = driven.begin()
    other, other_stream = driven.begin()
    feed = Feed(clock=driven.clock)
    exchange.follow(feed.follower(), driven.now)
    feed.publish(b"a" * 25)
    driven.turn()
    feed.publish(b"b" * 5)
    assert stream.body == b"a" * 10
    assert driven.client.streams[1] is stream
    assert exchange.stats(driven.now).current == 25
    assert exchange.stats(driven.now).sent == 10
    other.respond(Response(body="between"), driven.now)
    driven.turn()
    assert other_stream.body == b"between"
    driven.client.give(12, 1)
    driven.turn()
    feed.close()
    driven.client.give(100, 1)
    driven.turn()
    exchange.finish(driven.now)
    driven.turn()
    assert stream.body == b"a" * 25 + b"b" * 5
    assert stream.complete


def test_the_rest_of_a_payload_precedes_the_end() -> None:
    driven = Driven2(10, reads=False)
    exchange, stream = driven.begin()
    feed = Feed(clock=driven.clock)
    follow = exchange.follow(feed.follower(), driven.now, 1)
    feed.publish(b"a" * 25)
    driven.turn()
    driven.advance(1)
    assert follow.settled
    exchange.finish(driven.now)
    driven.turn()
    assert not stream.complete
    driven.client.give(15, 1)
    driven.turn()
    assert stream.body == b"a" * 25
    assert stream.complete


# Positions --------------------------------------------------------------------------------------------


def test_acked_is_told_for_each_exchange() -> None:
    driven = Driven2(tells_acknowledged=True)
    (one, _), (two, _) = driven.begin(), driven.begin()
    one.write(b"a" * 10, driven.now)
    two.write(b"b" * 20, driven.now)
    driven.turn()
    waits = [exchange.wait(0, driven.now, until="acked") for exchange in (one, two)]
    one.write(b"a" * 5, driven.now, until="acked")
    driven.turn()
    assert (one.stats(driven.now).acked, two.stats(driven.now).acked) == (0, 0)
    driven.connection.bytes_acknowledged(len(driven.wire) - 5, driven.now)
    assert (one.stats(driven.now).acked, two.stats(driven.now).acked) == (10, 20)
    driven.connection.bytes_acknowledged(len(driven.wire), driven.now)
    assert (one.stats(driven.now).acked, two.stats(driven.now).acked) == (15, 20)
    assert all(wait.settled for wait in waits)


def test_bytes_tracked_for_another_exchange_are_not_counted_twice() -> None:
    driven = Driven2(tells_acknowledged=True)
    (one, _), (two, _) = driven.begin(), driven.begin()
    one.write(b"a" * 10, driven.now, until="acked")
    two.write(b"b" * 20, driven.now)
    driven.turn()
    two.wait(0, driven.now, until="acked")
    driven.connection.bytes_acknowledged(len(driven.wire), driven.now)
    assert (one.stats(driven.now).acked, two.stats(driven.now).acked) == (10, 20)


def test_what_can_not_be_told_any_more_is_forgotten_for_all() -> None:
    driven = Driven2(tells_acknowledged=True)
    (one, _), (two, _) = driven.begin(), driven.begin()
    for exchange in (one, two):
        exchange.write(b"a" * 10, driven.now, until="acked")
    driven.turn()
    driven.connection.bytes_acknowledged(None, driven.now)
    assert (one.stats(driven.now).acked, two.stats(driven.now).acked) == (None, None)


def test_committed_bytes_of_a_cancelled_exchange_still_count_as_sent() -> None:
    driven = Driven2()
    exchange, stream = driven.begin()
    exchange.write(b"x" * 1000, driven.now)
    driven.push(500)
    driven.client.h2.reset_stream(1)
    driven.receive(driven.client.take())
    assert driven.outcomes == ["cancelled"]
    assert driven.positions[1] < 1000
    driven.turn()
    assert driven.positions == (1000, 1000)
    assert not stream.complete
