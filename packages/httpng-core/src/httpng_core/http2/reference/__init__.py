"""HTTP/2 read by h2: the reference that our own engine is held against (`http2_engine = "reference"`)."""

from httpng_core.http2.reference.session import ReferenceSession
from httpng_core.http2.reference.wire import ServerH2, StateMachine

__all__ = ["ReferenceSession", "ServerH2", "StateMachine"]
