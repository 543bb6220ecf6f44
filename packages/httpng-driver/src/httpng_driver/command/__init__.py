"""The command line, and what `run` and `serve` of the backends have in common.

`main` is `httpng`, `top` is `httpng top`: a `View` of what `fetch` asks a server, worked by a `Keyboard`.
"""

from httpng_driver.command.asking import fetch, tell
from httpng_driver.command.cli import main
from httpng_driver.command.collector import freezing
from httpng_driver.command.find_application import Wanted, load
from httpng_driver.command.keyboard import DOWN, UP, Keyboard, read_keys
from httpng_driver.command.log_output import LogOutput
from httpng_driver.command.run import addresses, supervise, until_signalled
from httpng_driver.command.top import View, top

__all__ = [
    "DOWN",
    "UP",
    "Keyboard",
    "LogOutput",
    "View",
    "Wanted",
    "addresses",
    "fetch",
    "freezing",
    "load",
    "main",
    "read_keys",
    "supervise",
    "tell",
    "top",
    "until_signalled",
]
