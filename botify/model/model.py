"""A version of the recommendations in memory, as recommenders read it."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from botify.model.catalogue import Catalogue
from botify.model.fold_in import FoldIn
from botify.model.session_model import SessionModel
from botify.model.tracklists import TrackLists
from looplib import session_model_file

# Files of a version, beside the lists.
MANIFEST = "manifest.json"
FACTORS = "factors.npz"
SESSION_MODEL = session_model_file.FILE_NAME
HISTORY = "history.npz"
# Parts of a version that recommenders read, beside these files.
LISTS = "lists"
FOLDING = "factors of an ALS model"


@dataclass(frozen=True)
class Model:
    """What recommenders draw from."""

    version: str
    created_at: datetime
    folder: Path | None  # None where nothing is published
    catalogue: Catalogue
    text_users: bool  # ids of listeners are text
    recommendations: TrackLists  # by listener
    popular: list[int]  # the tracks that most lists hold, most popular first
    # The rest is None where no recommender asks for it, or the version has none.
    session_model: SessionModel | None = None
    folding: FoldIn | None = None  # also None where the model is no ALS

    @property
    def parts(self) -> set[str]:
        """The parts that are there, of those that recommenders read."""
        parts = {
            SESSION_MODEL: self.session_model,
            FOLDING: self.folding,
        }
        found = {name for name, part in parts.items() if part is not None}
        if len(self.recommendations.ids):
            found.add(LISTS)
        return found
