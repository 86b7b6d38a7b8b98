"""What is tried: the combinations of a search space, each a trial with an id that follows from what it is."""

import hashlib
import itertools
from collections.abc import Iterable
from dataclasses import asdict, dataclass

import orjson

from looplib.randomness import make_generator
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


@dataclass(frozen=True)
class Candidate:
    """Hyperparameters that may win, and their trials: one a seed, judged by the mean."""

    trials: tuple[Trial, ...]

    @property
    def id(self) -> str:
        """The id of its first trial, the one that is published."""
        return self.trials[0].id

    @property
    def params(self) -> AlsParams:
        """The hyperparameters of all its trials."""
        return self.trials[0].params


def plan_candidates(search: Search, dataset_digest: str, seed: int) -> tuple[Candidate, ...]:
    """The candidates of a search, those with the most factors first so that the longest does not start last.

    Raises:
        SearchError: More random trials are asked for than the grid has.
    """
    axes = search.space.model_dump()
    grid = [AlsParams(**dict(zip(axes, values, strict=True))) for values in itertools.product(*axes.values())]
    if search.strategy == "random":
        grid = _draw(grid, search.trials or 0, seed)
    grid.sort(key=lambda params: -params.factors)
    return tuple(Candidate(tuple(_trials(params, dataset_digest, search.seeds or (seed,)))) for params in grid)


def _trials(params: AlsParams, dataset_digest: str, seeds: Iterable[int]) -> Iterable[Trial]:
    for seed in seeds:
        facts = {"dataset": dataset_digest, "params": asdict(params), "seed": seed}
        digest = hashlib.sha256(orjson.dumps(facts, option=orjson.OPT_SORT_KEYS)).hexdigest()
        yield Trial(digest[:12], params, seed)


def _draw(grid: list[AlsParams], count: int, seed: int) -> list[AlsParams]:
    if count > len(grid):
        raise SearchError(f"search.trials is {count}, and search.space has {len(grid)} combinations; at most that many")
    drawn = make_generator(seed, "trials").choice(len(grid), size=count, replace=False)
    return [grid[index] for index in sorted(drawn)]
