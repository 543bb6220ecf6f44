"""One response on its way: positions, the send window, the calls of its handler and their results."""

# Its modules and those of other floors still import each other: names here would close the circle.
__all__: list[str] = []
