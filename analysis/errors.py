"""What users of `analysis` can mend."""

from common.errors import UserError


class AnalysisError(UserError):
    """Base of the errors of `analysis`."""
