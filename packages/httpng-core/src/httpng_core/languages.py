"""What a package needs that runs handlers in another language, beside what embedders use.

`httpng_lua` is one. These names are kept as those of `httpng_core` itself are.
"""

from httpng_core.app.confirmations import HELPER as CONFIRMATIONS_HELPER
from httpng_core.app.dispatch import handler_of
from httpng_core.app.handler_errors import log_handler_error
from httpng_core.app.io import unknown_field
from httpng_core.app.plain import answer_plain, split_pairs
from httpng_core.app.route_table import Match, NoMatch, RouteTable
from httpng_core.app.runner import HandlerSteps, at_once
from httpng_core.app.served import Handler, Served
from httpng_core.app.state_lock import ONE_THREAD, Done, Job, StateLock
from httpng_core.config.configuration import Language
from httpng_core.config.settings import LUA_KEYS, LuaRuntime, parse_lua_runtime, unknown_key
from httpng_core.feeds.keep_alive import COMMENT, KeepAlive, kept_alive
from httpng_core.feeds.lag import LagWatched, Watched, checked_lag
from httpng_core.feeds.many import Followed, follower_of
from httpng_core.feeds.pace import Pace, checked_pace
from httpng_core.http.address import split_ends
from httpng_core.http.response import response_head
from httpng_core.http1.head import split_field_lines
from httpng_core.sending.calls import Later, Turn
from httpng_core.sending.host import CallInLoop

__all__ = [
    "COMMENT",
    "CONFIRMATIONS_HELPER",
    "LUA_KEYS",
    "ONE_THREAD",
    "CallInLoop",
    "Done",
    "Followed",
    "Handler",
    "HandlerSteps",
    "Job",
    "KeepAlive",
    "LagWatched",
    "Language",
    "Later",
    "LuaRuntime",
    "Match",
    "NoMatch",
    "Pace",
    "RouteTable",
    "Served",
    "StateLock",
    "Turn",
    "Watched",
    "answer_plain",
    "at_once",
    "checked_lag",
    "checked_pace",
    "follower_of",
    "handler_of",
    "kept_alive",
    "log_handler_error",
    "parse_lua_runtime",
    "response_head",
    "split_ends",
    "split_field_lines",
    "split_pairs",
    "unknown_field",
    "unknown_key",
]
