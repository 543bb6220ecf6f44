"""How many Python calls of the core a payload costs for each follower in step, over each wire.

What a pass costs whatever their number is left out: counted is what one follower more costs.
"""

import pytest
from tests.budget.test_calls import calls_in_core
from tests.certificates import make_pair, trusting
from tests.core.driving import run_broadcasts
from tests.core.feeds.wires import Wired

from httpng_core import Broadcast, Certificates, Feed, Settings, TlsFiles
from httpng_core.testing import Clock

# Over TLS: what asks, what counts, the record, and what notes it.
CALLS = {"http/1.1": 0, "tls": 4, "http/2": 2, "http/2+tls": 4}
FEW, MANY = 5, 15
PAYLOAD = "x" * 50


@pytest.mark.parametrize("wire", CALLS)
def test_a_payload_to_one_more_follower_in_step(wire: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    pair = make_pair(tmp_path_factory.mktemp("certificates"))
    certificates, context = Certificates(TlsFiles((pair,)), Settings()), trusting(pair)

    def calls(followers: int) -> int:
        clock, broadcasts = Clock(), list[Broadcast]()
        feed = Feed(clock=clock)
        clients = [Wired(wire, clock, broadcasts.append, certificates, context) for _ in range(followers)]
        for client in clients:
            client.exchange.follow(feed.follower(), clock())
            client.serve()
            # What the client decodes is no cost of the server's.
            client.http2 = None
        feed.publish(PAYLOAD)
        run_broadcasts(broadcasts, followers, clock())
        feed.publish(PAYLOAD)
        made = calls_in_core(lambda: run_broadcasts(broadcasts, followers, clock()))
        assert all(client.stats().sent == 2 * len(PAYLOAD) for client in clients)
        return made

    assert (calls(MANY) - calls(FEW)) / (MANY - FEW) <= CALLS[wire]
