"""What one event loop runs: its hub, a pump for each socket, one poller for all of them."""

from httpng_driver.loop.accepted import Accepted
from httpng_driver.loop.arrivals import Arrivals
from httpng_driver.loop.doorbell import Doorbell
from httpng_driver.loop.gauges import LAGS, Gauges
from httpng_driver.loop.held import Held
from httpng_driver.loop.hub import Hub
from httpng_driver.loop.limits import Limits
from httpng_driver.loop.meter import BOUNDS, Histogram, Key, Meter
from httpng_driver.loop.poller import READABLE, EpollPoller, Poller, make_poller
from httpng_driver.loop.pump import Pump
from httpng_driver.loop.relief import Relief
from httpng_driver.loop.tcp_options import give_up_after, keep_alive, since_last_sent, unacknowledged

__all__ = [
    "BOUNDS",
    "LAGS",
    "READABLE",
    "Accepted",
    "Arrivals",
    "Doorbell",
    "EpollPoller",
    "Gauges",
    "Held",
    "Histogram",
    "Hub",
    "Key",
    "Limits",
    "Meter",
    "Poller",
    "Pump",
    "Relief",
    "give_up_after",
    "keep_alive",
    "make_poller",
    "since_last_sent",
    "unacknowledged",
]
