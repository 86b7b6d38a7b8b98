"""Write a session model for the service's recommender of the same name, if it is the best."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from analysis.offpolicy.logged import LoggedSessions, logged_sessions
from looplib.arrays import Float32Array, IntArray
from looplib.progress import console, progress
from looplib.session_model import ARRAYS, FILE_NAME, FORMAT, SessionModel
from recsys.config import SearchConfig
from recsys.dataset.dataset import Dataset
from recsys.dataset.partitions import complete_rule
from recsys.dataset.plan import plan_dataset
from recsys.errors import ExportError
from recsys.models.als import Fit as Factors
from recsys.models.model import Model
from recsys.models.topk import NO_TRACK
from recsys.session_model.choice import NAME, Choice, Score, choose, sample_events
from recsys.session_model.config import SessionModelConfig
from recsys.session_model.fit import SWEEPS, Chosen, Fit
from recsys.session_model.regression import FIRST_DISPERSION
from recsys.session_model.responses import Responses, load_responses
from recsys.store.ids import Ids
from recsys.store.remote import Store

MEAN = "track_mean"  # the recommender of the tracks that are heard longest
_CHANGES = (0.0, 0.02, 0.05, 0.1)
_WORTH_IT = 0.99  # of the error without
_LISTED = 100  # tracks of a list
_TRACK_PRIOR = 10.0  # a track's responses are averaged with so many of any
_TRIED = 5_000  # held-out responses that choose among changes


@dataclass(frozen=True)
class Learned:
    """What a search's winner has learned from a side of the split."""

    model: Model
    factors: Factors | None


def write_session_model(
    folder: Path,
    store: Store,
    dataset: Dataset,
    config: SearchConfig,
    learned: Learned,
    ids: tuple[Ids, Ids],
    seed: int,
    threads: int,
) -> Mapping[str, Any]:
    """Fit the model, let held-out sessions choose, and write what they chose to a folder.

    `learned` is from the training sessions; `ids` are those of listeners and tracks that came in.

    Returns:
        The manifest's section about it.

    Raises:
        ExportError: There is nothing to learn from.
    """
    section = config.session_model or SessionModelConfig()
    rule = complete_rule(store, plan_dataset(store, config).rule)
    responses = load_responses(store, dataset, rule)
    known = responses.training()
    if not len(known):
        raise ExportError(
            f"{store.workspace}: no recommended track was heard in the training sessions; hold "
            "out fewer by split.holdout, or leave the session model out: session_model=null"
        )
    with progress("Session model", SWEEPS, "sweeps") as report:
        fit = Fit(find_chosen(dataset, learned), section, seed, threads, report)
        fit.run(known)
        choice, change = _choose(dataset, config, known, fit.describe(), learned, seed)
        if choice.serves == NAME:
            fit.extend(responses, change)
        report(SWEEPS, "")
    serves, model = choice.serves, replace(fit.describe(), interest_change=change)
    console.print(describe(choice), soft_wrap=True, markup=False)
    if serves == MEAN:  # a model of the same form, without interests
        serves, model = NAME, track_means(responses)
    if serves == NAME:
        save_session_model(folder / FILE_NAME, model, *ids)
    return {
        "format": FORMAT,
        "parameters": section.model_dump(mode="json"),
        "chosen": choice.serves,
        "serves": serves,  # the recommender of the service that answers
        "reason": choice.reason,
        "shares": {name: tuple(value) for name, value in choice.shares.items()},
        "responses": len(responses),
        "openings": len(responses.organic),
        "interests": len(model.interests),
        "dispersion": model.dispersion,
        "artist_fatigue": model.artist_fatigue,
        "interest_change": change,
    }


def describe(choice: Choice) -> str:
    """Say what is served, in one line."""
    shares = ", ".join(
        f"{name} {own.value:.3f} ({own.lower:.3f} … {own.upper:.3f})"
        for name, own in choice.shares.items()
    )
    line = f"{NAME}: {choice.serves} is served, {choice.reason}"
    return f"{line}; share heard: {shares}" if shares else line


def track_means(responses: Responses) -> SessionModel:
    """Return a model that expects the mean share of each track, whatever the session.

    A track has the vector (logit, 1), and every session follows (1, 0).
    """
    counts = np.bincount(responses.track, minlength=len(responses.artist))
    times = np.bincount(responses.track, responses.time, len(responses.artist))
    prior = _TRACK_PRIOR * responses.time.mean()
    means = (times + prior) / (counts + _TRACK_PRIOR)
    means = means.clip(1e-4, 1 - 1e-4)
    logits = np.log(means / (1 - means)).astype(np.float32)
    none = np.zeros(0, np.int64)
    return SessionModel(
        track_factors=np.column_stack([logits, np.ones_like(logits)]),
        listeners=none,
        organics=none,
        interest_of=none.astype(np.int32),
        interests=np.zeros((0, 2), np.float32),
        new_map=np.array([[0, 0], [1, 0]], np.float32),
        odds=np.zeros(0, np.float32),
        covariance=1e-6 * np.eye(2, dtype=np.float32),
        new_covariance=1e-6 * np.eye(2, dtype=np.float32),
        dispersion=FIRST_DISPERSION,
        artist_fatigue=1.0,
    )


