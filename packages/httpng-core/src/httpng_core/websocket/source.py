"""What a WebSocket sends of a feed: each payload a message, each notice of a gap another."""

from httpng_core.feeds.lag import Watched
from httpng_core.sending.calls import BroadcastSent, FollowOwner
from httpng_core.sending.host import DirectSend, Host
from httpng_core.sending.messages import MessagePositions
from httpng_core.sending.outgoing import Outgoing
from httpng_core.websocket.frames import BINARY, TEXT, frame_head


class MessageSource:
    """A follower whose payloads go out as messages. See `Source`."""

    __slots__ = ("_exchange", "_follower", "_opcode", "_parts", "_positions")

    def __init__(
        self,
        follower: Watched,
        exchange: Outgoing,
        positions: MessagePositions,
        *,
        binary: bool,
    ) -> None:
        """Send binary messages, or text, of which each payload must be UTF-8."""
        self._follower = follower
        self._exchange = exchange
        self._positions = positions
        self._opcode = BINARY if binary else TEXT
        # Of what is offered: the lengths of heads and payloads.
        self._parts: list[tuple[int, int]] = []
        follower.framed = self._framed

    @property
    def ended(self) -> bool:
        """Whether nothing is pending and nothing will be."""
        return self._follower.ended

    @property
    def size(self) -> int:
        """The length of the payload that is pending first; 0: none is."""
        return self._follower.size

    def begin(self, owner: FollowOwner, host: Host) -> None:
        """Join the feed."""
        self._follower.begin(owner, host)

    def end(self) -> None:
        """Leave the feed."""
        self._follower.end()

    def offer(self) -> bytes:
        """Return the frames of what to send next.

        Raises:
            ValueError: a payload isn't UTF-8, so it can't be text.
        """
        self._parts, self._positions.offered = [], 0
        return self._follower.offer()

    def taken(self) -> None:
        """Note that the kernel took a part of what was offered last."""
        begin = self._exchange.current
        for head, size in self._parts:
            self._positions.add(begin, head, head + size, size)
            begin += head + size
        self._follower.taken()

    def finish(self) -> None:
        """Take in nothing more: it has ended once what is pending is sent."""
        self._follower.finish()

    def step_in(self, host: Host, send: DirectSend, *, chunks: bool) -> None:
        """Do nothing: a broadcast sends payloads, and these are messages."""

    def step_out(self) -> None:
        """Do nothing: it never steps in."""

    def take_counts(self) -> BroadcastSent:
        """Return that no broadcast has sent anything."""
        return 0, 0, 0.0

    def _framed(self, payload: bytes) -> bytes:
        if self._opcode == TEXT and not payload.isascii():
            try:
                payload.decode()
            except UnicodeDecodeError as error:
                raise ValueError(
                    f"a payload of the feed isn't UTF-8 ({error.reason}): follow with binary=True"
                ) from None
        head = frame_head(self._opcode, len(payload))
        self._parts.append((len(head), len(payload)))
        self._positions.offered += len(payload)
        return head + payload
