"""A connection inside TLS: the handshake, how it ends, and what a Loopback makes of it."""

import ssl
from collections.abc import Callable, Generator
from math import inf
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.certificates import make_pair, trusting
from tests.core.conftest import Make
from tests.core.driving import Driven
from tests.core.sealed import GET, PEER, Sealed

from httpng_core import (
    CertificateFiles,
    Certificates,
    GeneratorIO,
    Pending,
    Request,
    RequestRefused,
    Settings,
    TlsFiles,
)
from httpng_core.testing import Client, Loopback, TlsEnd, decode
from httpng_core.tls import RECORD, SealedOutbound, TlsError, offered_protocols

# The handshake ----------------------------------------------------------------------------------------


def test_a_request_after_the_handshake_says_https(busy: Make) -> None:
    sealed = busy()
    assert sealed.exchange.request.https
    assert sealed.exchange.request.peer == PEER


def test_a_handshake_byte_by_byte(make: Make) -> None:
    sealed = make()
    sealed.client.shake()
    for byte in sealed.client.take():
        sealed.receive(bytes([byte]))
    sealed.shake().send()
    assert not sealed.exchange.is_over


def test_the_request_may_come_with_the_end_of_the_handshake(make: Make) -> None:
    sealed = make()
    sealed.client.shake()
    sealed.receive(sealed.client.take())
    sealed.push()
    assert sealed.client.shake()
    sealed.client.seal(GET)
    sealed.receive(sealed.client.take())
    assert sealed.exchange.request.method == "GET"


def test_a_handshake_has_its_time(make: Make) -> None:
    sealed = make(handshake_timeout=3)
    sealed.client.shake()
    sealed.receive(sealed.client.take())
    assert sealed.connection.next_deadline() == sealed.now + 3
    sealed.advance(2.9)
    assert sealed.ended == ""
    sealed.advance(0.1)
    assert (sealed.ended, sealed.failures) == ("close", ["the handshake took too long"])
    assert sealed.connection.next_deadline() is None


def test_the_request_has_its_own_time_after_it(make: Make) -> None:
    sealed = make(handshake_timeout=3, header_timeout=5)
    sealed.advance(2)
    sealed.shake()
    sealed.advance(4.9)
    assert sealed.ended == ""
    sealed.advance(0.1)
    assert sealed.ended == ""
    sealed.push()
    assert (sealed.ended, sealed.said_all) == ("close", True)


def test_a_client_that_leaves_during_the_handshake_is_told_of(make: Make) -> None:
    sealed = make()
    sealed.client.shake()
    sealed.receive(sealed.client.take())
    sealed.eof()
    sealed.eof()
    assert (sealed.ended, sealed.failures) == ("close", ["the client closed during the handshake"])


def test_one_that_only_looks_whether_the_port_is_open_is_not(make: Make) -> None:
    sealed = make()
    sealed.eof()
    assert (sealed.ended, sealed.failures) == ("close", [])


def test_a_failed_handshake_sends_its_alert_and_waits_for_the_fin(make: Make) -> None:
    sealed = make()
    sealed.receive(b"\x16\x03\x01\x00\x05hello")
    assert sealed.failures == ["unexpected message"]
    assert (sealed.ended, sealed.connection.wants_write) == ("", True)
    alert = sealed.offer()
    sealed.connection.bytes_accepted(3, sealed.now)
    assert sealed.ended == ""
    sealed.connection.bytes_accepted(len(alert) - 3, sealed.now)
    assert (sealed.ended, sealed.connection.wants_read, sealed.connection.wants_write) == (
        "half-close",
        True,
        False,
    )
    sealed.receive(b"more of it")
    sealed.eof()
    assert sealed.ended == "close"


NO_APPLICATION_PROTOCOL = b"\x15\x03\x03\x00\x02\x02\x78"


def offering(pair: CertificateFiles, *names: str) -> bytes:
    """The first bytes of a client that speaks these protocols."""
    context = trusting(pair)
    context.set_alpn_protocols(list(names))
    end = TlsEnd(context, server_side=False, server_hostname="localhost")
    end.shake()
    return end.take()


