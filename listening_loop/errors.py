"""The errors of this package that users can fix, each a line."""

from looplib.errors import UserError


class LoopError(UserError):
    """A step that failed, a service that refuses, or an id that a model has not learned."""
