"""What is tried: the combinations of a search space, each a trial with an id that follows from what it is."""

import hashlib
import itertools
from dataclasses import asdict, dataclass

import orjson

from common.randomness import make_generator
from recsys.config import Search
from recsys.errors import SearchError
from recsys.models.als import AlsParams


@dataclass(frozen=True)
class Trial:
    """One fit of the search.

    Attributes:
        id: Digest of the dataset, the parameters and the seed: the same trial has the same id in every search.
        params: The fit's hyperparameters.
        seed: Decides the first factors.
    """

    id: str
    params: AlsParams
    seed: int


def plan_trials(search: Search, dataset_digest: str, seed: int) -> tuple[Trial, ...]:
    """The trials of a search, those with the most factors first so that the longest does not start last.

    Raises:
        SearchError: More random trials are asked for than the grid has.
    """
    space = search.space
    grid = [
        AlsParams(factors, regularization, alpha, cg_steps)
        for factors, regularization, alpha, cg_steps in itertools.product(
            space.factors, space.regularization, space.alpha, space.cg_steps
        )
    ]
    if search.strategy == "random":
        grid = _draw(grid, search.trials or 0, seed)
    trials = [Trial(_trial_id(params, dataset_digest, seed), params, seed) for params in grid]
    return tuple(sorted(trials, key=lambda trial: -trial.params.factors))


def _draw(grid: list[AlsParams], count: int, seed: int) -> list[AlsParams]:
    if count > len(grid):
        raise SearchError(f"search.trials is {count}, and search.space has {len(grid)} combinations; at most that many")
    drawn = make_generator(seed, "trials").choice(len(grid), size=count, replace=False)
    return [grid[index] for index in sorted(drawn)]


def _trial_id(params: AlsParams, dataset_digest: str, seed: int) -> str:
    facts = {"dataset": dataset_digest, "params": asdict(params), "seed": seed}
    return hashlib.sha256(orjson.dumps(facts, option=orjson.OPT_SORT_KEYS)).hexdigest()[:12]
