"""The errors of this package that users can fix; each is one line."""

from looplib.errors import UserError


class LoopError(UserError):
    """A step of the loop that failed, or a folder that another loop left."""


class LabError(UserError):
    """A folder, report or port that the lab cannot show or use."""


class ServiceError(UserError):
    """A service that does not answer, or refuses."""


class FrameError(UserError):
    """A data frame that cannot be used."""


class UnknownIdError(UserError):
    """A listener or track that a model has not learned."""
