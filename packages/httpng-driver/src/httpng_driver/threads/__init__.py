"""More loops in threads of their own, and how they have something done in each other's."""

# Its modules and those of other floors still import each other: names here would close the circle.
__all__: list[str] = []
