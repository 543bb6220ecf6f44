"""Types of settings that a handler may give as well."""

from typing import Literal

Until = Literal["sent", "acked"]
"""How far a byte must have come to be no longer in flight."""

WindowSize = int | Literal["auto"]
"""A send window as a handler gives it: body bytes, or "auto", which follows the path."""
