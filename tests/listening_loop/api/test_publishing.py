"""A fitted model of `implicit`, published without a store, and a model that a search found."""

from pathlib import Path
from typing import Any

import implicit.bpr
import numpy as np
import psutil
import pytest
from implicit.cpu.als import AlternatingLeastSquares
from implicit.nearest_neighbours import CosineRecommender
from scipy.sparse import csr_matrix

import listening_loop as ll
from botify.model.catalogue import user_number
from botify.model.factors import FACTORS
from botify.model.model import SIMILAR
from botify.service import load_configured
from botify.settings import load_settings
from tests.botify.exports import read_lists, read_manifest
from tests.programs import run_python
from tests.recsys.in_process import without_processes
from tests.recsys.plays import make_plays_store, random_plays

# the library converts matrices of its own, and asks for one thread of BLAS
pytestmark = pytest.mark.filterwarnings("ignore")
BPR = "implicit.bpr.BayesianPersonalizedRanking"
USERS = [f"u{number}" for number in range(60)]


@pytest.fixture(scope="module")
def items() -> csr_matrix:
    generator = np.random.default_rng(3)
    is_heard = generator.random((60, 40)) < 0.2
    return csr_matrix((generator.random((60, 40)) * is_heard).astype(np.float32))


@pytest.mark.parametrize("kind", [AlternatingLeastSquares, CosineRecommender])
def test_a_fitted_model_is_served_by_its_own_scores(
    items: csr_matrix,
    kind: Any,  # noqa: ANN401  a class without types
    tmp_path: Path,
) -> None:
    model = kind(num_threads=1)
    model.fit(items, show_progress=False)
    version = ll.publish(model, USERS, range(40), items, tmp_path, top=5)
    assert ll.publish(model, USERS, range(40), items, tmp_path, top=5) == version
    assert len([*(tmp_path / "versions").iterdir()]) == 1
    ids, _ = model.recommend(range(60), items, N=5)
    new = read_lists(version, "new.jsonl")
    assert [new[user][0] for user in USERS] == ids[:, 0].tolist()
    best, _ = model.similar_items(7, N=3)
    assert read_lists(version, "similar.jsonl")[7][0] in best.tolist()
    served = load_configured(load_settings(None, {}, published=tmp_path))
    best = read_lists(version)["u3"]
    assert served.recommendations.list_of(user_number("u3")) == best
    assert served.get(SIMILAR)
    assert served.get(FACTORS) is None  # no fold-in by another model's equation


def test_a_service_without_a_with_block_ends_with_the_program(
    items: csr_matrix, tmp_path: Path
) -> None:
    model = CosineRecommender()
    model.fit(items, show_progress=False)
    ll.publish(model, USERS, range(40), items, tmp_path)
    code = (
        "import psutil, listening_loop as ll\n"
        f"service = ll.serve({str(tmp_path)!r})\n"
        "(process,) = psutil.Process().children()\n"
        "print(service.next('u3', 7), process.pid)"
    )
    done = run_python("-c", code)
    track, pid = map(int, done.stdout.split()[-2:])
    assert track in range(40)
    assert not psutil.pid_exists(pid)


@pytest.mark.parametrize(
    ("users", "message"),
    [
        (USERS[1:], "users: 59 ids, 59 of them distinct; the matrix has 60"),
        (["u1", *USERS[1:]], "users: 60 ids, 59 of them distinct"),
        ([0, *USERS[1:]], "users: text and numbers found; write all ids as text"),
    ],
)
def test_ids_that_do_not_fit_are_refused(
    items: csr_matrix, tmp_path: Path, users: list[Any], message: str
) -> None:
    model = CosineRecommender()
    with pytest.raises(ll.Error, match=message):
        ll.publish(model, users, range(40), items, tmp_path)


@pytest.mark.slow
def test_a_class_is_searched_exported_and_taken_away(tmp_path: Path) -> None:
    store = make_plays_store(tmp_path, random_plays(3))
    models: dict[str, Any] = {
        "bpr": (implicit.bpr.BayesianPersonalizedRanking, {"factors": [4, 8]}),
        "ease": ("irspack.DenseSLIMRecommender", {"reg": [1.0, 50.0]}),
        "als": {"factors": 4},
    }
    settings = {"export.publish_anyway": True}
    split = {"kind": "newest", "holdout": 0.2}
    options: dict[str, Any] = {"iterations": 2, "split": split, "settings": settings}
    with without_processes():
        run = ll.search(
            store, models, strategy="halving", run=tmp_path / "run", **options
        )
        board = run.leaderboard
        assert {*models} <= {*board["model"]}
        assert not board["state"].eq("failed").any()
        assert {*board.loc[board["model"] == "ease", "iteration"]} == {0}
        bpr = {"bpr": {"class": BPR, "factors": 4}}
        only = ll.search(store, bpr, run=tmp_path / "bpr", **options)
        taken = only.model.to_implicit()
        version = only.export(tmp_path / "out", publish_anyway=True)
    taken.save(tmp_path / "model.npz")
    loaded = type(taken).load(tmp_path / "model.npz")
    assert np.array_equal(loaded.item_factors, only.model.item_factors)
    assert len(read_lists(version, "similar.jsonl")) > 9
    with pytest.raises(ll.Error, match=f"fold_in: {BPR} has no fold-in"):
        only.model.fold_in({1: 1.0})
    manifest = read_manifest(Path(version))
    assert manifest["parameters"]["class"]["class"] == BPR
    assert manifest["factors"] is None
