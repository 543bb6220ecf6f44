"""What frames an exchange: a connection of HTTP/1.1, or a stream of HTTP/2."""

from typing import TYPE_CHECKING, ClassVar, Final

from httpng_core.compiled import mypyc_attr
from httpng_core.http.response import ResponseHead
from httpng_core.sending.ends import Cause
from httpng_core.sending.holders import Holder
from httpng_core.sending.host import NO_HOST, DirectSend, Host

if TYPE_CHECKING:
    from httpng_core.sending.outgoing import Outgoing


@mypyc_attr(allow_interpreted_subclasses=True)
class Transport:
    """What an exchange tells and asks what frames it. This one frames nothing; the protocols derive from it.

    Attributes:
        host: the driver's hooks.
        shares: whether what the kernel has may be of other exchanges.
        has_chunks: whether a broadcast sends chunks of HTTP/1.1; else payloads, each framed for its client.
    """

    __slots__ = ("host",)

    shares: ClassVar[bool] = True
    has_chunks: ClassVar[bool] = False

    def __init__(self) -> None:
        self.host: Host = NO_HOST

    def wake(self) -> None:
        """Note that there may be something new to frame, and tell the driver."""
        self.host.wake()

    def exchange_ended(self, exchange: "Outgoing", now: float) -> None:
        """Note that the handler is done: the flush begins."""

    def exchange_over(self, exchange: "Outgoing", now: float) -> None:
        """Note that the exchange reached a final state."""

    def send_whole(
        self, exchange: "Outgoing", head: ResponseHead, data: bytes, now: float, send: DirectSend
    ) -> int:
        """Give a whole response to the kernel; return how many wire bytes that has left, -1: it wasn't asked.

        If none is left, the exchange is over. Else it takes the response, and calls `was_cut`.
        """
        return -1

    def send_piece(self, data: bytes, now: float, send: DirectSend) -> int:
        """Do that with a piece of a response that goes on."""
        return -1

    def was_cut(self, left: int, now: float) -> None:
        """Go on with what `send_whole` or `send_piece` has left, which was accepted meanwhile."""

    def send_interim(self, head: ResponseHead, now: float) -> None:
        """Send an informational response ahead of the response, unless the client doesn't read."""

    def track_acknowledged(self, exchange: "Outgoing") -> bool:
        """Have acknowledgements told to `exchange` from now on; return whether they can be."""
        return False

    def has_company(self) -> bool:
        """Return whether other exchanges of the connection are under way: they may go out together."""
        return False

    def closed_window(self) -> Holder | None:
        """Return which window of the client's keeps the exchange from being framed, if one does."""
        return None

    def body_awaited(self, now: float) -> None:
        """Note that a read of the request's body waits, and nothing of that is held."""

    def body_consumed(self, size: int, now: float) -> None:
        """Note that `size` bytes more of the body are out of the way."""

    def body_failed(self, now: float) -> None:
        """Note that the rest of the body is of no use."""

    def tunnel_opened(self, exchange: "Outgoing", now: float) -> None:
        """Note that from now on its tunnel gets what comes, with what has come behind the request."""

    def tunnel_resumed(self, exchange: "Outgoing", now: float) -> None:
        """Note that its tunnel may want to read again."""

    def broadcast_by(self) -> DirectSend | None:
        """Return what a broadcast may send by from now on; `None`: something stands before what it sends.

        It returns how much of it the kernel took. What was made for this client alone, and is cut, can't be
        taken back: of that it returns `~taken`, which is negative.
        """
        return None

    def broadcast_sent(self, size: int) -> None:
        """Count `size` wire bytes that a broadcast has sent."""

    def fell_short(self, taken: int, now: float) -> None:
        """Frame the payload of which a broadcast has sent a part: `taken` as `broadcast_by` returned it."""

    def lose(self, now: float, cause: Cause) -> None:
        """Give up whatever else would come behind such a part: what it is framed by can't go on."""


NO_TRANSPORT: Final = Transport()
"""That of an exchange which is over."""
