"""How well offline numbers foretell an experiment: many models, judged offline, then served over HTTP to listeners.

    python -m benchmarks.foretold [--config configs/seed.yaml] [--world out/seed/world] [--svg docs/foretold.svg]

Needs a world and a store of its listeners' sessions (the README says how). Models of many kinds and qualities learn
from the store's training sessions (`benchmarks.foretold_models`). Their lists of 30 are judged on the held-out sessions
as a search scorers them: NDCG@30, and the off-policy estimate of the listening time of a recommended track. Then the
same lists are served over HTTP, one of the 30 at random, each to every listener (`benchmarks.crossover`). Measured is
the effect on mean_time_per_session against random recommendations, with 95 % intervals by the bootstrap over listeners.

Left is a picture; printed is a table in Markdown, and how well the one orders models as the other. What an earlier run
has left in the folder `--out`, the lists and the rounds, is not done again.
"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import orjson
import typer
from scipy import stats

from analysis.statistics import bootstrap
from benchmarks.crossover import Heard, Traffic, cross_over
from benchmarks.foretold_figure import draw
from benchmarks.foretold_models import DEPTH, make_models
from looplib.arrays import FloatArray
from looplib.config import load_config
from looplib.files import atomic_write, atomic_write_text
from looplib.randomness import make_generator
from recsys.cluster.cluster import open_cluster, usable_cores
from recsys.config import SearchConfig
from recsys.dataset.build import build_dataset
from recsys.scoring.scorer import Scorer, score_lists
from recsys.store.remote import open_store

RESAMPLES = 2000
LISTS, OFFLINE = "lists.npz", "offline.json"
NDCG, OPE = f"ndcg@{DEPTH}", f"ope_time@{DEPTH}"
Statistic = Callable[[FloatArray, FloatArray], float]
Interval = tuple[float, float, float]
app = typer.Typer(add_completion=False)


@dataclass(frozen=True)
class Row:
    """A model, offline and served; intervals are a value and the ends of its 95 % interval.

    Attributes:
        name: Of the model.
        kind: "als", "context" or "other".
        ndcg: NDCG@30 on the held-out sessions.
        ope: Off-policy estimate of the share heard of a recommended track.
        served: That share when served.
        time: Mean listening time of a session when served, the organic track included.
        effect: On that, against random recommendations, in %.
    """

    name: str
    kind: str
    ndcg: Interval
    ope: Interval
    served: float
    time: float
    effect: Interval


@app.command()
def main(
    config: Annotated[Path, typer.Option(help="Configuration of the search.")] = Path("configs/seed.yaml"),
    world: Annotated[Path, typer.Option(help="Folder of the world.")] = Path("out/seed/world"),
    sessions: Annotated[int, typer.Option(help="Of each round, and of each model in all.")] = 10_000,
    rounds: Annotated[int | None, typer.Option(help="Play fewer than one for each arm.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of what is found on the way.")] = Path("out/seed/foretold"),
    svg: Annotated[Path, typer.Option(help="The picture.")] = Path("docs/foretold.svg"),
) -> None:
    """Foretell, measure, compare."""
    out.mkdir(parents=True, exist_ok=True)
    if not (out / OFFLINE).exists():
        foretell(load_config(SearchConfig, config), out)
    found = measure(world, Traffic(sessions, rounds=rounds), out)
    found.sort(key=lambda row: row.effect[0])
    atomic_write_text(svg, draw([(row.kind, row.ndcg, row.ope, row.effect) for row in found]))
    print("\n".join(table(found)))
    print()
    print("\n".join(correlations(found)))


def foretell(config: SearchConfig, folder: Path) -> None:
    """Leaves the models' lists, in ids of the log, and what they are worth offline."""
    began = time.perf_counter()
    store = open_store(config.store)
    with open_cluster(config.cluster) as cluster, tempfile.TemporaryDirectory(prefix="foretold-") as scratch:
        dataset = build_dataset(store, config, cluster, lambda _done, _note: None)
        models = make_models(store, config, dataset, cluster, Path(scratch))
    fitted = time.perf_counter()
    scorer = Scorer(dataset.address, config.validation, config.seed, usable_cores())
    offline = []
    for model in models:
        metrics = score_lists(scorer, model.lists).metrics
        offline.append({"name": model.name, "kind": model.kind, "ndcg": metrics[NDCG], "ope": metrics[OPE]})
    print(f"{len(models)} models in {fitted - began:.0f} s, judged in {time.perf_counter() - fitted:.0f} s")
    lists = np.stack([np.where(model.lists < 0, -1, dataset.tracks[model.lists]) for model in models])
    with atomic_write(folder / LISTS) as file:
        np.savez(file, allow_pickle=False, users=dataset.users, lists=lists)
    with atomic_write(folder / OFFLINE) as file:
        file.write(orjson.dumps(offline, option=orjson.OPT_INDENT_2))


