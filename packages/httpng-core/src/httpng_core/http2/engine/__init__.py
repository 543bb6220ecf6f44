"""A server's engine of RFC 9113, without sockets, clocks or a library."""

from httpng_core.http2.engine.session import Session
from httpng_core.http2.engine.session_config import Config

__all__ = ["Config", "Session"]
