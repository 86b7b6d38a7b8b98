"""The errors that users of `recsys` can fix, each a line."""

from analysis.errors import StoreError as StoreError
from looplib.errors import UserError


class RecsysError(UserError):
    """Base of the errors of `recsys`."""


class StorageError(RecsysError):
    """An address, such as s3://bucket/folder, that cannot be read or written."""


class IngestError(RecsysError):
    """Event logs that cannot become part of a store."""


class TrialError(RecsysError):
    """A trial whose fit cannot be scored; the search goes on without it."""


class TrialTimeoutError(RecsysError):
    """A step of a trial that takes longer than it may; the next search tries it again."""


class SearchError(RecsysError):
    """A search that cannot begin, has no winner, or cannot be published."""


class WorkerDiedError(RecsysError):
    """A call that never returned, because the processes that ran it died."""
