"""Fit the session model: how long a track is heard, given who listens and the organic track.

Sessions follow interests: a listener has a few, and the organic track tells which one a session
follows. With x the vector of the interest and v that of a track, the share heard has the mean

    expit(x . (v, 1)) * fatigue ** (earlier tracks of its artist in the session),

and a variance that is learned (`recsys.session_model.regression`). Under random recommendations
each response is an unbiased observation of one such product; under others it still is one, as what
was recommended depends on nothing that the product leaves out. Interests are not logged, so the fit
finds them:

1. coarse: each organic track is one interest of all listeners;
2. a listener's organic tracks that are close together are one interest, and interests and tracks
   are fitted in turn, each by one step of iteratively reweighted least squares a sweep;
3. over all sessions, which may change to another interest of the listener.

What listeners choose themselves comes first: ALS has learned from it which tracks and listeners are
alike. An interest's vector is drawn towards what its organic tracks say, through one linear map for
all, and a track's towards what the other tracks of its artist say; in the coarse stage what the ALS
factors of listeners and tracks say counts too. Tracks start from theirs. Every ridge is the inverse
of the spread that the fit itself shows (empirical Bayes), and every regression knows how uncertain
its features are, so that factors which the data do not support shrink to nothing. Held-out
responses show how noisy shares are.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from looplib.arrays import AnyFloatArray, Float32Array, Int32Array, IntArray
from looplib.randomness import make_generator
from looplib.session_model import SessionModel
from recsys.session_model.config import SessionModelConfig
from recsys.session_model.grouping import group_openings
from recsys.session_model.regression import (
    FIRST_DISPERSION,
    Grouping,
    Shares,
    Vectors,
    estimate_precision,
    find_decay,
    grouped_means,
    mean_and_slope,
    measure_dispersion,
    paired_dots,
    predict,
    regress,
    variances_along,
)
from recsys.session_model.responses import Responses

Report = Callable[[float, str], None]

COARSE, FINAL, MORE = 3, 8, 3  # sweeps of each stage, and over all sessions
SWEEPS = COARSE + FINAL + MORE
_DISTANCE = 0.75  # by 1 - cosine, the largest between organic tracks of one interest
_FIRST_SPREAD = 0.3  # of a track's vector, of which this part is noise:
_FIRST_NOISE = 0.3
_AXES = 32  # of the ALS factors, those along which tracks differ most
_HELD_OUT = 20  # one response in so many
_NEAR = np.arange(-4, 5)  # by number: interests that a session may change to
_AT_ONCE = 30_000  # responses


@dataclass(frozen=True)
class Chosen:
    """What is known of listeners and tracks by what was chosen, along some axes; lengths are 1."""

    listeners: Float32Array  # (listeners, axes), 0 where nothing is known
    tracks: Float32Array  # (tracks, axes)

    @classmethod
    def of_factors(cls, listeners: AnyFloatArray, tracks: AnyFloatArray) -> "Chosen":
        """Turn ALS factors of listeners and tracks to the main axes of the tracks."""
        _, axes = np.linalg.eigh(tracks.T @ tracks)
        main = axes[:, ::-1][:, :_AXES]
        return cls(_unit(listeners @ main), _unit(tracks @ main))

    @classmethod
    def nothing(cls, listeners: int, tracks: int) -> "Chosen":
        """Return vectors without axes, of listeners and tracks of which nothing is known."""
        return cls(
            np.zeros((listeners, 0), np.float32), np.zeros((tracks, 0), np.float32)
        )


class Fit:
    """A fit under way."""

    tracks: Vectors  # v of each
    interests: Vectors  # x of each
    interest_of: Int32Array  # of each opening
    followed: Int32Array  # the interest at each response

    def __init__(
        self,
        chosen: Chosen,
        config: SessionModelConfig,
        seed: int,
        threads: int,
        report: Report = lambda _done, _note: None,
    ) -> None:
        """Start the tracks' vectors from those chosen alike, and noise.

        The seed decides the noise; the result does not depend on `threads`. `report` is called
        after each sweep with the sweeps done.
        """
        self.chosen = chosen
        self.threads = threads
        self.report = report
        self.done = 0
        self.dispersion = FIRST_DISPERSION
        size = (len(chosen.tracks), config.factors)
        first = make_generator(seed, "session_model").standard_normal(size)
        alike = chosen.tracks[:, : config.factors]
        axes = alike.shape[1]
        first[:, :axes] *= _FIRST_NOISE
        first[:, :axes] += alike * np.sqrt(axes)
        self.tracks = Vectors.exact((_FIRST_SPREAD * first).astype(np.float32))
        self.interests = Vectors(
            np.zeros((1, config.factors + 1), np.float32),
            np.eye(config.factors + 1, dtype=np.float32),
        )

    def run(self, responses: Responses) -> None:
        """Fit interests and tracks to responses."""
        self._learn_from(responses)
        self.known = np.arange(len(responses.organic))
        self.interest_of = np.zeros(len(self.known), np.int32)
        self._sweep(responses.organic, COARSE)
        # ALS has learned from the same shares: what it says is no prior to the end.
        self.chosen = Chosen.nothing(
            len(self.chosen.listeners), len(self.chosen.tracks)
        )
        self._sweep(self._group(responses), FINAL)

    def extend(self, responses: Responses, change: float) -> None:
        """Go on with more responses; sessions change their interest with a chance before each."""
        interest_of = self._group(responses)
        self.known = np.unique(responses.opening[~responses.is_held_out])
        self._learn_from(responses)
        self._sweep(interest_of, MORE, change)

    def _learn_from(self, responses: Responses) -> None:
        """Take responses to tracks whose artists are new to their sessions, or hold them out."""
        fresh = np.flatnonzero(responses.earlier == 0)
        if not len(fresh):  # of one artist alone: its fatigue is in every time
            fresh = np.arange(len(responses))
        self.held_out = fresh[_HELD_OUT - 1 :: _HELD_OUT]
        self.kept = kept = np.setdiff1d(fresh, self.held_out)
        self.responses = responses
        self.time = responses.time[kept]
        self.by_track = Grouping(responses.track[kept], len(responses.artist))

    def _group(self, responses: Responses) -> Int32Array:
        """Group openings by their organic tracks, in the metric of the interests so far."""
        vectors, interests = self.tracks.means, self.interests.means
        organics = vectors[self.responses.organic]
        middles = grouped_means(self.interest_of, len(interests), organics)
        metric = np.linalg.lstsq(middles, interests[:, :-1], rcond=None)[0]
        turned: Float32Array = vectors @ _root(metric + metric.T)
        return group_openings(responses.listener, responses.organic, turned, _DISTANCE)

    def _sweep(self, interest_of: Int32Array, sweeps: int, change: float = 0.0) -> None:
        """Fit the interests of openings, and tracks, in turn, from where they are."""
        count, size = int(interest_of.max()) + 1, self.tracks.means.shape[1]
        self.followed = interest_of[self.responses.opening]
        before = self.interests.means[self.interest_of]
        means = grouped_means(interest_of[self.known], count, before)
        self.interests = Vectors(means, self.interests.covariance)
        self.interest_of = interest_of
        expected = np.zeros((count, size + 1), dtype=np.float32)
        usual = np.zeros_like(self.tracks.means)
        for _ in range(sweeps):
            if change:
                self._follow(change)
            by_interest = Grouping(self.followed[self.kept], count)
            if self.done:
                expected = self._expected_interests(by_interest.counts)
                usual = self._expected_tracks()
            self.interests = regress(
                Shares(self.time, np.zeros_like(self.time), self.dispersion),
                by_interest,
                self.by_track.row,
                self.interests,
                self.tracks.with_constant(),
                expected,
                self.threads,
            )
            constant = self.interests.means[by_interest.row, size]
            self.tracks = regress(
                Shares(self.time, constant, self.dispersion),
                self.by_track,
                by_interest.row,
                self.tracks,
                self.interests.without_constant(),
                usual,
                self.threads,
            )
            self._measure()
            self.done += 1
            self.report(self.done, f"dispersion {self.dispersion:.3f}")

    def _expected_interests(self, counts: IntArray) -> Float32Array:
        """Predict each interest's vector from its organic tracks, at first by ALS too."""
        features = np.hstack(
            [
                self.tracks.with_constant().means[self.responses.organic],
                self.chosen.listeners[self.responses.listener],
            ]
        )
        middles = grouped_means(self.interest_of, len(counts), features)
        return predict(middles, self.interests.means, np.sqrt(counts)[:, None])

    def _expected_tracks(self) -> Float32Array:
        """Predict each track's vector from the others of its artist, at first by ALS too."""
        vectors, artist = self.tracks.means, self.responses.artist
        counts = np.bincount(artist)
        means = grouped_means(artist, len(counts), vectors)[artist]
        count = counts[artist, None]
        usual = (means * count - vectors) / np.maximum(count - 1, 1)
        ones = np.ones((len(vectors), 1))
        features = np.hstack([usual, ones, self.chosen.tracks])
        return predict(features, vectors, ones)

    def _follow(self, change: float) -> None:
        """Give responses to the interests of listeners that their sessions have changed to.

        A response shows its interest together with the two before and after it, by quasi-likelihood
        (McCullagh and Nelder, 9); those held out have no say. That of the opening is likelier.
        """
        heard, interests = self.responses, self.interests.means
        owner = np.empty(len(interests), np.int32)
        owner[self.interest_of] = heard.listener
        is_kept = np.isin(np.arange(len(heard)), self.kept)
        features = self.tracks.with_constant().means
        for start in range(0, len(heard), _AT_ONCE):
            rows = slice(start, start + _AT_ONCE)
            own = self.interest_of[heard.opening[rows], None]
            near = (own + _NEAR) % len(owner)
            is_theirs = owner[near] == owner[own]
            choices = np.where(is_theirs, near, own)
            tracks = features[heard.track[rows], None]
            logits = np.einsum("rck,rck->rc", interests[choices], tracks)
            logs = heard.time[rows, None] * logits - np.logaddexp(0, logits)
            logs *= is_kept[rows, None] / self.dispersion
            likely = logs - np.log(change) * (choices == own)
            for apart in (1, 2):
                is_same = heard.place[rows, None][apart:] >= apart
                likely[apart:] += is_same * logs[:-apart]
                likely[:-apart] += is_same * logs[apart:]
            best = likely.argmax(axis=1)
            self.followed[rows] = choices[np.arange(len(own)), best]

    def _logits(self, rows: IntArray) -> AnyFloatArray:
        """Return the logits of some responses."""
        features = self.tracks.with_constant().means
        track, means = self.responses.track[rows], self.interests.means
        return paired_dots(means, self.followed[rows], features, track, self.threads)

    def _measure(self) -> None:
        """Measure the dispersion by the responses held out."""
        rows, features = self.held_out, self.tracks.with_constant()
        heard, vectors = self.responses, self.interests
        followed, track = self.followed[rows], heard.track[rows]
        uncertainty = variances_along(features.means, vectors.covariance)[track]
        uncertainty += variances_along(vectors.means, features.covariance)[followed]
        self.dispersion = measure_dispersion(
            self._logits(rows), heard.time[rows], uncertainty
        )

    def describe(self) -> SessionModel:
        """Return the model so far, with the rows and columns of the dataset as numbers."""
        responses, features = self.responses, self.tracks.with_constant().means
        interests, errors = self.interests.means, self.interests.covariance
        opened_by, followed = features[responses.organic], interests[self.interest_of]
        new_map = np.linalg.lstsq(opened_by, followed, rcond=None)[0]
        about = followed - opened_by @ new_map
        new_precision = estimate_precision(about, errors)
        order = np.lexsort((responses.organic, responses.listener))
        return SessionModel(
            track_factors=features,
            listeners=responses.listener[order].astype(np.int64),
            organics=responses.organic[order].astype(np.int64),
            interest_of=self.interest_of[order],
            interests=interests,
            odds=self._find_odds(new_precision),
            covariance=errors,
            new_map=new_map.astype(np.float32),
            new_covariance=np.linalg.inv(new_precision),
            dispersion=self.dispersion,
            artist_fatigue=self._find_fatigue(),
        )

    def _find_odds(self, new_precision: Float32Array) -> Float32Array:
        """Return the log odds of each interest against a new one, at a new opening of its listener.

        The chance of a new interest is that of one met once (Good, "The population frequencies of
        species", 1953). A known interest x counts by its openings and, by Bayes' rule, by
        p(x | organic track) / p(x), both normal; a session adds how far x is from what its organic
        track says.
        """
        interests, listener = self.interests.means, self.responses.listener
        opened = np.bincount(self.interest_of)
        owner = np.empty(len(opened), np.int64)
        owner[self.interest_of] = listener
        share = opened / np.bincount(listener)[owner]
        once = np.count_nonzero(opened == 1)
        is_new = (once + 1) / (len(self.interest_of) + 2)
        centred = interests - interests.mean(axis=0)
        precision = estimate_precision(centred, self.interests.covariance)
        volumes = [np.linalg.slogdet(own)[1] for own in (new_precision, precision)]
        prior = np.log(share * (1 - is_new) / is_new)
        distances = variances_along(centred, precision)
        odds: Float32Array = prior + (volumes[0] - volumes[1] + distances) / 2
        return odds.astype(np.float32)

    def _find_fatigue(self) -> float:
        """Find the fatigue of artists by responses that were not learned from.

        Responses to the artist of the organic track do not count, where there are others: an
        interest that is near its organic track likes them more than the vectors say.
        """
        heard = self.responses
        again = np.flatnonzero(heard.earlier > 0)
        organic = heard.organic[heard.opening[again]]
        is_other = heard.artist[heard.track[again]] != heard.artist[organic]
        others = again[is_other]
        used = np.concatenate([self.held_out, others if len(others) else again])
        mean, _ = mean_and_slope(self._logits(used))
        return find_decay(mean, heard.time[used], heard.earlier[used])


def _unit(vectors: AnyFloatArray) -> Float32Array:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Float32Array = (vectors / np.maximum(lengths, 1e-9)).astype(np.float32)
    return unit


def _root(symmetric: npt.NDArray[np.floating]) -> Float32Array:
    """Return R with R R' = the matrix, where negative eigenvalues count as 0."""
    values, vectors = np.linalg.eigh(symmetric)
    lengths = np.sqrt(np.maximum(values, 0))
    root: Float32Array = (vectors * lengths).astype(np.float32)
    return root
