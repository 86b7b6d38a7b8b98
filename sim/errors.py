"""What users of `sim` can fix."""

from looplib.errors import UserError


class SimError(UserError):
    """A world, a log, a service or data to fit a world to cannot be used, or not like this."""
