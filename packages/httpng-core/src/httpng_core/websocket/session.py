"""One WebSocket on an exchange: messages out by the rules of sends, messages in within limits, and the end.

It sits on a tunnel, an exchange whose body is raw bytes both ways, and is the `Tunnel` of that.
"""

from typing import Final

from httpng_core.config.types import Integer, Seconds, Until, WindowSize
from httpng_core.errors import HandshakeError
from httpng_core.feeds.lag import Watched
from httpng_core.http.response import HeaderSource
from httpng_core.sending.asking import SOON
from httpng_core.sending.calls import DONE, Pending
from httpng_core.sending.checks import checked_timeout
from httpng_core.sending.ends import Cause, EndKind, broke_protocol, over_limit
from httpng_core.sending.exchange import Exchange
from httpng_core.sending.messages import MessagePositions
from httpng_core.sending.results import Call, SendStats, encode_result
from httpng_core.sending.states import GIVEN_UP
from httpng_core.sending.tunnel import Tunnel
from httpng_core.sending.waits import HeadStage
from httpng_core.timers import Timer
from httpng_core.websocket import frames
from httpng_core.websocket.closing import TABLE, Action, Event, State
from httpng_core.websocket.deflate import WORTH, deflated
from httpng_core.websocket.handshake import Handshake
from httpng_core.websocket.heartbeat import Heartbeat
from httpng_core.websocket.inbox import Inbox
from httpng_core.websocket.receiving import Control, Failure, FrameReader
from httpng_core.websocket.source import MessageSource

CLOSE_LATE: Final = over_limit("ws_close_timeout", "the closing handshake took longer than its timeout")
FRAMES_PER_TURN: Final = 64
"""So many frames are read in one go, then others have their turn."""


