"""What one event loop runs: its hub, a pump for each socket, one poller for all of them."""

from httpng_driver.loop.accepted import Accepted
from httpng_driver.loop.doorbell import Doorbell
from httpng_driver.loop.held import Held
from httpng_driver.loop.hub import Hub
from httpng_driver.loop.poller import EpollPoller, Poller, SelectorPoller, make_poller
from httpng_driver.loop.pump import Pump
from httpng_driver.loop.relief import Relief
from httpng_driver.loop.tcp_options import give_up_after, keep_alive, since_last_sent, unacknowledged

__all__ = [
    "Accepted",
    "Doorbell",
    "EpollPoller",
    "Held",
    "Hub",
    "Poller",
    "Pump",
    "Relief",
    "SelectorPoller",
    "give_up_after",
    "keep_alive",
    "make_poller",
    "since_last_sent",
    "unacknowledged",
]
