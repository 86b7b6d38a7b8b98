"""The errors of this package that users can fix; each is one line."""

from looplib.errors import UserError


class LoopError(UserError):
    """Base of the errors of this package."""


class ServiceError(LoopError):
    """A service that does not answer, or refuses."""


class UnknownIdError(LoopError):
    """A listener or track that a model has not learned."""
