"""What users of `analysis` can fix."""

from looplib.errors import UserError


class AnalysisError(UserError):
    """Base of the errors of `analysis`."""


class EventLogError(AnalysisError):
    """Event logs that cannot be read at all; single bad lines are rejected, not raised."""


class InteractionFileError(AnalysisError):
    """A file of interactions that cannot be read as what it is said to be."""


class StoreError(AnalysisError):
    """A session store that is missing, damaged, or of a newer version."""
