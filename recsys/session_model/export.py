"""Write a session model for the service's recommender of the same name, if it is the best."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from analysis.offpolicy.logged import logged_sessions
from looplib.arrays import AnyFloatArray, Float32Array, IntArray
from looplib.progress import console, progress
from looplib.session_model import ARRAYS, FILE_NAME, FORMAT, SessionModel
from recsys.config import SearchConfig, SessionModelConfig
from recsys.dataset.buckets import count_starts
from recsys.dataset.dataset import Dataset
from recsys.dataset.plan import plan_dataset
from recsys.dataset.split import SplitRule, find_cutoff_ms
from recsys.errors import ExportError
from recsys.models.als import Fit
from recsys.models.model import Model
from recsys.models.topk import NO_TRACK
from recsys.session_model.choice import NAME, Choice, HeldOut, Prefix, Score, choose
from recsys.session_model.fit import Chosen, fit_session_model
from recsys.session_model.model import FittedSessionModel, track_means
from recsys.session_model.responses import Responses, load_responses
from recsys.store.ids import originals
from recsys.store.remote import Store

MEAN = "track_mean"  # the recommender of the tracks that are heard longest
_FADINGS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)
_WORTH_IT = 0.99  # of the error without
_FADED = 5_000  # held-out responses that choose among them
_TRACK_PRIOR = 10.0  # a track's responses are averaged with this many of any


@dataclass(frozen=True)
class Learned:
    """What a search's winner has learned from a side of the split."""

    model: Model
    factors: Fit | None


def write_session_model(
    folder: Path,
    store: Store,
    dataset: Dataset,
    config: SearchConfig,
    section: SessionModelConfig,
    sides: tuple[Learned, Learned],
    seed: int,
    threads: int,
) -> Mapping[str, Any]:
    """Choose by held-out sessions; fit a model that won on all sessions, and write it to a folder.

    `sides` have learned from the training sessions, and from all.

    Returns:
        The manifest's section about it.

    Raises:
        StoreError: The catalogue is not the store's, or cannot be read.
        ExportError: There is nothing to learn from.
    """
    responses = load_responses(store, section.catalogue, _split_rule(store, config))
    training, whole = sides
    sweeps = section.coarse_sweeps + section.rough_sweeps + section.sweeps

    def fit(own: Responses, learned: Learned, note: str) -> FittedSessionModel:
        chosen = _chosen(own, dataset, learned.factors)
        with progress(f"Session model, {note}", sweeps, "sweeps") as report:
            return fit_session_model(own, chosen, section, seed, threads, report)

    known = responses.training()
    if not len(known):
        raise ExportError(
            f"{store.workspace}: no recommended track was heard in the training sessions; hold "
            "out fewer by split.holdout, or leave the session model out: session_model=null"
        )
    model = fit(known, training, "training sessions")
    choice, fading = _choose(dataset, config, known, model, training, seed)
    console.print(
        f"session_model: {choice.serves} is served, {choice.reason}",
        soft_wrap=True,
        markup=False,
    )
    serves = choice.serves
    if serves == NAME:
        model = replace(fit(responses, whole, "all sessions"), fading=fading)
        save_session_model(folder / FILE_NAME, responses, model, store)
    elif serves == MEAN:  # a model of the same form, without interests
        serves, none = NAME, np.zeros(0, np.int32)
        means = track_means(_mean_times(responses), model)
        nobody = replace(responses, listener=none, organic=none)
        save_session_model(folder / FILE_NAME, nobody, means, store)
    return {
        "format": FORMAT,
        "parameters": section.model_dump(mode="json", exclude={"catalogue"}),
        "serves": serves,
        "reason": choice.reason,
        "shares": {name: tuple(value) for name, value in choice.shares.items()},
        "gain": choice.gain and tuple(choice.gain),
        "responses": len(responses),
        "openings": len(responses.organic),
        "interests": len(model.interests),
        "dispersion": model.dispersion,
        "artist_fatigue": model.artist_fatigue,
        "tiredness": model.tiredness,
        "fading": fading,
    }


def save_session_model(
    file: Path, responses: Responses, model: FittedSessionModel, store: Store
) -> None:
    """Write a model with the original ids, numbers or texts."""
    users = originals(store, "users", responses.users)
    tracks = originals(store, "items", responses.tracks)
    arrays = {
        **asdict(model),
        "tracks": tracks,
        "listeners": users[responses.listener],
        "organics": tracks[responses.organic],
    }
    np.savez(file, allow_pickle=False, **{name: arrays[name] for name in ARRAYS})


def _split_rule(store: Store, config: SearchConfig) -> SplitRule:
    rule = plan_dataset(store, config).rule
    if rule.split.kind != "time":
        return rule
    address = store.workspace.address
    buckets = groupby(store.manifest.parts, key=lambda part: part.bucket)
    starts = [count_starts(address, tuple(parts), rule) for _, parts in buckets]
    minutes, sessions = (np.concatenate(part) for part in zip(*starts, strict=True))
    cutoff_ms = find_cutoff_ms(minutes, sessions, rule.split.holdout)
    return replace(rule, cutoff_ms=cutoff_ms)


