"""Applications: handlers with their settings, run step by step, for any driver."""

from httpng_core.app.application import Application, as_application
from httpng_core.app.control import Control
from httpng_core.app.directory import PIECE, DirectoryHandler
from httpng_core.app.dispatch import handler_of
from httpng_core.app.files import File, FileRead, Files
from httpng_core.app.handlers import (
    AsgiHandler,
    AsyncHandler,
    FunctionHandler,
    GeneratorHandler,
    as_handler,
    as_response,
    end_exchange,
    give_answers,
)
from httpng_core.app.io import BaseIO, GeneratorIO
from httpng_core.app.lifecycle import TABLE, Lifecycle, ServerState, ServerVerb
from httpng_core.app.route_table import Match, NoMatch, RouteTable, RouteTableStatistics
from httpng_core.app.router import Router
from httpng_core.app.runner import CALLS_PER_TURN, SECONDS_PER_TURN, HandlerSteps, Runner, at_once
from httpng_core.app.served import Handler
from httpng_core.http.file_info import FileInfo

__all__ = [
    "CALLS_PER_TURN",
    "PIECE",
    "SECONDS_PER_TURN",
    "TABLE",
    "Application",
    "AsgiHandler",
    "AsyncHandler",
    "BaseIO",
    "Control",
    "DirectoryHandler",
    "File",
    "FileInfo",
    "FileRead",
    "Files",
    "FunctionHandler",
    "GeneratorHandler",
    "GeneratorIO",
    "Handler",
    "HandlerSteps",
    "Lifecycle",
    "Match",
    "NoMatch",
    "RouteTable",
    "RouteTableStatistics",
    "Router",
    "Runner",
    "ServerState",
    "ServerVerb",
    "as_application",
    "as_handler",
    "as_response",
    "at_once",
    "end_exchange",
    "give_answers",
    "handler_of",
]