def measure(world: Path, traffic: Traffic, folder: Path) -> list[Row]:
    """Serves the lists; a row for each model, in their order."""
    began = time.perf_counter()
    offline = orjson.loads((folder / OFFLINE).read_bytes())
    with np.load(folder / LISTS) as file:
        users, lists = file["users"], dict(zip((one["name"] for one in offline), file["lists"], strict=True))
    heard = cross_over(world, users, lists, traffic, folder)
    print(f"{heard.sessions.sum():,.0f} sessions served in {time.perf_counter() - began:.0f} s\n")
    effects = effects_of(heard)
    return [_row(one, heard, place, effects[place]) for place, one in enumerate(offline, start=1)]


def effects_of(heard: Heard) -> list[Interval]:
    """Each arm's effect on mean_time_per_session in % of the control's, all on the same resamples of the listeners."""
    means = bootstrap.Ratios(heard.mean_time, (heard.sessions > 0).astype(np.float64))
    listeners = len(heard.sessions)
    (resampled,) = bootstrap.estimate(bootstrap.Resamples(listeners, RESAMPLES, 0), means)
    value = means.numerators.sum(axis=0) / means.denominators.sum(axis=0)
    effect = 100 * (value / value[0] - 1)
    ends = bootstrap.percentile_interval(100 * (resampled / resampled[:, :1] - 1))
    return [(float(one), float(low), float(high)) for one, low, high in zip(effect, *ends, strict=True)]


def _row(offline: dict[str, Any], heard: Heard, place: int, effect: Interval) -> Row:
    sessions, tracks, listened = (each[:, place].sum() for each in (heard.sessions, heard.tracks, heard.time))
    return Row(
        **offline,
        served=float((listened - sessions) / (tracks - sessions)),
        time=float(heard.mean_time[:, place].sum() / np.count_nonzero(heard.sessions[:, place])),
        effect=effect,
    )


def table(rows: list[Row]) -> list[str]:
    """Lines of Markdown, numbered as the dots of the picture."""
    lines = [
        "| | model | NDCG@30 | off-policy estimate | the same, served | time per session | effect over random |",
        "|---:|---|---|---|---:|---:|---|",
    ]
    return lines + [
        f"| {number} | {row.name} | {_with_ends(row.ndcg, 4)} | {_with_ends(row.ope, 4)} | {row.served:.4f} | "
        f"{row.time:.3f} | {_with_ends(row.effect, 1, sign='+')} % |"
        for number, row in enumerate(rows, start=1)
    ]


def correlations(rows: list[Row]) -> list[str]:
    """Lines of Markdown: how alike the orders of models are, with 95 % intervals by the bootstrap over models."""
    groups = {"all models": rows, "ALS models alone": [row for row in rows if row.kind == "als"]}
    lines = ["| models | offline number | Spearman | Kendall |", "|---|---|---|---|"]
    for group, members in groups.items():
        effect = np.array([row.effect[0] for row in members])
        for number, values in {
            "NDCG@30": np.array([row.ndcg[0] for row in members]),
            "off-policy estimate": np.array([row.ope[0] for row in members]),
        }.items():
            spearman = _resampled(_spearman, values, effect)
            kendall = _resampled(_kendall, values, effect)
            name = f"{group} ({len(members)})"
            lines.append(f"| {name} | {number} | {_with_ends(spearman, 2)} | {_with_ends(kendall, 2)} |")
    return lines


def _spearman(one: FloatArray, other: FloatArray) -> float:
    return float(stats.spearmanr(one, other).statistic)


def _kendall(one: FloatArray, other: FloatArray) -> float:
    return float(stats.kendalltau(one, other).statistic)


def _resampled(statistic: Statistic, one: FloatArray, other: FloatArray) -> Interval:
    rng = make_generator(0, "models")
    found: list[float] = []
    while len(found) < RESAMPLES:
        drawn = rng.integers(len(one), size=len(one))
        if len(np.unique(drawn)) > 2:
            found.append(statistic(one[drawn], other[drawn]))
    low, high = np.quantile(found, [0.025, 0.975])
    return statistic(one, other), float(low), float(high)


def _with_ends(interval: Interval, decimals: int, sign: str = "") -> str:
    value, low, high = (f"{number:{sign}.{decimals}f}" for number in interval)
    return f"{value} ({low} … {high})"


if __name__ == "__main__":
    app()
