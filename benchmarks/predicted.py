"""How well offline numbers predict an experiment: sixteen models, scored offline, then served over HTTP to listeners.

    python -m benchmarks.predicted [--rounds 9]

Needs out/seed (`python -m benchmarks.data`). The models' lists of 30 are scored on the held-out sessions as a search
scores them: NDCG@30, and the off-policy estimate of the listening time of a recommended track. Then the same lists are
served, one of the 30 at random. In each round the arms (random recommendations, and one for each model) move on by one,
so that models are compared on the same listeners; fewer rounds than arms give each listener so many of the models.
Measured is the effect on mean_time_per_session against random, with 95 % intervals by the bootstrap over listeners.
Written are docs/predictions.svg and a table in Markdown.
"""

import tempfile
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import typer
import yaml
from scipy import stats

from analysis import queries
from analysis.ab.measures import measure_original
from analysis.ab.tables import load
from analysis.statistics import bootstrap
from benchmarks.data import dataset_of
from benchmarks.harness import SEED_CONFIG, SEED_WORLD
from benchmarks.models import DEPTH, make_models
from benchmarks.predictions_chart import Interval, draw_predictions
from botify.experiments import Experiment
from looplib.arrays import FloatArray, IntArray
from looplib.config import load_config
from looplib.files import atomic_write_text
from looplib.randomness import make_generator
from recsys.cluster.cluster import open_cluster, usable_cores
from recsys.config import SearchConfig
from recsys.loop.processes import Step, free_port, run_step, service_step, serving
from recsys.scoring import Scorer, score_lists
from recsys.store.remote import open_store
from tests.botify.exports import publish

EXPERIMENT, CONTROL, RESAMPLES = "PREDICTED", "random", 2000
NDCG, OPE = f"ndcg@{DEPTH}", f"ope_time@{DEPTH}"
COLOURS = {"als": "var(--arm-1)", "context": "var(--arm-2)", "other": "var(--arm-3)"}


def main(
    config: Path = SEED_CONFIG,
    world: Path = SEED_WORLD,
    sessions: Annotated[int, typer.Option(help="Of each round.")] = 10_000,
    rounds: Annotated[int | None, typer.Option(help="Play fewer than one for each arm.")] = None,
    svg: Annotated[Path, typer.Option(help="The picture.")] = Path("docs/predictions.svg"),
) -> None:
    """Predict, measure, compare."""
    offline, users, lists = predict(load_config(SearchConfig, config))
    arms = [CONTROL, *lists]
    heard = [
        play_round(world, users, lists, [*arms[number:], *arms[:number]], sessions, number)
        for number in range(rounds or len(arms))
    ]
    effects = effects_of(heard, users, arms)
    order = np.argsort([effect[0] for effect in effects[1:]])
    rows = [offline[index] | {"effect": effects[1 + index]} for index in order]
    predicted = {"NDCG@30": [row["ndcg"] for row in rows], "off-policy estimate": [row["ope"] for row in rows]}
    chart = draw_predictions(predicted, [row["effect"] for row in rows], [row["kind"] for row in rows], COLOURS)
    atomic_write_text(svg, chart)
    print("| | model | NDCG@30 | off-policy estimate | effect over random |\n|---:|---|---|---|---|")
    for number, row in enumerate(rows, start=1):
        cells = (_text(row["ndcg"], 4), _text(row["ope"], 4), _text(row["effect"], 1))
        print(f"| {number} | {row['name']} | {' | '.join(cells)} % |")
    for name, values in predicted.items():
        print(f"\n{name}: Spearman {_text(rank_correlation(values, [row['effect'] for row in rows]), 2)}")


def predict(config: SearchConfig) -> tuple[list[dict[str, Any]], IntArray, dict[str, IntArray]]:
    """Return the models' offline scores, the listeners, and the lists of each model in ids of the log."""
    with open_cluster(config.cluster) as cluster, tempfile.TemporaryDirectory(prefix="predicted-") as scratch:
        dataset = dataset_of(config, cluster)
        models = make_models(open_store(config.store), config, dataset, cluster, Path(scratch))
    scorer = Scorer(dataset.address, config.validation, config.seed, usable_cores())
    offline = []
    for model in models:
        metrics = score_lists(scorer, model.lists, is_whole=True).metrics
        offline.append({"name": model.name, "kind": model.kind, "ndcg": metrics[NDCG], "ope": metrics[OPE]})
    lists = {model.name: np.where(model.lists < 0, -1, dataset.tracks[model.lists]) for model in models}
    return offline, dataset.users, lists


