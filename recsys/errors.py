"""What users of `recsys` can mend."""

from common.errors import UserError


class RecsysError(UserError):
    """Base of the errors of `recsys`."""


class StoreError(RecsysError):
    """A session store that is missing, damaged, busy, or of a newer version."""


class IngestError(RecsysError):
    """Event logs that cannot become part of a store."""
