"""What one event loop runs: its hub, a pump for each socket, one poller for all of them."""

# Its modules and those of other floors still import each other: names here would close the circle.
__all__: list[str] = []
