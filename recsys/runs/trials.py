"""What is tried: the combinations of a search space, each a trial with an id that follows from what it is."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from looplib.files import digest_of
from looplib.randomness import make_generator
from recsys.config import Search
from recsys.errors import SearchError
from recsys.models.kinds import KINDS


@dataclass(frozen=True)
class Trial:
    """One fit of the search."""

    id: str  # digest of dataset, parameters and seed, the same in every search; of a baseline its name
    kind: str  # of model, in `recsys.models.kinds.KINDS`
    params: Any  # of the kind's `params_type`
    seed: int  # decides all that is random in the fit

    @property
    def is_baseline(self) -> bool:
        """Whether it is scored beside the others and never wins."""
        return KINDS[self.kind].is_baseline


# The trials of the same hyperparameters, one a seed; scored by their mean, known and published by the first.
Candidate = tuple[Trial, ...]


def plan_candidates(search: Search, dataset_digest: str, seed: int) -> tuple[Candidate, ...]:
    """Plan the candidates of a search, those with the most factors first so that the longest does not start last.

    Raises:
        SearchError: More random trials are asked for than the grid has.
    """
    axes = search.space.model_dump()
    seeds = search.seeds or (seed,)
    candidates = [
        tuple(_trials(kind.name, params, dataset_digest, seeds))
        for kind in KINDS.values()
        if not kind.is_baseline
        for params in kind.grid(axes)
    ]
    if search.strategy == "random":
        candidates = _draw(candidates, search.trials or 0, seed)
    return tuple(sorted(candidates, key=lambda candidate: -getattr(candidate[0].params, "factors", 0)))


def plan_baselines(seed: int) -> tuple[Trial, ...]:
    """Plan the baselines of a search."""
    return tuple(
        Trial(kind.name, kind.name, params, seed)
        for kind in KINDS.values()
        if kind.is_baseline
        for params in kind.grid({})
    )


def _trials(kind: str, params: Any, dataset_digest: str, seeds: Iterable[int]) -> Iterable[Trial]:  # noqa: ANN401  of any kind
    for seed in seeds:
        facts = {"dataset": dataset_digest, "params": asdict(params), "seed": seed}
        if kind != "als":  # the first kind there was: its ids stay what they were
            facts["kind"] = kind
        yield Trial(digest_of(facts)[:12], kind, params, seed)


def _draw(grid: Sequence[Candidate], count: int, seed: int) -> list[Candidate]:
    if count > len(grid):
        raise SearchError(f"search.trials is {count}, and search.space has {len(grid)} combinations; at most that many")
    drawn = make_generator(seed, "trials").choice(len(grid), size=count, replace=False)
    return [grid[index] for index in sorted(drawn)]
