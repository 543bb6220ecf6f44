"""The ledger: which wire offset pays for what, as the kernel takes bytes and the client acknowledges them."""

from typing import cast

import pytest

from httpng_core import COMPILED
from httpng_core.sending import Outgoing
from httpng_core.wire import Ledger, Span

pytestmark = pytest.mark.skipif(COMPILED, reason="a compiled ledger pays nobody but exchanges")
HEAD, END = "head", "end"


class Recipient:
    """Notes what it is paid and what is acknowledged: "head", "end", or how many body bytes."""

    def __init__(self, sent: int = 0) -> None:
        self.sent = sent
        self.got: list[tuple[str | int, float]] = []
        self.acked: list[str | int] = []

    def paid(self, *, head: bool, size: int, end: bool, now: float) -> None:
        # One answer may pay for several spans of an exchange.
        self.got += [(HEAD, now)] * head + [(size, now)] * (size > 0) + [(END, now)] * end

    def acknowledged(self, *, head: bool, size: int, now: float) -> None:
        self.acked += [HEAD] * head + [size] * (size > 0)


def recipient(sent: int = 0) -> tuple[Recipient, Outgoing]:
    """The same twice, once as what the ledger takes it for."""
    made = Recipient(sent)
    return made, cast(Outgoing, made)


def test_each_span_pays_its_own_way() -> None:
    ledger, (noted, exchange) = Ledger(), recipient()
    ledger.push_span(5, Span.HEAD, exchange)
    ledger.push(3)
    ledger.push_span(4, Span.BODY, exchange)
    ledger.push(2)
    ledger.push_span(0, Span.END, exchange)
    for now in range(1, 15):
        ledger.accept(1, float(now))
    assert noted.got == [(HEAD, 5.0), (1, 9.0), (1, 10.0), (1, 11.0), (1, 12.0), (END, 14.0)]
    assert (ledger.pushed, ledger.accepted) == (14, 14)


def test_one_answer_of_the_kernel_pays_for_all_that_it_carries_in_order() -> None:
    ledger, (one, first), (two, second) = Ledger(), recipient(), recipient()
    ledger.push_span(5, Span.BODY, first)
    ledger.push_span(0, Span.END, first)
    ledger.push_span(6, Span.HEAD, second)
    ledger.push_span(5, Span.BODY, second)
    ledger.accept(13, 1.0)
    assert one.got == [(5, 1.0), (END, 1.0)]
    assert two.got == [(HEAD, 1.0), (2, 1.0)]


def test_an_end_without_bytes_is_paid_at_once_where_all_before_it_is() -> None:
    ledger, (noted, exchange) = Ledger(), recipient()
    ledger.push_span(0, Span.END, exchange)
    ledger.accept(0, 1.0)
    assert noted.got == [(END, 1.0)]


def test_the_kernel_takes_nothing_that_was_not_pushed() -> None:
    ledger = Ledger()
    ledger.push(3)
    with pytest.raises(ValueError, match="1 more bytes accepted than were offered"):
        ledger.accept(4, 0.0)


def test_what_was_taken_at_once_passes_by() -> None:
    ledger, (noted, exchange) = Ledger(), recipient()
    ledger.pass_by(100)
    ledger.push_span(2, Span.BODY, exchange)
    ledger.accept(2, 1.0)
    assert (ledger.pushed, ledger.accepted, noted.got) == (102, 102, [(2, 1.0)])


def test_acknowledged_wire_offsets_become_body_bytes() -> None:
    ledger, (noted, exchange) = Ledger(), recipient()
    ledger.track(exchange)
    ledger.push_span(10, Span.HEAD, exchange)
    ledger.push(3)
    ledger.push_span(20, Span.BODY, exchange)
    ledger.push(2)
    ledger.accept(35, 0.0)
    news = [ledger.acknowledge(total, 0.0) for total in (5, 10, 13, 14, 14, 12, 30, 99)]
    assert news == [True, True, True, True, False, False, True, True]
    # Once for what was before tracking began (nothing), once for the head itself.
    assert noted.acked == [HEAD, HEAD, 1, 16, 3]
    assert ledger.acknowledged == 35


def test_more_than_was_accepted_is_not_acknowledged() -> None:
    ledger, (noted, exchange) = Ledger(), recipient()
    ledger.track(exchange)
    ledger.push_span(20, Span.BODY, exchange)
    ledger.accept(8, 0.0)
    ledger.acknowledge(21, 0.0)
    assert noted.acked == [HEAD, 8]
    ledger.accept(12, 0.0)
    ledger.acknowledge(20, 0.0)
    assert noted.acked == [HEAD, 8, 12]


def test_what_was_sent_before_tracking_counts_once_all_of_it_is_acknowledged() -> None:
    ledger, (noted, exchange) = Ledger(), recipient(sent=30)
    ledger.pass_by(50)
    ledger.track(exchange)
    ledger.acknowledge(49, 0.0)
    assert noted.acked == []
    ledger.acknowledge(50, 0.0)
    assert noted.acked == [HEAD, 30]


def test_acknowledgements_may_be_asked_for_by_several() -> None:
    ledger, (one, first), (two, second) = Ledger(), recipient(), recipient()
    ledger.push_span(4, Span.BODY, first)
    ledger.track(first)
    ledger.track(second)
    ledger.push_span(3, Span.BODY, second)
    ledger.accept(7, 1.0)
    ledger.acknowledge(6, 2.0)
    assert (one.got, one.acked) == ([(4, 1.0)], [HEAD, 4])
    assert (two.got, two.acked) == ([(3, 1.0)], [HEAD, 2])


def test_what_is_forgotten_is_told_to_nobody() -> None:
    ledger, (noted, exchange) = Ledger(), recipient()
    ledger.track(exchange)
    ledger.push_span(4, Span.BODY, exchange)
    ledger.accept(4, 1.0)
    assert ledger.tracks
    ledger.forget()
    assert not ledger.tracks
    ledger.acknowledge(4, 2.0)
    assert noted.acked == []
