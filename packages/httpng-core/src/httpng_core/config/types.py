"""Types of settings that a handler may give as well."""

from typing import Literal, SupportsFloat, SupportsIndex

Until = Literal["sent", "acked", "confirmed"]
"""How far a byte must have come to be no longer in flight."""

Integer = SupportsIndex
"""An integer that a handler gives, checked by us: compiled, an `int` would be converted before, True to 1."""

Seconds = SupportsFloat
"""A time that a handler gives, checked by us: compiled, a `float` would be converted before."""

WindowSize = int | Literal["auto"]
"""A send window as a handler gives it: body bytes, or "auto", which follows the path."""
