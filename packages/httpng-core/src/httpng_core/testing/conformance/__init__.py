'''Tests for a driver of your own: does it keep the contract of `Connection`? They run under pytest.

Subclass `DriverConformance` in a test file, and give it a fixture `serve`:

    from httpng_core.testing.conformance import DriverConformance

    class TestMyDriver(DriverConformance):
        @pytest.fixture
        def serve(self):
            """Call it as `serve(handler, **settings)`: it serves, and returns the port on 127.0.0.1."""
            servers = []

            def start(handler, **settings):
                servers.append(MyServer(Application(handler, **settings)))
                return servers[-1].port

            yield start
            for server in servers:
                server.stop()

The server runs in a thread of its own, or in a process that was forked, as the tests block in theirs.
Handlers are plain functions and generator functions; more is tried of a driver that says that it has it.

This is the one part of core with sockets and a clock: it is a client.
'''

import pytest

# Before they are imported, so that their asserts tell what they compared.
_HOME = "httpng_core.testing.conformance"
pytest.register_assert_rewrite(
    *(
        f"{_HOME}.{name}"
        for name in ("client", "kernel", "sending", "ends", "deadlines", "receiving", "living")
    )
)

from httpng_core.testing.conformance.base import AWAITED  # noqa: E402 - see above
from httpng_core.testing.conformance.deadlines import DeadlineTests  # noqa: E402
from httpng_core.testing.conformance.driving import Form  # noqa: E402
from httpng_core.testing.conformance.ends import EndTests  # noqa: E402
from httpng_core.testing.conformance.living import DrainTests, FeedTests, MemoryTests  # noqa: E402
from httpng_core.testing.conformance.receiving import Http2Tests, ReceivingTests  # noqa: E402
from httpng_core.testing.conformance.sending import SendingTests  # noqa: E402

__all__ = ["AWAITED", "DriverConformance", "Form"]


class DriverConformance(
    SendingTests,
    EndTests,
    DeadlineTests,
    ReceivingTests,
    Http2Tests,
    FeedTests,
    MemoryTests,
    DrainTests,
):
    """The whole suite, for one driver; a subclass whose name begins with Test is run.

    It needs a fixture `serve`: `serve(handler, **settings)` serves on 127.0.0.1, and returns the port. A
    fixture `drain`, if the driver offers that, has every server of the test begin to drain, and returns.

    Attributes:
        forms: what handlers with calls may be: "generator", and "async" if coroutine functions are served.
        tells_acknowledged: whether the driver calls `bytes_acknowledged`.
        exempt: names of tests that the driver can't pass, and why; these are skipped.
    """
