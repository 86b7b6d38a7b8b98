"""Plan a dataset: the settings and the content that decide it, and their digest."""

from dataclasses import dataclass
from pathlib import Path

from analysis.store import Store
from looplib.files import json_digest, sha256_file
from recsys.config import OPE_TIME, Feedback, SearchConfig
from recsys.dataset.layout import SCHEMA
from recsys.dataset.split import SplitRule, split_rule
from recsys.errors import SplitError
from recsys.store.ids import read_titles


@dataclass(frozen=True)
class DatasetPlan:
    """Settings that decide a dataset, beside the store's content; `plan_dataset` makes them."""

    rule: SplitRule
    feedback: Feedback
    catalogue: Path | None  # with the artists of tracks; by default the store has them
    digest: str  # of this and the store's content


def plan_dataset(store: Store, config: SearchConfig) -> DatasetPlan:
    """Plan the dataset of a search.

    Raises:
        SplitError: A setting needs events, or the split something that the store lacks.
        StoreError: The catalogue cannot be read, or is of another store.
    """
    rule = split_rule(store, config.split, config.seed)
    feedback = config.feedback
    validation = config.validation
    selects_by_ope = validation.select.startswith(f"{OPE_TIME}@")
    if selects_by_ope and rule.is_weighted:
        raise SplitError(
            f"validation.select: {validation.select} needs event logs, and "
            f"{store} holds interactions"
        )
    facts = {
        "schema": SCHEMA,
        "store": store.manifest.digest,
        "tracks": store.manifest.catalogue_size,
        "seed": config.seed,
        "split": config.split.model_dump(mode="json"),
        "feedback": feedback.model_dump(mode="json"),
        "files": (rule.train, rule.test),
        "artists": _source_of_artists(store, config),
    }
    digest = json_digest(facts)[:16]
    return DatasetPlan(rule, feedback, config.catalogue, digest)


def _source_of_artists(store: Store, config: SearchConfig) -> list[str]:
    """Name what says who the artists are: the store's files of titles, or a catalogue."""
    if config.catalogue:
        read_titles(config.catalogue, store)  # refuses what cannot be read
        return [sha256_file(config.catalogue)]
    id_files = store.manifest.id_files
    return sorted(file.path for file in id_files if file.of == "titles")