def play_round(
    world: Path, users: IntArray, lists: dict[str, IntArray], arms: list[str], sessions: int, number: int
) -> pa.Table:
    """Serve the lists by real processes; return a row for each listener and arm."""
    named = [{"name": arm, "recommender": "random" if arm == CONTROL else "indexed"} for arm in arms]
    experiment = Experiment.model_validate({"name": EXPERIMENT, "arms": named})
    assigned = zip(users.tolist(), experiment.assign(users.tolist()), strict=True)
    some = next(iter(lists.values()))
    own = {user: lists.get(arm, some)[row] for row, (user, arm) in enumerate(assigned)}
    with tempfile.TemporaryDirectory(prefix="round-") as name:
        folder = Path(name)
        listed = {user: [track for track in tracks.tolist() if track >= 0] for user, tracks in own.items()}
        publish(folder / "published", f"round-{number}", listed, catalogue=world / "tracks.json", neighbours={0: [1]})
        settings = {
            "catalog": "-",
            "recommendations": "-",
            "log_dir": "-",
            "experiments": [{"name": EXPERIMENT, "arms": named}],
            "decides": EXPERIMENT,
            "event_log": {"fsync": "never"},
        }
        config = folder / "botify.yaml"
        config.write_text(yaml.safe_dump(settings, sort_keys=False))
        port = free_port()
        words: list[str | Path] = ["--world", world, "--recommender", "remote", "--url", f"http://127.0.0.1:{port}"]
        words += ["--episodes", str(sessions), "--batch", "500", "--seed", "31337", "--set", "timeout_s=120"]
        service = service_step(config, world / "tracks.json", folder / "published", folder / "log", port)
        with serving(service, port):
            run_step(Step(f"Listeners, round {number + 1}", "sim.run", words))
        with load([folder / "log"], EXPERIMENT, table_only=True) as loaded:
            measure_original(loaded)
            return queries.read_table(loaded.connection, "listener_sums_whole")


def effects_of(rounds: list[pa.Table], users: IntArray, arms: list[str]) -> list[Interval]:
    """Return each arm's effect on the mean listening time of a session in % of the control's, with its interval."""
    sessions, times = np.zeros((2, len(users), len(arms)))
    column = {arm: index for index, arm in enumerate(arms)}
    for heard in rounds:
        at = np.searchsorted(users, heard["user"].to_numpy()), [column[arm] for arm in heard["arm"].to_pylist()]
        sessions[at] += heard["sessions"].to_numpy()
        times[at] += heard["time"].to_numpy()
    means = bootstrap.Ratios(
        np.divide(times, sessions, out=np.zeros_like(times), where=sessions > 0), (sessions > 0).astype(np.float64)
    )
    (resampled,) = bootstrap.estimate(bootstrap.Resamples(len(users), RESAMPLES, 0), means)
    value = means.numerators.sum(axis=0) / means.denominators.sum(axis=0)
    ends = bootstrap.percentile_interval(100 * (resampled / resampled[:, :1] - 1))
    effects = 100 * (value / value[0] - 1)
    return [(float(effect), float(low), float(high)) for effect, low, high in zip(effects, *ends, strict=True)]


def rank_correlation(predicted: list[Interval], effects: list[Interval]) -> Interval:
    """Return Spearman's correlation of the values, with its 95 % interval by the bootstrap over models."""
    x, y = (np.array([row[0] for row in rows]) for rows in (predicted, effects))
    rng = make_generator(0, "models")
    found: list[float] = []
    while len(found) < RESAMPLES:
        drawn = rng.integers(len(x), size=len(x))
        if len(np.unique(drawn)) > 2:
            found.append(_spearman(x[drawn], y[drawn]))
    low, high = np.quantile(found, [0.025, 0.975])
    return _spearman(x, y), float(low), float(high)


def _spearman(x: FloatArray, y: FloatArray) -> float:
    return float(stats.spearmanr(x, y).statistic)


def _text(interval: Interval, decimals: int) -> str:
    value, low, high = (f"{number:.{decimals}f}" for number in interval)
    return f"{value} ({low} … {high})"


if __name__ == "__main__":
    typer.run(main)
