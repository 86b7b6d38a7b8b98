"""Errors that users of `sim` can fix."""

from looplib.errors import UserError


class SimError(UserError):
    """A world, a log or a service cannot be used, or not like this."""
