"""A feed as the response of Starlette's and FastAPI's handlers; needs Starlette, 0.40 or newer."""

from collections.abc import Iterable
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from httpng_asyncio.feed_response import FeedResponse as AsgiFeedResponse
from httpng_core import Feed


class FeedResponse(Response):
    """What a handler returns: a stream of what a feed publishes. See `httpng.FeedResponse`."""

    def __init__(self, feed: Feed | Iterable[Feed], **options: Any) -> None:
        """Answer with `feed`, or several; `options` are those of `httpng.FeedResponse`."""
        self._response = AsgiFeedResponse(feed, **options)
        super().__init__()
        # Without a length; cookies are added to these.
        self.raw_headers = list(self._response.raw_headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response, then run its background tasks."""
        self._response.raw_headers = list(self.raw_headers)
        await self._response(scope, receive, send)
        if self.background is not None:
            await self.background()
