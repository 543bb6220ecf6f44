"""What the kernel's counts and ours say at the same moment, compared with what the client decodes."""

from typing import Protocol

from tests.driver.harness import Client, bytes_acked, kernel_accepted, send_queue
from tests.driver.http1_client import Decoder
from tests.properties.frames import FrameWalker

from httpng_driver import IO
from httpng_driver.loop import Pump

KERNEL_BOUND = 256 * 1024


class Body(Protocol):
    """Counts the body bytes in plaintext that is fed to it, to the last one of a frame that isn't whole."""

    @property
    def size(self) -> int:
        """Of the newest response."""

    def feed(self, data: bytes) -> None:
        """Takes plaintext."""


class Body1:
    """Of HTTP/1.1, by h11."""

    def __init__(self) -> None:
        self._decoder = Decoder()

    @property
    def size(self) -> int:
        return len(self._decoder.response.body)

    def feed(self, data: bytes) -> None:
        self._decoder.feed(data)


class Body2(FrameWalker):
    """Of HTTP/2, by frame heads alone."""

    @property
    def size(self) -> int:
        return len(self.bodies[max(self.bodies)]) if self.bodies else 0


class Counts:
    """Notes at any moment; balances once the client has read what the kernel had accepted by then.

    Attributes:
        notes: what was told: by the kernel, how many wire bytes it had accepted and the client had
            acknowledged; by us, how many body bytes were sent and acknowledged.
    """

    def __init__(self, pump: Pump, io: IO) -> None:
        self.notes: set[tuple[int, int, int, int]] = set()
        self._pump = pump
        self._io = io

    def note(self) -> None:
        """Nothing of the server runs in between, as it is in this thread."""
        sock, stats = self._pump.socket, self._io.get_send_stats()
        accepted = kernel_accepted(sock)
        assert accepted == self._pump.taken
        assert send_queue(sock) <= KERNEL_BOUND
        assert (stats.acked or 0) <= stats.sent <= stats.current
        self.notes.add((accepted, bytes_acked(sock), stats.sent, stats.acked or 0))

    @property
    def positions(self) -> int:
        """At how many different positions it was told what is sent."""
        return len({sent for _, _, sent, _ in self.notes})

    def balance(self, client: Client, sent: Body, acked: Body) -> None:
        """`sent` is what the kernel's bytes carry, `acked` no more than the acknowledged ones.

        Args:
            client: has read it all.
            sent, acked: as fresh as they are made.
        """
        done = 0
        for accepted, _, told, _ in sorted(self.notes):
            sent.feed(client.carried(accepted)[done:])
            done = len(client.carried(accepted))
            assert told == sent.size
        done = 0
        for _, acknowledged, _, told in sorted(self.notes, key=lambda note: note[1::2]):
            acked.feed(client.carried(acknowledged)[done:])
            done = len(client.carried(acknowledged))
            assert told <= acked.size
