"""What handlers use: `io`, feeds, files."""

from httpng_driver.handlers.feed import Feed
from httpng_driver.handlers.files import DiskFiles
from httpng_driver.handlers.in_thread import in_thread
from httpng_driver.handlers.io import IO, until_settled
from httpng_driver.handlers.open_below import check_directories, open_below
from httpng_driver.handlers.turn import LoopTurns, Turn
from httpng_driver.handlers.websocket import WebSocket

__all__ = [
    "IO",
    "DiskFiles",
    "Feed",
    "LoopTurns",
    "Turn",
    "WebSocket",
    "check_directories",
    "in_thread",
    "open_below",
    "until_settled",
]
