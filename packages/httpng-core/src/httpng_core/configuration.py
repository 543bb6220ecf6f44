"""What a server is told to do: who has which paths, with which settings, and where it listens."""

from collections.abc import Sequence
from dataclasses import dataclass

from httpng_core.address import ListenAddress
from httpng_core.config import Settings
from httpng_core.sites import Site


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """Everything that one call of `cfg`, or one `Application`, has said, checked.

    Attributes:
        sites: who has which paths; none while every request is to get 404.
        settings: the settings.
        listen: where to listen.
    """

    sites: Sequence[Site]
    settings: Settings
    listen: Sequence[ListenAddress]

    @property
    def directories(self) -> list[str]:
        """The directories that are served, by their absolute names."""
        return [site.directory for site in self.sites if site.directory is not None]
