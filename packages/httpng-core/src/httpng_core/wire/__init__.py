"""What protocols share: frames, the wire log, turns among exchanges, the events of a connection."""

# Its modules and those of other floors still import each other: names here would close the circle.
__all__: list[str] = []
