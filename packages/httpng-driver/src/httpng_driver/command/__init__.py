"""The command line, and what `run` and `serve` of the backends have in common."""

from httpng_driver.command.cli import main
from httpng_driver.command.collector import freezing
from httpng_driver.command.find_application import Wanted, load
from httpng_driver.command.run import addresses, until_signalled
from httpng_driver.command.top import top

__all__ = [
    "Wanted",
    "addresses",
    "freezing",
    "load",
    "main",
    "top",
    "until_signalled",
]
