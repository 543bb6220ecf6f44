"""What is held for clients, to the byte, since when it stands still, and how it is given up."""

import logging
from math import inf

import pytest
from tests.core.driving import GET, GET_10, Driven
from tests.core.driving2 import Driven2
from tests.core.transports import TRANSPORTS, carried
from tests.core.uploads.uploading import KINDS, Upload

from httpng_core import (
    Address,
    Admission,
    Cause,
    CertificateFiles,
    Certificates,
    Closing,
    Connection,
    ConnectionDropped,
    ExchangeEnded,
    Host,
    RequestReceived,
    RequestRefused,
    Settings,
    over_limit,
)
from httpng_core.testing import Loopback

FULL = over_limit("memory_budget", "too much")
POST = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n"
PART = b"\0\x40\0\x01\x04\0\0\0\x01" + bytes(200)
"""Of a frame with headers that has 16 KiB."""


@pytest.fixture
def fast(engine: str) -> None:
    """What the reference engine of HTTP/1.1 does otherwise: it gathers bodies, and has buffers of its own."""
    if engine == "reference":
        pytest.skip("the reference engine does it otherwise")


def held(connection: Connection) -> int:
    return sum(holding.size for holding in connection.holdings())


def since(connection: Connection) -> float:
    """Since when what is held stands still: the longest."""
    return min(holding.since for holding in connection.holdings())


def give_up(driven: Driven) -> None:
    """Give up all that is held, as one loop would."""
    for holding in driven.connection.holdings():
        holding.give_up(driven.now, FULL)
    driven.advance(0)


# What is held -----------------------------------------------------------------------------------------


@TRANSPORTS
def test_what_was_accepted_and_not_sent_is_held(
    kind: str, certificates: Certificates, pair: CertificateFiles
) -> None:
    one = carried(kind, certificates, pair)
    connection = one.driven.connection
    one.push()
    assert held(connection) == 0
    one.advance(3)
    one.write(bytes(5000))
    one.write(bytes(1000))
    assert (held(connection), since(connection)) == (6000, one.now)
    began = one.now
    one.advance(2)
    assert (held(connection), since(connection)) == (6000, began)
    one.push()
    assert held(connection) == 0


@TRANSPORTS
def test_who_waits_for_room_holds_what_it_gave(
    kind: str, certificates: Certificates, pair: CertificateFiles
) -> None:
    one = carried(kind, certificates, pair)
    one.advance(5)
    one.write(bytes(3000), window=3000)
    began = one.now
    one.advance(1)
    waiting = one.write(bytes(2000), window=3000)
    assert (held(one.driven.connection), since(one.driven.connection)) == (5000, began)
    one.push()
    assert waiting.settled
    assert held(one.driven.connection) == 0


def test_a_write_that_waits_alone_stands_still_since_it_was_called() -> None:
    driven = Driven()
    driven.advance(50)
    driven.write(bytes(100), window=0)
    assert (held(driven.connection), since(driven.connection)) == (100, driven.now)


def test_a_byte_that_moves_is_no_standstill() -> None:
    driven = Driven()
    driven.write(bytes(100_000))
    driven.advance(4)
    driven.push(20_000)
    assert since(driven.connection) == driven.now
    driven.advance(4)
    assert since(driven.connection) == driven.now - 4


def test_a_large_piece_counts_whole_until_it_has_gone() -> None:
    """It stays in memory for its last byte; what is committed of it is copied, so that it can go."""
    driven = Driven()
    driven.write(bytes(300_000))
    driven.push(200_000)
    assert 0 < driven.exchange.buffered < 100_000
    assert held(driven.connection) >= 300_000
    while driven.exchange.buffered:
        driven.push(10_000)
    assert 0 < held(driven.connection) < 70_000


def test_a_request_that_comes_in_is_held() -> None:
    driven = Driven(POST[:30])
    assert held(driven.connection) == 30
    driven.receive(POST[30:])
    assert held(driven.connection) == 0
    driven.advance(1)
    driven.receive(bytes(600))
    driven.advance(1)
    assert (held(driven.connection), since(driven.connection)) == (600, driven.now - 1)
    driven.receive(bytes(400))
    # The handler has it, and takes as long as it likes: the client can't do anything about that.
    assert (held(driven.connection), since(driven.connection)) == (1000, inf)
    driven.exchange.finish(driven.now)
    driven.push()
    assert held(driven.connection) == 0


@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize("kind", KINDS)
def test_a_body_that_is_not_read_is_held(kind: str) -> None:
    upload = Upload(kind).begin(1000)
    upload.send(bytes(600))
    driven, began = upload.driven, upload.driven.now
    assert held(driven.connection) == 600
    driven.advance(2)
    assert since(driven.connection) == began
    upload.read()
    assert held(driven.connection) == 0


