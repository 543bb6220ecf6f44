"""httpng-core: an HTTP server that knows, to the byte, what its clients have got. Sans-I/O.

No sockets, no threads, no event loop, no clock: bytes, times and the kernel's answers come in as
arguments. `Connection` says how a driver is written; `httpng_core.testing` needs none.
"""

from httpng_core._version import __version__
from httpng_core.app.application import Application, as_application
from httpng_core.app.confirmations import Confirmations, confirmations
from httpng_core.app.control import Control
from httpng_core.app.files import File, FileRead, Files
from httpng_core.app.handlers import AsgiHandler, as_response, end_exchange, give_answers
from httpng_core.app.io import BaseIO, GeneratorIO
from httpng_core.app.lifecycle import Lifecycle, ServerState, ServerVerb
from httpng_core.app.router import Router, check_awaited
from httpng_core.app.runner import CALLS_PER_TURN, SECONDS_PER_TURN, Runner
from httpng_core.app.websocket import BaseWebSocket, GeneratorWebSocket
from httpng_core.compiled import COMPILED
from httpng_core.config.address import (
    LUA_DEFAULT_LISTEN,
    PYTHON_DEFAULT_LISTEN,
    CertificateFiles,
    ListenAddress,
    SocketLike,
    TlsFiles,
)
from httpng_core.config.configuration import Configuration
from httpng_core.config.listen import parse_listen
from httpng_core.config.settings import Settings, nearest_key, parse_settings
from httpng_core.config.sites import Site
from httpng_core.config.types import Until, WindowSize
from httpng_core.connection import Closing, Connection, ConnectionStatistics, Readiness
from httpng_core.errors import (
    AckedUnknownError,
    BodyError,
    BodyMalformedError,
    BodyStreamedError,
    BodyTimeoutError,
    BodyTooLongError,
    ConfigError,
    ConfirmedUnknownError,
    ContentLengthError,
    HandshakeError,
    HttpngError,
    ReadTimeoutError,
    RemoteError,
    RequestCancelled,
    ResponseStateError,
    StartupError,
)
from httpng_core.feeds.broadcast import Broadcast
from httpng_core.feeds.changes import json_delta, text_delta
from httpng_core.feeds.checks import MAX_QUEUED, OnRemove, Overflow, Policy
from httpng_core.feeds.deltas import FULL_EVERY, Delta
from httpng_core.feeds.feed import Feed
from httpng_core.feeds.gaps import OnGap
from httpng_core.feeds.keys import KeyFilter, Keys
from httpng_core.feeds.ladder import LagAction, LagStep
from httpng_core.feeds.lag import LAG_LIMITS, OnLag
from httpng_core.feeds.merging import Merge
from httpng_core.feeds.pace import Priority
from httpng_core.feeds.per_loop import FeedLoopStatistics, FeedStatistics
from httpng_core.feeds.resume import Resume
from httpng_core.feeds.stats import FeedStats, FollowStats, feeds_together
from httpng_core.feeds.values import json_merge
from httpng_core.http.address import Address
from httpng_core.http.dates import DateSource, HttpDate
from httpng_core.http.fields import QueryParams
from httpng_core.http.file_info import FileInfo
from httpng_core.http.forwarded import client_of
from httpng_core.http.reading import BodySource, BodyStream
from httpng_core.http.request import Headers, Request
from httpng_core.http.response import HeaderSource, Response
from httpng_core.http.server_sent_events import sse_event, sse_headers
from httpng_core.sending.admission import Admission
from httpng_core.sending.answering import Answers
from httpng_core.sending.calls import Pending, Read
from httpng_core.sending.ends import (
    DEFECT,
    FELL_SHORT,
    KILLED,
    SHUT_DOWN,
    Cause,
    EndKind,
    lost,
    over_limit,
)
from httpng_core.sending.exchange import Exchange
from httpng_core.sending.holders import Holder, PathLook
from httpng_core.sending.holdings import Holding
from httpng_core.sending.host import NO_HOST, CallInLoop, Host
from httpng_core.sending.incoming import Incoming
from httpng_core.sending.results import (
    SendResult,
    SendStats,
    body_bytes_sent,
    cancelled,
    headers_were_sent,
    reached,
)
from httpng_core.timers import Timer, Timers
from httpng_core.tls.certificates import Certificates
from httpng_core.wire.events import (
    ConnectionDropped,
    Event,
    ExchangeEnded,
    RequestReceived,
    RequestRefused,
    TlsFailed,
)

__all__ = [
    "CALLS_PER_TURN",
    "COMPILED",
    "DEFECT",
    "FELL_SHORT",
    "FULL_EVERY",
    "KILLED",
    "LAG_LIMITS",
    "LUA_DEFAULT_LISTEN",
    "MAX_QUEUED",
    "NO_HOST",
    "PYTHON_DEFAULT_LISTEN",
    "SECONDS_PER_TURN",
    "SHUT_DOWN",
    "AckedUnknownError",
    "Address",
    "Admission",
    "Answers",
    "Application",
    "AsgiHandler",
    "BaseIO",
    "BaseWebSocket",
    "BodyError",
    "BodyMalformedError",
    "BodySource",
    "BodyStream",
    "BodyStreamedError",
    "BodyTimeoutError",
    "BodyTooLongError",
    "Broadcast",
    "CallInLoop",
    "Cause",
    "CertificateFiles",
    "Certificates",
    "Closing",
    "ConfigError",
    "Configuration",
    "Confirmations",
    "ConfirmedUnknownError",
    "Connection",
    "ConnectionDropped",
    "ConnectionStatistics",
    "ContentLengthError",
    "Control",
    "DateSource",
    "Delta",
    "EndKind",
    "Event",
    "Exchange",
    "ExchangeEnded",
    "Feed",
    "FeedLoopStatistics",
    "FeedStatistics",
    "FeedStats",
    "File",
    "FileInfo",
    "FileRead",
    "Files",
    "FollowStats",
    "GeneratorIO",
    "GeneratorWebSocket",
    "HandshakeError",
    "HeaderSource",
    "Headers",
    "Holder",
    "Holding",
    "Host",
    "HttpDate",
    "HttpngError",
    "Incoming",
    "KeyFilter",
    "Keys",
    "LagAction",
    "LagStep",
    "Lifecycle",
    "ListenAddress",
    "Merge",
    "OnGap",
    "OnLag",
    "OnRemove",
    "Overflow",
    "PathLook",
    "Pending",
    "Policy",
    "Priority",
    "QueryParams",
    "Read",
    "ReadTimeoutError",
    "Readiness",
    "RemoteError",
    "Request",
    "RequestCancelled",
    "RequestReceived",
    "RequestRefused",
    "Response",
    "ResponseStateError",
    "Resume",
    "Router",
    "Runner",
    "SendResult",
    "SendStats",
    "ServerState",
    "ServerVerb",
    "Settings",
    "Site",
    "SocketLike",
    "StartupError",
    "Timer",
    "Timers",
    "TlsFailed",
    "TlsFiles",
    "Until",
    "WindowSize",
    "__version__",
    "as_application",
    "as_response",
    "body_bytes_sent",
    "cancelled",
    "check_awaited",
    "client_of",
    "confirmations",
    "end_exchange",
    "feeds_together",
    "give_answers",
    "headers_were_sent",
    "json_delta",
    "json_merge",
    "lost",
    "nearest_key",
    "over_limit",
    "parse_listen",
    "parse_settings",
    "reached",
    "sse_event",
    "sse_headers",
    "text_delta",
]
