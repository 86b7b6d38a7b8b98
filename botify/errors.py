"""Errors of the service that the user can fix."""

from looplib.errors import UserError


class BotifyError(UserError):
    """Base of the service's user errors."""


class CatalogueError(BotifyError):
    """A catalogue that cannot be used."""


class ModelError(BotifyError):
    """Exported recommendations that cannot be used."""


class StartError(BotifyError):
    """A service that cannot start with its settings."""