@pytest.mark.parametrize("step", [1, 7, 100_000])
def test_a_client_that_speaks_none_of_the_protocols_gets_the_alert_for_that(
    make: Make, pair: CertificateFiles, step: int
) -> None:
    """RFC 7301, 3.2. However its first bytes are cut."""
    sealed = make()
    hello = offering(pair, "acme-tls/1", "x\nx")
    for start in range(0, len(hello), step):
        assert sealed.failures == []
        sealed.receive(hello[start : start + step])
    assert sealed.failures == ["the client speaks none of h2, http/1.1, http/1.0, but acme-tls/1, x\\nx"]
    assert sealed.offer() == NO_APPLICATION_PROTOCOL
    sealed.connection.bytes_accepted(len(NO_APPLICATION_PROTOCOL), sealed.now)
    assert sealed.ended == "half-close"


@pytest.mark.parametrize("names", [("h2",), ("http/1.0",), ("no such", "http/1.1")])
def test_one_protocol_of_several_is_enough(
    make: Make, pair: CertificateFiles, names: tuple[str, ...]
) -> None:
    sealed = make()
    sealed.receive(offering(pair, *names))
    assert sealed.failures == []
    assert sealed.offer()[:1] == b"\x16"


@given(st.data())
def test_a_client_hello_may_be_anything(data: st.DataObject) -> None:
    """It never raises, and no more of it never makes it whole again."""
    body = data.draw(st.binary(max_size=200))
    length = data.draw(st.sampled_from([len(body), len(body) + 5, 0]))
    message = b"\x01" + length.to_bytes(3, "big") + body
    record = b"\x16\x03\x01" + len(message).to_bytes(2, "big") + message
    known = False
    for end in range(len(record) + 1):
        known = known or offered_protocols(record[:end]) is not None
    assert known == (length <= len(body))


def test_a_fin_before_the_alert_is_out(make: Make) -> None:
    sealed = make()
    sealed.receive(b"\x16\x03\x01\x00\x05hello")
    sealed.eof()
    assert sealed.ended == ""
    sealed.connection.bytes_accepted(len(sealed.offer()), sealed.now)
    assert sealed.ended == "close"


def test_an_alert_that_nobody_reads_is_given_up(make: Make) -> None:
    sealed = make()
    sealed.receive(b"\x16\x03\x01\x00\x05hello")
    sealed.advance(4.9)
    assert sealed.ended == ""
    sealed.advance(0.1)
    assert sealed.ended == "close"


