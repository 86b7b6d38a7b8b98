"""Errors of `analysis` that a user can fix."""

from looplib.errors import UserError


class AnalysisError(UserError):
    """Base class of the errors of `analysis`."""


class StoreError(AnalysisError):
    """A session store is missing, damaged, or of an unsupported version."""
