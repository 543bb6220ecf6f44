"""A feed as the response of Quart's handlers; needs Quart, 0.19 or newer."""

from collections.abc import AsyncGenerator, Iterable
from typing import Any

from quart import Response, request

from httpng_asyncio.feed_response import FeedResponse as AsgiFeedResponse
from httpng_core import Feed


class FeedResponse(Response):
    """What a handler returns: a stream of what a feed publishes. See `httpng.FeedResponse`."""

    def __init__(self, feed: Feed | Iterable[Feed], **options: Any) -> None:
        """Answer the request with `feed`, or several; `options` are those of `httpng.FeedResponse`."""
        response = AsgiFeedResponse(feed, **options)
        scope: Any = request.scope
        body: AsyncGenerator[bytes, None] = response.body(scope)
        super().__init__(body, headers=response.headers)
        # A stream has no end that a timeout could wait for.
        self.timeout = None
