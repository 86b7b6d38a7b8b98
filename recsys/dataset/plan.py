"""Plan a dataset: the settings and the content that decide it, and their digest."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from analysis.store import Store
from looplib.files import json_digest
from recsys.config import Feedback, SearchConfig
from recsys.dataset.features import FeatureKind, read_columns
from recsys.dataset.layout import SCHEMA
from recsys.dataset.split import SplitRule, split_rule
from recsys.store.ids import read_catalogue, read_titles


@dataclass(frozen=True)
class DatasetPlan:
    """The settings that decide a dataset; `plan_dataset` makes it."""

    rule: SplitRule
    feedback: Feedback
    catalogue: Path | None  # has the artists of tracks; by default the store has them
    features: Mapping[str, FeatureKind]  # further columns of the catalogue
    unplayed: bool  # whether tracks of the catalogue exist before their first play
    digest: str  # digest of the settings and the store's content


def plan_dataset(store: Store, config: SearchConfig) -> DatasetPlan:
    """Plan the dataset of a search.

    Raises:
        SearchError: The split needs something that the store lacks.
        StoreError: The catalogue cannot be read, or is of another store.
    """
    rule = split_rule(store, config.split, config.seed, config.feedback.skip)
    # who the artists are: the store's files of titles say so, or a catalogue
    id_files = store.manifest.id_files
    artists = sorted(file.path for file in id_files if file.of == "titles")
    if config.catalogue:
        read_titles(config.catalogue, store)  # refuses unreadable files and columns
        read_columns(config.catalogue, config.features)
        artists = [sha256(read_catalogue(config.catalogue)).hexdigest()]
    facts = {
        "schema": SCHEMA,
        "store": store.manifest.digest,
        "tracks": store.manifest.catalogue_size,
        "seed": config.seed,
        "split": config.split.model_dump(mode="json"),
        "feedback": config.feedback.model_dump(mode="json"),
        "files": (rule.train, rule.test),
        "artists": artists,
        "features": config.features,
        "unplayed": config.unplayed,
    }
    digest = json_digest(facts)[:16]
    return DatasetPlan(
        rule,
        config.feedback,
        config.catalogue,
        config.features,
        config.unplayed,
        digest,
    )
