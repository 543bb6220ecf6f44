"""One response on its way: positions, the send window, the calls of its handler and their results.

An `Exchange` is one request and its response. A call of its handler that waits is a `Pending`: a `Write`, a
`Read`, a `Follow`. It settles, mostly with a `SendResult`. To the protocols an exchange is an `Outgoing`, and
a protocol is a `Transport` to the exchange. Why it has ended is a `Cause`; the hooks of a driver are a
`Host`.

`states` has the states of a response and what leads from one to the next, `auto_window` the send window that
follows what the path to the client holds.
"""

from httpng_core.sending import auto_window, states
from httpng_core.sending.admission import Admission
from httpng_core.sending.answer_time import AnswerTime
from httpng_core.sending.answering import Answers
from httpng_core.sending.asking import SOON, Asker
from httpng_core.sending.body import SMALL_PIECE, Buffer, ResponseBody
from httpng_core.sending.calls import (
    DONE,
    BroadcastSent,
    Follow,
    FollowOwner,
    Later,
    Pending,
    Read,
    Source,
    TakenLater,
    Turn,
    Write,
)
from httpng_core.sending.checks import checked_timeout
from httpng_core.sending.ends import (
    CONNECTION_RESET,
    DEFECT,
    FELL_SHORT,
    KILLED,
    SHUT_DOWN,
    STALLED,
    Cause,
    EndKind,
    broke_protocol,
    lost,
    over_limit,
)
from httpng_core.sending.exchange import Exchange
from httpng_core.sending.holders import Holder, PathLook
from httpng_core.sending.holdings import Holding, holding_of
from httpng_core.sending.host import NO_HOST, CallInLoop, DirectSend, Host
from httpng_core.sending.incoming import Incoming
from httpng_core.sending.messages import MessagePositions
from httpng_core.sending.outgoing import Outgoing
from httpng_core.sending.positions import LagBook
from httpng_core.sending.queue import WriterQueue
from httpng_core.sending.results import (
    Call,
    SendResult,
    SendStats,
    body_bytes_sent,
    cancelled,
    encode_result,
    headers_were_sent,
    reached,
)
from httpng_core.sending.states import GIVEN_UP, ResponseEvent, ResponseState
from httpng_core.sending.transport import NO_TRANSPORT, Transport
from httpng_core.sending.tunnel import Tunnel
from httpng_core.sending.waits import HeadStage
from httpng_core.sending.whole import Whole

__all__ = [
    "CONNECTION_RESET",
    "DEFECT",
    "DONE",
    "FELL_SHORT",
    "GIVEN_UP",
    "KILLED",
    "NO_HOST",
    "NO_TRANSPORT",
    "SHUT_DOWN",
    "SMALL_PIECE",
    "SOON",
    "STALLED",
    "Admission",
    "AnswerTime",
    "Answers",
    "Asker",
    "BroadcastSent",
    "Buffer",
    "Call",
    "CallInLoop",
    "Cause",
    "DirectSend",
    "EndKind",
    "Exchange",
    "Follow",
    "FollowOwner",
    "HeadStage",
    "Holder",
    "Holding",
    "Host",
    "Incoming",
    "LagBook",
    "Later",
    "MessagePositions",
    "Outgoing",
    "PathLook",
    "Pending",
    "Read",
    "ResponseBody",
    "ResponseEvent",
    "ResponseState",
    "SendResult",
    "SendStats",
    "Source",
    "TakenLater",
    "Transport",
    "Tunnel",
    "Turn",
    "Whole",
    "Write",
    "WriterQueue",
    "auto_window",
    "body_bytes_sent",
    "broke_protocol",
    "cancelled",
    "checked_timeout",
    "encode_result",
    "headers_were_sent",
    "holding_of",
    "lost",
    "over_limit",
    "reached",
    "states",
]
