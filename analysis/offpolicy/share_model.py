"""A reward model of the log's own: the share that is heard of a recommended track, given session and listener.

Listener u hears of track a, after e tracks of its artist and as the p-th recommendation of a
session that track o opened, the share

    wear^e · tire^(p - 1) · logistic(b + b_u + b_a + s [a and o have one artist] + exp(c_u) · (x_o +
    y_u) · v_a).

The fit maximises the likelihood of fractional responses (Papke & Wooldridge, Econometric Methods
for Fractional Response Variables, 1996), which no noise about the mean share biases, with a ridge,
by Adam on random batches (Kingma & Ba, 2015). s keeps the wear of artists apart from how alike
their tracks are: only tracks of artists that had been recommended before tell of it.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csc_matrix
from scipy.special import expit, xlog1py, xlogy

from looplib.arrays import FloatArray, IntArray
from looplib.randomness import make_generator

_FACTORS = 16
_BATCH = 8192
_PASSES = (3, 15)  # over the log: the fewest and the most
_STEPS = 1000  # taken in between
_RATE, _MEMORY = 0.05, (0.9, 0.99)  # of Adam
# standard deviations of the first factors; what is not named begins at 0
_SPREAD = {"opener": 0.1, "vector": 0.3}
_RIDGE = {
    "listener": 3.0,
    "track": 3.0,
    "scale": 10.0,
    "opener": 2.0,
    "taste": 4.0,
    "vector": 2.0,
}
_FIRST = {"base": -2.0, "artist_wear": -0.1, "position_wear": -0.01}
_LEAST = 0.01  # 1 - share is taken for no less


@dataclass(frozen=True)
class Requests:
    """Requests and what was recommended, as indices; an index one beyond the last stands for what was never seen."""

    listener: IntArray
    opener: IntArray  # the organic track
    track: IntArray
    same: FloatArray  # 1 where both tracks have one artist, else 0
    earlier: IntArray  # tracks of the artist heard before in the session
    position: IntArray  # 0 for a session's first recommendation

    def at(self, rows: npt.NDArray[np.generic]) -> "Requests":
        """Return some of the requests."""
        return Requests(*(column[rows] for column in vars(self).values()))


class ShareModel:
    """A fitted model."""

    def __init__(self, listeners: int, tracks: int, *, ridge: float, seed: int) -> None:
        """Begin a model of so many listeners and tracks."""
        self._ridge = {name: ridge * strength for name, strength in _RIDGE.items()}
        rows = {"listener": listeners, "scale": listeners, "track": tracks}
        wide = {"opener": tracks, "taste": listeners, "vector": tracks}
        shapes: dict[str, tuple[int, ...]] = {
            name: (count + 1,) for name, count in rows.items()
        }
        shapes |= {name: (count + 1, _FACTORS) for name, count in wide.items()}
        self._generator = make_generator(seed, "share model")
        self._values = {
            name: _SPREAD.get(name, 0.0) * self._generator.standard_normal(shape)
            for name, shape in shapes.items()
        }
        self._values |= {
            name: np.array(_FIRST.get(name, 0.0)) for name in (*_FIRST, "same")
        }

    def fit(self, requests: Requests, share: FloatArray) -> "ShareModel":
        """Learn from requests and the share heard after each, shape (requests,)."""
        count, batch = len(share), min(_BATCH, len(share))
        passes = int(np.clip(-(-_STEPS * batch // max(count, 1)), *_PASSES))
        means, squares = (
            {name: np.zeros_like(array) for name, array in self._values.items()}
            for _ in range(2)
        )
        steps = passes * (count // max(batch, 1))
        for step in range(steps):
            begin = step % (count // batch) * batch
            if not begin:
                order = self._generator.permutation(count)
            rows = order[begin : begin + batch]
            gradients = self._gradients(requests.at(rows), share[rows])
            for name, values in self._values.items():
                gradient = (
                    gradients[name]
                    + self._ridge.get(name, 0.0) * batch / count * values
                )
                means[name] += (1 - _MEMORY[0]) * (gradient - means[name])
                squares[name] += (1 - _MEMORY[1]) * (gradient**2 - squares[name])
                spread = np.sqrt(squares[name] / (1 - _MEMORY[1] ** (step + 1))) + 1e-8
                rate = _RATE * (1 - step / steps) / (1 - _MEMORY[0] ** (step + 1))
                values -= rate * means[name] / spread
            for name in ("artist_wear", "position_wear"):
                np.minimum(self._values[name], 0.0, out=self._values[name])
        seen = {
            "listener": requests.listener,
            "taste": requests.listener,
            "scale": requests.listener,
        }
        seen |= {
            "track": requests.track,
            "vector": requests.track,
            "opener": requests.opener,
        }
        for name, rows in seen.items():
            self._values[name][
                np.bincount(rows, minlength=len(self._values[name])) == 0
            ] = 0.0
        return self

    def deviance(self, requests: Requests, share: FloatArray) -> float:
        """Return the mean negative log-likelihood of shares."""
        predicted = expit(self.logit(requests)) * self.wear(
            requests.earlier, requests.position
        )
        return -float(
            np.mean(
                xlogy(share, predicted)
                + xlog1py(1 - share, -np.minimum(predicted, 1 - _LEAST))
            )
        )

    def logit(self, requests: Requests) -> FloatArray:
        """Return the logit of the share of a fresh track in a fresh session."""
        values = self._values
        products = np.einsum(
            "ij,ij->i", self._context(requests), values["vector"][requests.track]
        )
        biases = values["listener"][requests.listener] + values["track"][requests.track]
        scales = np.exp(values["scale"][requests.listener])
        return np.asarray(
            values["base"] + biases + values["same"] * requests.same + scales * products
        )

    def moves(self, requests: Requests) -> FloatArray:
        """Return how the logit changes with the context of the session, shape (requests, factors)."""
        scales = np.exp(self._values["scale"][requests.listener])
        return np.asarray(
            scales[:, np.newaxis] * self._values["vector"][requests.track]
        )

    def wear(self, earlier: IntArray, position: IntArray) -> FloatArray:
        """Return the factor by which artists and sessions wear out, 0..1, of the shape of the arguments."""
        return np.exp(
            self._values["artist_wear"] * earlier
            + self._values["position_wear"] * position
        )

    def _context(self, requests: Requests) -> FloatArray:
        return np.asarray(
            self._values["opener"][requests.opener]
            + self._values["taste"][requests.listener]
        )

    def _gradients(
        self, requests: Requests, share: FloatArray
    ) -> dict[str, FloatArray]:
        """Return the gradients of the negative log-likelihood of a batch."""
        fresh = expit(self.logit(requests))
        predicted = fresh * self.wear(requests.earlier, requests.position)
        of_factor = (predicted - share) / np.maximum(1 - predicted, _LEAST)
        of_logit = of_factor * (1 - fresh)
        scales = np.exp(self._values["scale"][requests.listener])
        context, vectors = (
            self._context(requests),
            self._values["vector"][requests.track],
        )
        scaled = (of_logit * scales)[:, np.newaxis]
        by_listener, by_track, by_opener = (
            _summing(rows, len(self._values[name]))
            for rows, name in (
                (requests.listener, "taste"),
                (requests.track, "vector"),
                (requests.opener, "opener"),
            )
        )
        return {
            "base": of_logit.sum(),
            "same": of_logit @ requests.same,
            "artist_wear": of_factor @ requests.earlier,
            "position_wear": of_factor @ requests.position,
            "listener": by_listener @ of_logit,
            "scale": by_listener
            @ (scaled[:, 0] * np.einsum("ij,ij->i", context, vectors)),
            "track": by_track @ of_logit,
            "vector": by_track @ (scaled * context),
            "opener": by_opener @ (scaled * vectors),
            "taste": by_listener @ (scaled * vectors),
        }


def _summing(rows: IntArray, count: int) -> csc_matrix:
    """Return the matrix that adds up what belongs to each of `count` rows, shape (count, len(rows))."""
    return csc_matrix(
        (np.ones(len(rows)), rows, np.arange(len(rows) + 1)), shape=(count, len(rows))
    )
