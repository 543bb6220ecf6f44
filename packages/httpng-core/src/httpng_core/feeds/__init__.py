"""Feeds: payloads published once, of which each follower gets what is still worth sending."""

# Its modules and those of other floors still import each other: names here would close the circle.
__all__: list[str] = []
