"""Several processes that serve one application: a supervisor opens the sockets, and replaces them."""

from httpng_driver.workers.channel import Channel
from httpng_driver.workers.supervisor import Backoff, supervised
from httpng_driver.workers.watch import FileWatch, is_ours
from httpng_driver.workers.worker import Worker, this_worker

__all__ = ["Backoff", "Channel", "FileWatch", "Worker", "is_ours", "supervised", "this_worker"]