def find_chosen(dataset: Dataset, learned: Learned) -> Chosen:
    """Return what ALS knows of listeners and tracks; nothing where there are no factors."""
    if learned.factors is None:
        return Chosen.nothing(len(dataset.users), len(dataset.tracks))
    return Chosen.of_factors(learned.factors.user_factors, learned.factors.item_factors)


def save_session_model(
    file: Path, model: SessionModel, users: Ids, tracks: Ids
) -> None:
    """Write a model with the ids that came in."""
    ids = {
        "tracks": tracks,
        "listeners": users[model.listeners],
        "organics": tracks[model.organics],
    }
    arrays: dict[str, Any] = {name: getattr(model, name, None) for name in ARRAYS}
    np.savez(file, allow_pickle=False, **(arrays | ids))


def _choose(
    dataset: Dataset,
    config: SearchConfig,
    known: Responses,
    model: SessionModel,
    learned: Learned,
    seed: int,
) -> tuple[Choice, float]:
    """Choose what is served, and how often sessions change their interest."""
    is_uniform = config.validation.logging_policy == "uniform"
    sessions = logged_sessions(
        pq.read_table(dataset.logged), dataset.summary.tracks if is_uniform else None
    )
    artist = known.artist.astype(np.int64)
    events = sample_events(sessions, len(dataset.tracks), seed)
    some = events[:: max(1, len(events) // _TRIED)]

    def error(change: float) -> float:
        tried = replace(model, interest_change=change)
        vectors = _follow(tried, artist, sessions, some)
        tracks = model.track_factors[sessions.track[some]]
        logits = np.einsum("ij,ij->i", vectors, tracks)
        expected = 1 / (1 + np.exp(-logits))
        return float(np.sum((sessions.time[some] - expected) ** 2))

    errors = {change: error(change) for change in _CHANGES}
    change = min(_CHANGES, key=lambda tried: errors[tried])
    if errors[change] >= _WORTH_IT * errors[0.0]:
        change = 0.0
    served = replace(model, interest_change=change)
    means = track_means(known).track_factors[:, 0]

    def score(sessions: LoggedSessions, events: IntArray) -> Float32Array:
        return _follow(served, artist, sessions, events) @ served.by_factor

    scores: dict[str, Score] = {NAME: score, **_plain_scores(dataset, learned)}
    scores[MEAN] = lambda _, events: np.tile(means, (len(events), 1))
    return choose(sessions, events, scores, seed), change


def _follow(
    model: SessionModel, artist: IntArray, sessions: LoggedSessions, events: IntArray
) -> Float32Array:
    """Return the vector that each event's session follows before it, shape (events, k)."""
    vectors = np.zeros((len(events), model.track_factors.shape[1]), np.float32)
    for row, event in enumerate(events.tolist()):
        before = slice(sessions.first[event], event)
        tracks = sessions.track[before].tolist()
        heard = model.hear(artist, tracks, sessions.time[before].tolist())
        listener = int(sessions.users[sessions.listener[event]])
        vectors[row] = model.infer(listener, tracks[0], heard)
    return vectors


def _plain_scores(dataset: Dataset, learned: Learned) -> dict[str, Score]:
    """Return the scores of plain recommenders of the service, by its names."""
    tracks = len(dataset.tracks)
    lists = learned.model.lists(_LISTED)
    worth = np.arange(lists.shape[1], 0, -1, dtype=np.float32)

    def in_order(sessions: LoggedSessions, events: IntArray) -> Float32Array:
        scores = np.zeros((len(events), tracks + 1), np.float32)
        listed = lists[sessions.users[sessions.listener[events]]]
        rows = np.arange(len(events))[:, None]
        scores[rows, np.where(listed == NO_TRACK, tracks, listed)] = worth
        return scores[:, :tracks]

    if learned.factors is None:
        return {"in_order": in_order}
    factors = learned.factors.item_factors
    lengths = np.linalg.norm(factors, axis=1, keepdims=True)
    directions = (factors / np.where(lengths > 0, lengths, 1)).astype(np.float32)

    def contextual(sessions: LoggedSessions, events: IntArray) -> Float32Array:
        sums = np.zeros((len(events), directions.shape[1]), np.float32)
        for row, event in enumerate(events.tolist()):
            before = slice(sessions.first[event], event)
            sums[row] = sessions.time[before] @ directions[sessions.track[before]]
        return sums @ directions.T

    return {"contextual": contextual, "in_order": in_order}
