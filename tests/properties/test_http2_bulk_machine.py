"""Any order of everything, as in `test_http2_machine`, of streams of bulk and a client that mostly keeps up.

What they have buffered is offered in vectors, of which the kernel may take any part.
"""

from __future__ import annotations

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule, run_state_machine_as_test
from tests.properties.test_http2_machine import Http2Machine

WINDOW = 1 << 20
ALL = 1 << 30
MOST = 700_000


class Http2BulkMachine(Http2Machine):
    """Besides, handlers write much, and the kernel takes much."""

    # An offer is committed as a whole if something else happens before the kernel has answered.
    most = 257 * 1024

    @initialize(streams=st.integers(1, 4))
    def start_with(self, streams: int) -> None:
        super().start(WINDOW, WINDOW)
        self.client.give(1 << 24)
        self.say(0)
        for _ in range(streams - 1):
            self.request("GET", b"", 0)
        for _ in range(3):
            self.write(0, 70_000, None, None)
            self.push(None, ALL)

    @initialize()
    def start(self) -> None:
        """Does nothing: how many streams there are is chosen first."""

    @precondition(lambda self: self.streams)
    @rule(
        size=st.sampled_from([70_000, 70_000, 16_384, 300]),
        count=st.integers(1, 4),
        amount=st.sampled_from([0, 1, 16_393, 50_000, 90_000, 150_000, ALL, ALL]),
        meanwhile=st.sampled_from(["", "", "", "client", "server"]),
    )
    def all_write(self, size: int, count: int, amount: int, meanwhile: str) -> None:
        """Each of at least three streams writes so often, then the kernel takes this `amount`."""
        for _ in range(3 - sum(stream.exchange.state <= 2 for stream in self.streams)):
            if len(self.methods) < 40:
                self.request("GET", b"", 0)
        for number, stream in list(enumerate(self.streams)) * count:
            # All of it fits into the windows that the client gives in the end.
            if sum(len(call.body) for call in stream.calls) < MOST:
                self.write(number, size, None, None)
        if self.connection.wants_write:
            self.push(None, amount, meanwhile)

    @precondition(lambda self: self.connection.wants_write)
    @rule(times=st.integers(1, 3))
    def keeps_up(self, times: int) -> None:
        """It has all that there is."""
        for _ in range(times):
            self.all_write(70_000, 1, ALL, "")


TestHttp2BulkMachine = Http2BulkMachine.TestCase
TestHttp2BulkMachine.settings = hypothesis_settings(
    max_examples=100, stateful_step_count=30, deadline=None, derandomize=True
)


@pytest.mark.soak
def test_much_more_of_it() -> None:
    much = hypothesis_settings(max_examples=2_000, stateful_step_count=60, deadline=None)
    run_state_machine_as_test(Http2BulkMachine, settings=much)