class WebSocket(Tunnel):
    """A WebSocket that was accepted.

    Attributes:
        exchange: what it is on.
        subprotocol: what was agreed on, or `None`.
        close_code: why it was closed: the client's code, or ours where we failed it; 1005 if it gave none,
            1006 if it is gone without a CLOSE. `None` while it is open.
        close_reason: the text that goes with it.
        inbox: the messages that have come and were not taken.
        touched: when bytes have come or messages were taken last.
    """

    __slots__ = (
        "_beat",
        "_bits",
        "_closing",
        "_drops",
        "_eof",
        "_lags",
        "_late",
        "_positions",
        "_reader",
        "_state",
        "close_code",
        "close_reason",
        "exchange",
        "inbox",
        "subprotocol",
    )

    def __init__(
        self,
        exchange: Exchange,
        now: float,
        subprotocol: str | None = None,
        headers: HeaderSource | None = None,
    ) -> None:
        """Accept the WebSocket that the request of `exchange` asks for. On one that is over it is over.

        Raises:
            HandshakeError: the request asks for none, or not as the RFCs say; nothing was sent.
            ResponseStateError: a header block was given before.
            TypeError, ValueError: a subprotocol that isn't offered, or headers that can't be sent.
        """
        super().__init__(now)
        settings = exchange.settings
        handshake = Handshake(exchange.request)
        if settings.ws == "none":
            raise HandshakeError("this server accepts no WebSockets (ws is 'none')", 501)
        fields, deflate = handshake.answer(
            subprotocol, settings.ws_max_size, deflate=settings.ws_per_message_deflate
        )
        self.exchange = exchange
        self.subprotocol = subprotocol
        self.close_code: int | None = None
        self.close_reason = ""
        self.inbox = Inbox(settings.ws_max_queue, settings.ws_max_size)
        self._bits = 0 if deflate is None else deflate.server_max_window_bits
        self._reader = FrameReader(settings.ws_max_size, deflate)
        self._positions = MessagePositions(exchange)
        self._state = State.OPEN
        self._drops = self._eof = False
        # Whether there may be frames that were not read yet.
        self._lags = False
        self._closing: list[Pending] = []
        self._late: Timer | None = None
        self._beat = Heartbeat(exchange, lambda: self.wants_read, now)
        if exchange.is_over:
            self.over(now)
        else:
            exchange.open_tunnel(self, fields, headers, now)

    # Messages out -------------------------------------------------------------------------------------

    def send(
        self,
        message: object,
        now: float,
        timeout: Seconds | None = None,
        window: WindowSize | None = None,
        until: Until | None = None,
    ) -> Pending:
        """Send a message: text for a `str`, else binary; see `Exchange.write_message`.

        Raises:
            TypeError, ValueError: wrong arguments.
            AckedUnknownError: `until` is "acked", or `window` "auto", where the platform can't tell.
        """
        opcode, payload = _payload(message)
        if self._state is not State.OPEN:
            if timeout is not None:
                checked_timeout(timeout)
            return self._cancelled(Call.WRITE)
        short = deflated(payload, self._bits) if self._bits and len(payload) >= WORTH else None
        data = payload if short is None else short
        head = frames.frame_head(opcode, len(data), compressed=short is not None)
        exchange = self.exchange
        return exchange.write_message(
            head + data, len(head), len(payload), self._positions, now, timeout, window, until
        )

    def wait(
        self, position: Integer, now: float, timeout: Seconds | None = None, until: Until | None = None
    ) -> Pending:
        """Wait as `Exchange.wait` does, for a position in the bytes of messages."""
        return self.exchange.wait(position, now, timeout, until, self._positions)

    def follow(
        self,
        follower: Watched,
        now: float,
        timeout: Seconds | None = None,
        window: WindowSize | None = None,
        until: Until | None = None,
        *,
        binary: bool = False,
        until_draining: bool = False,
    ) -> Pending:
        """Send what a feed publishes, each payload as a message; see `Exchange.follow`."""
        if self._state is not State.OPEN:
            if timeout is not None:
                checked_timeout(timeout)
            return self._cancelled(Call.WAIT)
        source = MessageSource(follower, self.exchange, positions := self._positions, binary=binary)
        return self.exchange.follow(source, now, timeout, window, None, until, until_draining, positions)

    def stats(self, now: float) -> SendStats:
        """Return where it stands, in bytes of messages; a compressed one counts once it is whole."""
        exchange, positions = self.exchange, self._positions
        return SendStats(
            current=positions.current,
            sent=positions.sent,
            acked=positions.acked,
            confirmed=positions.confirmed,
            cancelled=exchange.state in GIVEN_UP,
            headers_were_sent=exchange.head_stage >= HeadStage.SENT,
            lag=exchange.lag(now),
        )

    # Messages in --------------------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Whether messages can be sent."""
        return self._state is State.OPEN

    def take(self, now: float) -> str | bytes | None:
        """Take the oldest message that has come; `None` if there is none."""
        was_full, self.touched = self.inbox.is_full, now
        message = self.inbox.take()
        if was_full and not self.inbox.is_full and self._state is State.OPEN and not self._lags:
            self._read_on(now)
        return message

    # The end ------------------------------------------------------------------------------------------

    def close(
        self, now: float, code: int = frames.NORMAL, reason: str = "", timeout: Seconds | None = None
    ) -> Pending:
        """Begin the closing handshake; the call settles when the exchange is over.

        What was accepted goes out before the CLOSE; who waits for room ends as cancelled. If the client
        hasn't read all, and answered, within `timeout` (`ws_close_timeout`), the exchange is given up.

        Raises:
            TypeError, ValueError: wrong arguments.
        """
        frames.check_close(code, reason)
        limit = self.exchange.settings.ws_close_timeout if timeout is None else checked_timeout(timeout)
        if self._state is State.OVER:
            return DONE
        self._stop_taking()
        self._act(Event.ASK, now, code, reason, limit)
        if self.exchange.is_over:
            return DONE
        if timeout is not None:
            self._limit(now + limit)
        pending = Pending()
        self._closing.append(pending)
        if not self._lags:
            self._read_on(now)
        return pending

    def finish(self, now: float) -> None:
        """Note that the handler is done: close, with 1000 (1012 in a drain) if its last message was sent."""
        exchange = self.exchange
        short = exchange.last_short > exchange.last_whole
        code = frames.INTERNAL_ERROR if short else frames.NORMAL
        if exchange.draining and not short:
            code = frames.RESTART
        self._end(now, code, "the last message was not sent" if short else "")

    def fail(self, now: float, cause: Cause) -> None:
        """Note that the handler raised: close with 1011; or that the client is over a limit: with 1013."""
        if self._state is State.OPEN:
            self.exchange.cause = cause
        over = cause.kind is EndKind.LIMIT
        self._end(now, *((frames.TRY_LATER, _short(cause.text)) if over else (frames.INTERNAL_ERROR, "")))

    # What the tunnel tells (`Tunnel`) ---------------------------------------------------------------

    @property
    def held(self) -> int:
        """How many bytes have come and were not taken."""
        return self.inbox.held + self._reader.size + self._reader.unread

    @property
    def wants_read(self) -> bool:
        """Whether received bytes have a place to go."""
        return self._state >= State.ENDING or not (self._lags or (self.inbox.is_full and not self._drops))

    def begin_confirming(self) -> None:
        """Have the client confirm what it has: it answers the PINGs that are sent behind messages."""
        self._beat.begin_confirming()

    def receive(self, data: bytes, now: float) -> None:
        """Take what the client sent."""
        self.touched = now
        if self._state < State.ENDING:
            self._reader.feed(data)
            self._read(now)

    def receive_eof(self, now: float) -> None:
        """Note the client's FIN, or its END_STREAM: without a CLOSE before it, it is gone."""
        if self._lags:
            # What came before it is read first.
            self._eof = True
        else:
            self._act(Event.EOF, now)

    def drain(self, now: float) -> None:
        """Note that the server stops: say that the client may connect anew."""
        self._act(Event.ASK, now, frames.RESTART, "", self.exchange.settings.ws_close_timeout)

    def over(self, now: float) -> None:
        """Note that the exchange is over."""
        self._act(Event.LOST, now)
        if self.close_code is None:
            self.close_code = frames.ABNORMAL
        self._beat.stop(now, ask=False)
        self.exchange.timers.cancel(self._late)
        for pending in self._closing:
            pending.settle(None)
        self._closing.clear()
        self.inbox.end()

    # Inside: receiving --------------------------------------------------------------------------------

    def _read(self, now: float) -> None:
        """Read frames until messages have no place, or others are to have their turn."""
        for _ in range(FRAMES_PER_TURN):
            if self._state >= State.ENDING or (self.inbox.is_full and not self._drops):
                break
            try:
                found = self._reader.next()
            except Failure as failure:
                self.exchange.cause = _cause(failure)
                self._act(Event.FAILED, now, failure.code, _short(failure.reason))
                return
            if found is None:
                break
            if isinstance(found, Control):
                self._control(found, now)
            elif not isinstance(found, bool) and not self._drops:
                self.inbox.put(found)
        else:
            self._lags = True
            self.exchange.timers.add(SOON, self._read_on)
            return
        self._beat.answer(now)

    def _read_on(self, now: float) -> None:
        """Go on with frames that had no place, or were left for this turn."""
        self._lags = False
        if self._state < State.ENDING:
            self._read(now)
        if self._eof and not self._lags:
            self._act(Event.EOF, now)
        elif self.wants_read:
            self.exchange.transport.tunnel_resumed(self.exchange, now)

    def _control(self, frame: Control, now: float) -> None:
        if frame.opcode == frames.PING:
            self._beat.pinged(frame.payload)
        elif frame.opcode == frames.PONG:
            self._beat.ponged(frame.payload, now)
        else:
            # A PING that came before it is answered before it.
            self._beat.answer(now)
            self._act(Event.CLOSED, now, frame.code, frame.reason)

    # Inside: the end ----------------------------------------------------------------------------------

    def _end(self, now: float, code: int, reason: str) -> None:
        """Close as the handler is done: nobody takes messages any more."""
        self._stop_taking()
        self.inbox.clear()
        self._act(Event.ASK, now, code, reason, self.exchange.settings.ws_close_timeout)
        if not self._lags:
            self._read_on(now)

    def _stop_taking(self) -> None:
        """Read on however full it is, for the client's CLOSE alone: what else comes is dropped."""
        self._drops = True
        self.inbox.end()

    def _act(
        self, event: Event, now: float, code: int = 0, reason: str = "", timeout: float | None = None
    ) -> None:
        before = self._state
        self._state, action = TABLE[before, event]
        exchange = self.exchange
        if event in (Event.CLOSED, Event.FAILED) and before < State.ENDING:
            self.close_code, self.close_reason = code, reason
            self.inbox.end()
        if event is not Event.LATE:
            self._beat.stop(now, ask=action is Action.SAY)
        if action is Action.SAY or action is Action.ANSWER:
            exchange.leave_queue()
            answer = "" if event is Event.CLOSED else reason
            exchange.accept(frames.close_frame(code, answer), now)
            exchange.transport.wake()
            self._limit(now + (exchange.settings.ws_close_timeout if timeout is None else timeout))
        if action is Action.ANSWER or action is Action.END:
            exchange.end_tunnel(now)
        elif action is Action.CANCEL:
            exchange.cancel(now)
        elif action is Action.ABORT:
            exchange.reset(now, CLOSE_LATE)

    def _limit(self, deadline: float) -> None:
        """Give up what isn't over by then; the earliest such deadline counts."""
        timers = self.exchange.timers
        if self._late is not None and self._late.action is not None and self._late.deadline <= deadline:
            return
        timers.cancel(self._late)
        self._late = timers.add(deadline, lambda now: self._act(Event.LATE, now))

    def _cancelled(self, call: Call) -> Pending:
        sent = self.exchange.head_stage >= HeadStage.SENT
        pending = Pending()
        pending.settle(encode_result(call, cancelled=True, headers_were_sent=sent))
        return pending


def _payload(message: object) -> tuple[int, bytes]:
    if isinstance(message, str):
        return frames.TEXT, message.encode()
    if isinstance(message, bytes):
        return frames.BINARY, message
    if isinstance(message, (bytearray, memoryview)):
        return frames.BINARY, bytes(message)
    raise TypeError(f"message must be str or bytes, not {type(message).__name__}")


def _cause(failure: Failure) -> Cause:
    if failure.code == frames.TOO_BIG:
        return over_limit("ws_max_size", failure.reason)
    return broke_protocol(failure.reason, failure.code)


def _short(reason: str) -> str:
    return reason.encode()[: frames.MAX_REASON].decode(errors="ignore")
