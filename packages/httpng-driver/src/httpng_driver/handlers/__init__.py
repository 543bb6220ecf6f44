"""What handlers use: `io`, feeds, files. To them the driver of an exchange is a `Driving`."""

from httpng_driver.handlers.body import BodyReader
from httpng_driver.handlers.driving import GONE, Driving
from httpng_driver.handlers.feed import Feed
from httpng_driver.handlers.feed_totals import FEED_TOTALS, FeedTotals
from httpng_driver.handlers.files import DiskFiles
from httpng_driver.handlers.in_thread import in_thread
from httpng_driver.handlers.io import IO, io_of, until_settled
from httpng_driver.handlers.open_below import check_directories, open_below
from httpng_driver.handlers.turn import GATHERED, LoopTurns, Turn
from httpng_driver.handlers.websocket import WebSocket

__all__ = [
    "FEED_TOTALS",
    "GATHERED",
    "GONE",
    "IO",
    "BodyReader",
    "DiskFiles",
    "Driving",
    "Feed",
    "FeedTotals",
    "LoopTurns",
    "Turn",
    "WebSocket",
    "check_directories",
    "in_thread",
    "io_of",
    "open_below",
    "until_settled",
]
