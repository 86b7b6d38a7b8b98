"""Check before the first fit what the steps after it need, and warn of settings that look like mistakes."""

import numpy as np

from recsys.config import SearchConfig
from recsys.dataset.dataset import Dataset
from recsys.errors import SearchError
from recsys.report.page import read_titles
from recsys.runs.leaderboard import WARNING
from recsys.store.ids import originals
from recsys.store.remote import Store

_MAGNITUDES = 100  # the largest weights over the smallest, from which on a logarithm is proposed


def check_later_steps(config: SearchConfig, store: Store) -> None:
    """Raise a `UserError` if a catalogue of the report or the export cannot be read, or is not the store's."""
    read_titles(config.catalogue, store)
    if config.context and config.export.learn_from != "training":
        read_titles(config.context.catalogue, store)


def check_dataset(config: SearchConfig, store: Store, dataset: Dataset) -> list[str]:
    """Return warnings about settings that do not fit the data.

    Raises:
        SearchError: The context model has nothing to learn from, or the catalogue names other tracks.
    """
    if config.context is not None and max(dataset.session_lengths(), default=1) < 2:
        raise SearchError(
            f"context learns from recommended tracks, and {store.workspace} has none; leave it out: --set context=null"
        )
    if config.catalogue is not None and not store.manifest.catalogue:
        titles = read_titles(config.catalogue, store)
        tracks = originals(store, "items", dataset.tracks).tolist()
        named = sum(str(track) in titles for track in tracks)
        if 2 * named < len(tracks):
            raise SearchError(
                f"{config.catalogue}: names {named:,} of the {len(tracks):,} tracks of {store.workspace}, so it "
                "belongs to another store; leave it out: --set catalogue=null"
            )
    warnings = []
    if (shown := config.export.filter_seen) != (scored := config.validation.filter_seen):
        warnings.append(
            f"{WARNING} validation.filter_seen is {str(scored).lower()} and export.filter_seen {str(shown).lower()}: "
            "the lists that are published are not those that are scored"
        )
    least, median, most = np.quantile(dataset.matrix("train").data, [0.01, 0.5, 0.99])
    is_linear = store.manifest.interactions is not None and config.feedback.scale == "linear"
    if is_linear and most >= _MAGNITUDES * least:
        warnings.append(
            f"{WARNING} the weights span orders of magnitude, {least:g} … {most:g} with the median {median:g}; try "
            "--set feedback.scale=log, which counts a sum r as log(1 + r)"
        )
    return warnings