def _chosen(responses: Responses, dataset: Dataset, factors: Fit | None) -> Chosen:
    """Return the ALS factors of the responses' listeners and tracks."""
    if factors is None:
        counts = len(responses.users), len(responses.tracks)
        return Chosen(*(np.zeros((count, 0), np.float32) for count in counts))
    return Chosen.of_factors(
        _rows_of(responses.users, dataset.users, factors.user_factors),
        _rows_of(responses.tracks, dataset.tracks, factors.item_factors),
    )


def _rows_of(wanted: IntArray, ids: IntArray, rows: AnyFloatArray) -> AnyFloatArray:
    """Return the rows of the wanted ids, 0 of those that are not there."""
    position = np.minimum(np.searchsorted(ids, wanted), len(ids) - 1)
    found: AnyFloatArray = rows[position] * (ids[position] == wanted)[:, None]
    return found


def _choose(
    dataset: Dataset,
    config: SearchConfig,
    known: Responses,
    fitted: FittedSessionModel,
    learned: Learned,
    seed: int,
) -> tuple[Choice, float]:
    """Choose what is served, and how fast the model forgets."""
    sessions = logged_sessions(
        pq.read_table(dataset.logged),
        logging_policy=config.validation.logging_policy,
        catalogue_size=dataset.summary.tracks,
    )
    heldout = HeldOut.sample(sessions, seed)
    model = fitted.indexed(known)
    column = np.searchsorted(known.tracks, dataset.tracks)
    column = np.minimum(column, len(known.tracks) - 1)
    is_known = known.tracks[column] == dataset.tracks
    number = np.where(is_known, column, -1)
    features = model.tracks[column] * is_known[:, None]
    artist = known.artist.astype(np.int64)

    def infer(served: SessionModel, prefix: Prefix) -> AnyFloatArray:
        tracks = number[list(prefix.tracks)].tolist()
        heard = served.hear(artist, tracks, prefix.times)
        return served.infer(int(dataset.users[prefix.listener]), tracks[0], heard)

    def error(fading: float) -> float:
        served = replace(model, fading=fading)
        some = slice(_FADED)
        vectors = np.stack([infer(served, prefix) for prefix in heldout.prefixes[some]])
        logits = np.einsum("ij,ij->i", vectors, features[heldout.track[some]])
        return float(np.sum((heldout.time[some] - 1 / (1 + np.exp(-logits))) ** 2))

    fading = 1.0
    if heldout.prefixes:
        errors = {fading: error(fading) for fading in _FADINGS}
        best = min(errors, key=lambda name: errors[name])
        fading = best if errors[best] < _WORTH_IT * errors[1.0] else 1.0
    served = replace(model, fading=fading)

    def score(prefixes: Sequence[Prefix]) -> Float32Array:
        vectors = np.stack([infer(served, prefix) for prefix in prefixes])
        scores: Float32Array = vectors.astype(np.float32) @ features.T
        return scores

    scores = {NAME: score, **_plain_scores(dataset, learned)}
    means = _mean_times(known)[number]
    scores[MEAN] = lambda prefixes: np.tile(means, (len(prefixes), 1))
    return choose(heldout, scores, seed), fading


def _plain_scores(dataset: Dataset, learned: Learned) -> dict[str, Score]:
    """Return the scores of plain recommenders of the service, by its names."""
    tracks = len(dataset.tracks)
    lists = learned.model.lists(max(1, tracks // 100))
    worth = np.arange(lists.shape[1], 0, -1, dtype=np.float32)

    def in_order(prefixes: Sequence[Prefix]) -> Float32Array:
        scores = np.zeros((len(prefixes), tracks + 1), np.float32)
        listed = lists[[prefix.listener for prefix in prefixes]]
        rows = np.arange(len(prefixes))[:, None]
        scores[rows, np.where(listed == NO_TRACK, tracks, listed)] = worth
        return scores[:, :tracks]

    if learned.factors is None:
        return {"in_order": in_order}
    factors = learned.factors.item_factors
    lengths = np.linalg.norm(factors, axis=1, keepdims=True)
    directions = (factors / np.where(lengths > 0, lengths, 1)).astype(np.float32)

    def contextual(prefixes: Sequence[Prefix]) -> Float32Array:
        sums = [np.array(own.times) @ directions[list(own.tracks)] for own in prefixes]
        scores: Float32Array = (np.stack(sums) @ directions.T).astype(np.float32)
        return scores

    return {"contextual": contextual, "in_order": in_order}


def _mean_times(responses: Responses) -> Float32Array:
    """Return the mean share heard of each track, drawn to that of all."""
    counts = np.bincount(responses.track, minlength=len(responses.tracks))
    times = np.bincount(responses.track, responses.time, len(responses.tracks))
    prior = _TRACK_PRIOR * responses.time.mean()
    means: Float32Array = ((times + prior) / (counts + _TRACK_PRIOR)).astype(np.float32)
    return means