def test_streams_are_held_each_for_itself() -> None:
    driven = Driven2(100, reads=False)
    first, _ = driven.begin()
    driven.advance(1)
    second, _ = driven.begin()
    first.write(bytes(1100), driven.now)
    second.write(bytes(2100), driven.now)
    driven.advance(1)
    driven.turn()
    sizes = sorted(holding.size for holding in driven.connection.holdings())
    assert sizes == [1100, 2100], "pieces count whole"


@pytest.mark.usefixtures("fast")
def test_a_frame_that_is_not_whole_is_held() -> None:
    driven = Driven2()
    assert held(driven.connection) == 0
    driven.receive(PART)
    assert held(driven.connection) == len(PART)


@pytest.mark.usefixtures("fast")
def test_answers_that_a_client_does_not_read_are_held() -> None:
    driven = Driven2()
    driven.receive(b"\0\0\x08\x06\0\0\0\0\0" + bytes(8))
    assert held(driven.connection) == 17


# What becomes of it -----------------------------------------------------------------------------------


def test_an_exchange_that_is_given_up_is_reset_and_tells_why() -> None:
    driven = Driven()
    waiting = driven.write(bytes(5000), window=5000), driven.write(bytes(5000), window=5000)
    driven.push(100)
    give_up(driven)
    assert all(call.settled for call in waiting)
    assert driven.outcomes == ["reset"]
    assert driven.connection.close_expected() is Closing.RESET
    assert held(driven.connection) == 0
    (ended,) = [event for event in driven.events if isinstance(event, ExchangeEnded)]
    assert ended.end == "limit(memory_budget)"


def test_on_http2_others_go_on() -> None:
    driven = Driven2(100)
    first, left = driven.begin()
    second, right = driven.begin()
    first.write(bytes(1000), driven.now)
    (holding,) = driven.connection.holdings()
    holding.give_up(driven.now, FULL)
    driven.turn()
    assert left.reset == 0xB
    second.answer(200, None, b"well", driven.now)
    driven.turn()
    assert (bytes(right.body), right.complete) == (b"well", True)


@pytest.mark.parametrize("sent", [POST[:30], POST + bytes(500)], ids=["head", "body"])
def test_a_request_that_is_given_up_gets_503(sent: bytes) -> None:
    driven = Driven(sent)
    give_up(driven)
    assert held(driven.connection) < 300, "no more than the answer"
    driven.push()
    (response,) = driven.responses(closed=True)
    assert response.status == 503
    assert response.headers["retry-after"] == "1"
    assert driven.connection.half_close_expected()
    (refused,) = [event for event in driven.events if isinstance(event, RequestRefused)]
    assert refused.end == "limit(memory_budget)"


def test_so_does_one_on_http2_and_others_go_on() -> None:
    driven = Driven2()
    stream, received = driven.request(method="POST", body=None)
    driven.client.h2.send_data(stream, bytes(500))
    driven.turn()
    give_up(driven)
    driven.turn()
    assert (received.status, received.headers["retry-after"]) == (503, "1")
    assert driven.refused == [503]
    driven.begin()


@pytest.mark.usefixtures("fast")
def test_a_connection_without_an_exchange_is_dropped() -> None:
    driven = Driven2()
    driven.receive(PART)
    give_up(driven)
    assert driven.connection.close_expected() is Closing.RESET
    (dropped,) = [event for event in driven.events if isinstance(event, ConnectionDropped)]
    assert dropped.end == "limit(memory_budget)"
    assert held(driven.connection) == 0


