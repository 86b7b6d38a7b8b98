"""The response that a log is fitted by, on logs made with a response that is known."""

import numpy as np
import pytest

from sim.figures import Heard
from sim.fitted.responses import fit_response

LISTENERS, TRACKS, EACH, LENGTH = 150, 200, 60, 9


def _log(
    noise: float, gamma: float, tiredness: float
) -> tuple[Heard, np.ndarray, np.ndarray, np.ndarray]:
    """A log in which the share heard follows the formula; its directions, artists, and a_u."""
    rng = np.random.default_rng(1)
    directions = rng.normal(size=(TRACKS, 6))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    artist, wants = np.arange(TRACKS) // 40, rng.normal(-1, 1, LISTENERS)
    listener = np.repeat(np.arange(LISTENERS), EACH)
    tracks = np.argsort(rng.random((len(listener), TRACKS)), axis=1)[:, :LENGTH]
    cosine = np.einsum("sd,std->st", directions[tracks[:, 0]], directions[tracks])
    by = artist[tracks]
    earlier = np.stack(
        [(by[:, :at] == by[:, [at]]).sum(axis=1) for at in range(LENGTH)], axis=1
    )
    mean = 1 / (1 + np.exp(-(wants[listener][:, None] + 3 * cosine)))
    mean = (
        mean * gamma**earlier * (1 - tiredness) ** np.maximum(np.arange(LENGTH) - 1, 0)
    )
    share = np.round(100 * rng.beta(noise * mean, noise * (1 - mean)))
    share[:, 0] = 100
    heard = Heard(
        listener,
        np.full(len(listener), LENGTH),
        tracks.ravel(),
        share.ravel().astype(np.int64),
    )
    return heard, directions, artist, wants


@pytest.mark.parametrize(
    ("noise", "gamma", "tiredness"), [(1.0, 0.8, 0.03), (10.0, 0.6, 0.0)]
)
def test_the_response_of_a_log_is_found_again(
    noise: float, gamma: float, tiredness: float
) -> None:
    log, directions, artist, wants = _log(noise, gamma, tiredness)
    found = fit_response(log, directions, artist, seed=0)
    assert (found.beyond.noise, found.beyond.idiosyncrasy) == (noise, 0)
    assert found.squared_length == pytest.approx(3, rel=0.05)
    assert found.gamma == pytest.approx(gamma, abs=0.02)
    assert found.beyond.tiredness == pytest.approx(tiredness, abs=0.006)
    assert np.corrcoef(found.bias, -wants)[0, 1] > 0.98
    assert found.bias.std() == pytest.approx(wants.std(), rel=0.05)
    unheard = (1 - log.hundredths.reshape(-1, LENGTH)[:, 1:] / 100).sum(axis=1).mean()
    assert found.session_budget.mean() == pytest.approx(unheard, abs=0.15)
