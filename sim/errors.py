"""Errors that users of `sim` can fix."""

from looplib.errors import UserError


class SimError(UserError):
    """Base of the errors of `sim`."""


class WorldError(SimError):
    """A world's files are missing, torn, or contradict each other."""


class CollectionError(SimError):
    """A log cannot be collected into this folder, or not with these parameters."""


class RemoteError(SimError):
    """A service cannot be driven, or not with these parameters."""


class InteractionsError(SimError):
    """A world cannot be fitted to these interactions, factors or catalogue."""