def test_a_connection_that_lingers_is_dropped() -> None:
    driven = Driven(GET.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"))
    driven.exchange.answer(200, None, bytes(1000), driven.now)
    driven.push(500)
    give_up(driven)
    assert driven.connection.close_expected() is Closing.RESET


# Whether an exchange may begin ------------------------------------------------------------------------


class Door:
    """An admission that the test opens and closes."""

    def __init__(self) -> None:
        self.admission = Admission()
        self.admission.full = self.full
        self.why: Cause | None = None
        self.asked: list[bool] = []

    def full(self, has_body: bool) -> Cause | None:
        self.asked.append(has_body)
        return self.why


def test_no_exchange_begins_while_there_is_a_limit_reached() -> None:
    door = Door()
    driven = Driven(GET, host=Host(admission=door.admission))
    assert door.admission.under_way == 1
    driven.exchange.answer(200, None, b"", driven.now)
    driven.push()
    assert door.admission.under_way == 0
    door.why = FULL
    driven.receive(GET)
    driven.push()
    assert [response.status for response in driven.responses(closed=True)] == [200, 503]
    assert len(driven.exchanges) == 1
    assert door.asked == [False, False]
    assert door.admission.under_way == 0


@pytest.mark.usefixtures("fast")
def test_a_body_is_refused_before_it_comes_in() -> None:
    door = Door()
    door.why = FULL
    driven = Driven(b"", host=Host(admission=door.admission))
    driven.receive(POST)
    driven.push()
    assert driven.responses(closed=True)[0].status == 503


@pytest.mark.usefixtures("fast")
def test_who_has_sent_it_all_is_asked_for_again() -> None:
    door = Door()
    driven = Driven(b"", host=Host(admission=door.admission))
    driven.receive(POST)
    driven.receive(bytes(1000))
    assert door.asked == [False, True]
    assert len(driven.exchanges) == 1


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_on_http2_one_stream_is_refused_and_others_begin(method: str) -> None:
    door = Door()
    driven = Driven2(host=Host(admission=door.admission))
    door.why = FULL
    _, refused = driven.request(method=method, body=b"" if method == "GET" else None)
    assert (refused.status, refused.headers["retry-after"]) == (503, "1")
    door.why = None
    driven.begin()
    assert door.admission.under_way == 1
    driven.lost()
    assert door.admission.under_way == 0


@pytest.mark.parametrize("end", ["answer", "reset", "cancel", "lost", "abort"])
@pytest.mark.parametrize("kind", ["http/1.1", "http/2"])
def test_those_that_run_are_counted_whatever_their_end(kind: str, end: str) -> None:
    admission = Admission()
    host = Host(admission=admission)
    driven = Driven(GET, host=host) if kind == "http/1.1" else Driven2(host=host)
    if isinstance(driven, Driven2):
        driven.begin()
    assert admission.under_way == 1
    if end == "answer":
        driven.exchange.answer(200, None, b"x", driven.now)
        driven.push()
    elif end == "lost":
        driven.lost()
    elif end == "abort":
        driven.connection.abort(driven.now)
    else:
        getattr(driven.exchange, end)(driven.now)
    assert admission.under_way == 0


@pytest.mark.parametrize("kind", ["http/1.1", "http/2"])
def test_send_windows_can_be_narrowed_for_all(kind: str) -> None:
    admission = Admission()
    host = Host(admission=admission)
    driven = Driven(GET, host=host) if kind == "http/1.1" else Driven2(host=host)
    if isinstance(driven, Driven2):
        driven.begin()
    admission.window = 1000
    first, second = driven.write(bytes(600)), driven.write(bytes(600))
    assert (first.settled, second.settled) == (True, False)
    driven.push()
    assert second.settled
    driven.push()
    # A record is accepted whole, or not at all, by the window that the handler knows.
    long = driven.write(bytes(5000))
    assert (long.settled, driven.exchange.current) == (True, 6200)
    waiting = driven.write(b"x", window=100)
    assert not waiting.settled
    admission.widen()
    driven.push()
    assert [driven.write(bytes(600)).settled for _ in range(3)] == [True] * 3


# Who a proxy names ------------------------------------------------------------------------------------


@pytest.mark.parametrize("refused", [False, True])
def test_the_client_that_a_proxy_names_is_greeted(refused: bool) -> None:
    greeted: list[Address] = []

    def greet(peer: Address) -> Cause | None:
        greeted.append(peer)
        return FULL if refused else None

    connection = Connection(Settings(), 0.0, host=Host(greet=greet), proxy_protocol=True)
    connection.receive_data(b"PROXY TCP4 192.0.2.7 192.0.2.1 5000 80\r\n" + GET, 0.0)
    assert [peer.host for peer in greeted] == ["192.0.2.7"]
    event = connection.next_event()
    if refused:
        assert isinstance(event, ConnectionDropped)
        assert connection.close_expected() is Closing.RESET
    else:
        assert isinstance(event, RequestReceived)


def test_of_what_was_accepted_at_several_times_the_oldest_counts() -> None:
    driven = Driven()
    driven.push()
    driven.write(bytes(10))
    driven.push()
    began = driven.now
    for _ in range(3):
        driven.advance(1)
        driven.write(bytes(10))
    assert (held(driven.connection), since(driven.connection)) == (30, began + 1)


def test_a_connection_that_only_has_an_answer_of_ours_to_send_is_told_as_dropped(
    caplog: pytest.LogCaptureFixture,
) -> None:
    loop = Loopback(lambda req: None)
    client = loop.connect(room=0)
    client.send(b"GET / HTTP/1.1\r\n\r\n")
    [holding] = client.connection.holdings()
    with caplog.at_level(logging.INFO, "httpng"):
        holding.give_up(loop.clock.now, FULL)
        loop.settle()
    assert client.connection.close_expected() is Closing.RESET
    assert caplog.messages == ["dropped a connection of 192.0.2.1: too much"]
    assert loop.runner.ends["limit(memory_budget)"] == 1


def test_what_came_behind_a_request_that_was_cut_short_is_given_up_with_its_connection() -> None:
    driven = Driven(GET_10 + b"GET /", tells_acknowledged=True)
    driven.write(b"x" * 10)
    driven.push()
    driven.exchange.fail(driven.now)
    assert driven.outcomes == ["cut short"]
    assert held(driven.connection) >= len(b"GET /")
    assert driven.connection.close_expected() is Closing.NOT_YET, "not acknowledged yet"
    give_up(driven)
    assert driven.connection.close_expected() is Closing.RESET
