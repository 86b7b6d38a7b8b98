"""Errors that users of `analysis` can fix."""

from looplib.errors import UserError


class AnalysisError(UserError):
    """Base of the errors of `analysis`."""


class StoreError(AnalysisError):
    """A session store that is missing, damaged, or of another version."""
