"""What an exchange becomes whose client and handler send each other raw bytes: a tunnel."""

from httpng_core.sending.ends import Cause


class Tunnel:
    """The handler's end of a tunnel. This one drops what comes; the protocols that are spoken there derive.

    Attributes:
        touched: when bytes have come or were taken last.
    """

    __slots__ = ("touched",)

    def __init__(self, now: float) -> None:
        self.touched = now

    @property
    def held(self) -> int:
        """How many bytes have come and were not taken."""
        return 0

    @property
    def wants_read(self) -> bool:
        """Whether received bytes have a place to go."""
        return True

    def begin_confirming(self) -> None:
        """Ask the client from now on how far it has come, if there is a way to."""

    def receive(self, data: bytes, now: float) -> None:
        """Take what the client sent."""

    def receive_eof(self, now: float) -> None:
        """Note that the client sends no more."""

    def finish(self, now: float) -> None:
        """Note that the handler is done."""

    def fail(self, now: float, cause: Cause) -> None:
        """Note that the handler raised."""

    def drain(self, now: float) -> None:
        """Note that the server stops."""

    def over(self, now: float) -> None:
        """Note that the exchange is over."""