@pytest.mark.parametrize("request_line", [b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", b"DELETE /x", b"P"])
def test_plain_http_is_told_that_this_is_an_https_port(make: Make, request_line: bytes) -> None:
    sealed = make()
    sealed.receive(request_line)
    assert sealed.failures == ["plain HTTP on an HTTPS port"]
    sealed.push()
    [response] = decode(bytes(sealed.plain), ("GET",), closed=False)
    assert response.status == 400
    assert response.body == b"this is an HTTPS port: the request came without TLS"
    assert sealed.ended == "half-close"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_session_is_resumed(
    certificates: Certificates, pair: CertificateFiles, version: ssl.TLSVersion
) -> None:
    context = trusting(pair)
    context.maximum_version = version
    loop = Loopback(lambda req: "hello", certificates=certificates)
    session, reused = None, []
    for _ in range(2):
        end = TlsEnd(context, server_side=False, server_hostname="localhost", session=session)
        client = loop.connect(tls=end)
        client.get()
        assert client.responses()[0].body == b"hello"
        session = end.session
        reused.append(end.session_reused)
    assert reused == [False, True]


# How it ends ------------------------------------------------------------------------------------------


def test_close_notify_follows_the_last_byte_and_comes_before_the_fin(make: Make) -> None:
    sealed = make().shake().send(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    sealed.write(b"all")
    sealed.exchange.finish(sealed.now)
    response = sealed.offer()
    sealed.accept(response)
    assert (sealed.outcomes, sealed.ended, sealed.said_all) == (["complete"], "", False)
    alert = sealed.offer()
    sealed.accept(alert[:5])
    assert sealed.ended == ""
    sealed.accept(alert[5:])
    assert (sealed.ended, sealed.said_all) == ("half-close", True)
    assert sealed.response.body == b"all"
    sealed.send(b"too late")
    sealed.eof()
    assert sealed.ended == "close"


def test_the_clients_close_notify_ends_the_lingering(make: Make) -> None:
    sealed = make().shake().send(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    sealed.exchange.finish(sealed.now)
    sealed.push()
    assert sealed.ended == "half-close"
    sealed.client.close()
    sealed.receive(sealed.client.take())
    assert sealed.ended == "close"


def test_lingering_has_its_time(make: Make) -> None:
    sealed = make().shake().send(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    sealed.exchange.finish(sealed.now)
    sealed.push()
    sealed.advance(5)
    assert sealed.ended == "close"


def test_a_close_notify_for_which_there_is_no_room_has_its_time(make: Make) -> None:
    sealed = make(keepalive_timeout=20).shake().send()
    sealed.exchange.finish(sealed.now)
    sealed.push()
    sealed.advance(20)
    assert (sealed.ended, sealed.connection.wants_write) == ("", True)
    assert sealed.connection.next_deadline() == sealed.now + 5
    sealed.advance(5)
    assert sealed.ended == "close"


def test_the_clients_close_notify_is_its_fin(busy: Make) -> None:
    """It came before the response has begun: the client gets its whole answer."""
    sealed = busy()
    sealed.client.close()
    sealed.receive(sealed.client.take())
    sealed.eof()
    assert not sealed.connection.wants_read
    sealed.write(b"x" * 50_000)
    sealed.exchange.finish(sealed.now)
    sealed.push()
    assert sealed.response.body == b"x" * 50_000
    assert sealed.response.complete
    assert (sealed.outcomes, sealed.said_all, sealed.ended) == (["complete"], True, "close")


def test_a_close_notify_during_a_streamed_response_cancels(busy: Make) -> None:
    sealed = busy()
    sealed.write(b"x")
    sealed.push()
    sealed.client.close()
    sealed.receive(sealed.client.take())
    assert (sealed.outcomes, sealed.ended) == (["cancelled"], "reset")


def test_a_fin_without_close_notify_is_a_fin(busy: Make) -> None:
    sealed = busy()
    sealed.eof()
    sealed.write(b"all of it")
    sealed.exchange.finish(sealed.now)
    sealed.push()
    assert sealed.response.body == b"all of it"
    assert (sealed.outcomes, sealed.said_all, sealed.ended) == (["complete"], True, "close")


@pytest.mark.parametrize("says_all", [True, False])
def test_half_a_request_is_refused_however_it_ended(make: Make, says_all: bool) -> None:
    sealed = make().shake().send(b"GET / HTTP/1.1\r\nhost")
    if says_all:
        sealed.client.close()
        sealed.receive(sealed.client.take())
    else:
        sealed.eof()
    assert [event.status for event in sealed.events if isinstance(event, RequestRefused)] == [400]
    sealed.push()
    assert (sealed.response.status, sealed.said_all) == (400, True)


def test_an_abort_is_a_reset_without_a_close_notify(busy: Make) -> None:
    sealed = busy()
    sealed.write(b"x" * 100_000)
    sealed.offer()
    sealed.connection.abort(sealed.now)
    sealed.connection.abort(sealed.now)
    assert (sealed.ended, sealed.outcomes, sealed.offer()) == ("reset", ["cancelled"], b"")


def test_an_abort_during_the_handshake_is_a_reset(make: Make) -> None:
    sealed = make()
    sealed.connection.abort(sealed.now)
    assert sealed.ended == "reset"


def test_a_broken_record_is_a_lost_connection(busy: Make) -> None:
    sealed = busy()
    pending = sealed.write(b"x" * 2_000_000, timeout=5)
    sealed.client.seal(b"more")
    broken = bytearray(sealed.client.take())
    broken[-1] ^= 1
    sealed.receive(bytes(broken))
    told = pending.result
    assert told is not None
    assert told.cancelled
    assert sealed.failures == ["decryption failed or bad record mac"]
    assert sealed.outcomes == ["cancelled"]
    alert = sealed.offer()
    assert alert
    sealed.connection.bytes_accepted(len(alert), sealed.now)
    assert sealed.ended == "half-close"
    sealed.eof()
    assert sealed.ended == "close"


def test_a_dead_socket(busy: Make, make: Make) -> None:
    sealed = busy()
    sealed.connection.connection_lost(sealed.now)
    assert (sealed.ended, sealed.outcomes) == ("close", ["cancelled"])
    early = make()
    early.connection.connection_lost(early.now)
    assert early.ended == "close"


def test_draining_gives_a_handshake_up_after_a_moment(make: Make) -> None:
    sealed = make()
    sealed.connection.drain(sealed.now)
    sealed.connection.drain(sealed.now)
    assert sealed.connection.next_deadline() == sealed.now + 0.25
    sealed.advance(0.25)
    assert sealed.ended == "close"
    assert not sealed.failures


def test_draining_without_patience_gives_a_handshake_up_at_once(make: Make) -> None:
    sealed = make()
    sealed.connection.drain(sealed.now, patient=False)
    assert sealed.ended == "close"


def test_draining_leaves_a_handshake_the_request_behind_it(make: Make) -> None:
    sealed = make()
    sealed.connection.drain(sealed.now)
    sealed.shake().send()
    sealed.write(b"the last")
    sealed.exchange.finish(sealed.now)
    sealed.push()
    assert (sealed.response.body, sealed.said_all, sealed.ended) == (
        b"the last",
        True,
        "half-close",
    )


def test_draining_an_idle_connection_says_so(make: Make) -> None:
    sealed = make().shake()
    sealed.connection.drain(sealed.now)
    sealed.advance(0.25)
    sealed.push()
    assert (sealed.said_all, sealed.ended) == (True, "close")


def test_draining_lets_the_exchange_end(busy: Make) -> None:
    sealed = busy()
    sealed.connection.drain(sealed.now)
    sealed.write(b"the last")
    sealed.exchange.finish(sealed.now)
    sealed.push()
    assert (sealed.response.body, sealed.said_all, sealed.ended) == (b"the last", True, "half-close")


# Driving ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("tickets", "reads"), [(2, True), (1000, False)])
def test_a_client_that_reads_nothing_is_not_read_either(
    pair: CertificateFiles, tickets: int, reads: bool
) -> None:
    """What a client makes TLS say (here tickets, of some 200 bytes each) must not pile up."""
    certificates = Certificates(TlsFiles((pair,)), Settings())
    certificates.context.num_tickets = tickets
    sealed = Sealed(certificates, pair)
    sealed.client.shake()
    sealed.receive(sealed.client.take())
    sealed.push()
    assert sealed.client.shake()
    sealed.receive(sealed.client.take())
    assert sealed.connection.wants_write
    assert sealed.connection.wants_read is reads
    sealed.push()
    assert sealed.connection.wants_read


def test_after_the_end_everything_does_nothing(busy: Make) -> None:
    sealed = busy()
    sealed.connection.connection_lost(sealed.now)
    sealed.receive(b"x")
    sealed.receive(b"")
    sealed.connection.bytes_accepted(5, sealed.now)
    sealed.eof()
    sealed.advance(100)
    assert (sealed.offer(), sealed.ended) == (b"", "close")
    assert not sealed.connection.wants_read
    assert not sealed.connection.wants_write


def test_the_driver_is_woken(busy: Make) -> None:
    sealed = busy()
    woken = sealed.wakes
    sealed.write(b"x")
    assert sealed.wakes > woken


def test_continue_and_a_body(make: Make) -> None:
    head = b"POST / HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 40000\r\n\r\n"
    sealed = make().shake().send(head)
    sealed.push()
    assert sealed.opened == b"HTTP/1.1 100 Continue\r\n\r\n"
    for _ in range(4):
        sealed.send(b"b" * 10_000)
    assert sealed.exchange.request.body == b"b" * 40_000


def test_there_is_more_behind_tickets_that_come_with_the_first_request(make: Make) -> None:
    sealed = make()
    sealed.client.shake()
    sealed.receive(sealed.client.take())
    sealed.push()
    assert sealed.client.shake()
    sealed.send(GET)
    # Its handler may run, and write, before the tickets are sent.
    sealed.write(b"x" * 1000)
    tickets = sealed.offer()
    assert sealed.exchange.committed == 0
    assert sealed.connection.bytes_accepted(len(tickets), sealed.now)


# Loopback ---------------------------------------------------------------------------------------------


@pytest.fixture
def connect(certificates: Certificates, pair: CertificateFiles) -> Callable[..., tuple[Loopback, Client]]:
    def connect(handler: object, room: float = inf, **cfg: Any) -> tuple[Loopback, Client]:
        loop = Loopback(handler, certificates=certificates, **cfg)
        end = TlsEnd(trusting(pair), server_side=False, server_hostname="localhost")
        return loop, loop.connect(room, tls=end)

    return connect


def test_a_loopback_speaks_tls(connect: Callable[..., tuple[Loopback, Client]]) -> None:
    _, client = connect(lambda req: f"{req.method} {req.https} {len(req.body)}")
    client.send(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 50000\r\n\r\n" + b"x" * 50_000)
    client.get()
    assert [response.body for response in client.responses()] == [b"POST True 50000", b"GET True 0"]
    assert client.arrived > len(client.received)
    client.say_all()
    assert (client.said_all, client.closed) == (True, True)


def test_a_loopback_whose_kernel_refuses(connect: Callable[..., tuple[Loopback, Client]]) -> None:
    results: list[Any] = []

    def handler(req: Request, io: GeneratorIO) -> Generator[Pending, Any, object]:
        results.append((yield io.write(b"x" * 100_000, timeout=1)))
        results.append(io.get_send_stats().sent)
        io.close()
        return None

    loop, client = connect(handler, room=30_000, default_send_window=0)
    client.get()
    loop.advance(1)
    assert not results[0].cancelled
    assert results[1] < results[0].body_bytes_sent <= results[1] + RECORD
    client.give_room()
    assert len(client.responses()[0].body) == results[0].body_bytes_sent


def test_a_loopback_without_certificates(pair: CertificateFiles) -> None:
    end = TlsEnd(trusting(pair), server_side=False, server_hostname="localhost")
    with pytest.raises(AssertionError, match="no certificates"):
        Loopback(lambda req: "").connect(tls=end)


def test_a_failure_is_a_line_in_the_log(
    connect: Callable[..., tuple[Loopback, Client]], caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    with caplog.at_level("INFO"):
        loop, _ = connect(lambda req: "")
        wary = TlsEnd(trusting(make_pair(tmp_path)), server_side=False, server_hostname="localhost")
        client = loop.connect(tls=wary)
        client.send(b"nobody hears this")
    assert client.failure == "certificate verify failed"
    assert [record.getMessage() for record in caplog.records] == [
        "TLS with 192.0.2.1 failed: tlsv1 alert unknown ca"
    ]
    assert caplog.records[0].exc_info is None


def test_what_was_agreed_on_is_told(make: Make) -> None:
    told = make().shake().connection.statistics().tls
    assert told is not None
    version, suite, certificate = told
    # TLS 1.3 has suites of its own (RFC 8446, B.4).
    assert (version, suite >> 8) == (0x0304, 0x13)
    assert certificate is not None
    assert certificate.startswith("-----BEGIN CERTIFICATE-----")


def test_in_plain_text_nothing_was_agreed_on() -> None:
    assert Driven(b"").connection.statistics().tls is None


def test_what_is_no_handshake_offers_nothing() -> None:
    assert offered_protocols(b"\x17\x03\x03\x00\x01x") == ()
    assert offered_protocols(b"\x16\x03\x01\x00\x02\x01\x00\x15\x03\x03\x00\x02\x01\x00") == ()


def test_plain_http_is_answered_once(make: Make) -> None:
    sealed = make()
    for _ in range(2):
        sealed.receive(GET)
    sealed.push()
    assert sealed.failures == ["plain HTTP on an HTTPS port"]


def test_a_client_hello_behind_the_end_is_answered_with_nothing(make: Make) -> None:
    sealed = make()
    sealed.receive(GET)
    context = ssl.create_default_context()
    context.set_alpn_protocols(["spdy/3"])
    client = TlsEnd(context, server_side=False, server_hostname="localhost")
    client.shake()
    sealed.receive(client.take())
    assert sealed.failures == ["plain HTTP on an HTTPS port"]
    sealed.push()
    assert not sealed.connection.wants_write


def test_a_drain_leaves_no_handshake_more_time_than_it_had(make: Make) -> None:
    sealed = make(handshake_timeout=3)
    sealed.advance(2.9)
    deadline = sealed.connection.next_deadline()
    sealed.connection.drain(sealed.now)
    assert sealed.connection.next_deadline() == deadline


def test_a_goodbye_counts_once(busy: Make) -> None:
    sealed = busy()
    sealed.client.close()
    goodbye = sealed.client.take()
    sealed.receive(goodbye)
    assert not sealed.exchange.is_over, "a FIN that came with the request is a client that reads on"
    sealed.receive(goodbye)
    sealed.exchange.answer(200, None, b"hello", sealed.now)
    sealed.push()
    assert sealed.response.body == b"hello"


def test_nothing_is_sealed_behind_a_failure(pair: CertificateFiles, certificates: Certificates) -> None:
    end = TlsEnd(certificates.context, server_side=True)
    client = TlsEnd(trusting(pair), server_side=False, server_hostname="localhost")
    while not client.shake():
        end.receive(client.take())
        end.shake()
        client.receive(end.take())
    end.receive(client.take())
    assert end.shake()
    end.receive(b"\x17\x03\x03\x00\x20" + bytes(32))
    with pytest.raises(TlsError):
        end.read()
    outbound = SealedOutbound(0.0, end)
    for seal in (end.seal, end.sealed):
        with pytest.raises(TlsError):
            seal(b"secret")
    assert outbound.send_now(b"secret", len) == 0
