"""Models of other libraries: the lists of each against its own `recommend`."""

import importlib
import json
import pickle
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy.sparse import csr_matrix

from analysis.statistics.effects import NO_INTERVAL
from looplib.arrays import NO_TRACK, AnyFloatArray
from recsys.cluster.cluster import Cluster, Job, Plan
from recsys.cluster.config import ClusterConfig
from recsys.dataset.interactions import Interactions
from recsys.errors import SearchError, TrialError
from recsys.models import libraries
from recsys.models.external import (
    External,
    ExternalConfig,
    adopt_model,
    describe_class,
    select_params,
)
from recsys.models.factors import Pool
from recsys.models.libraries import describe_code, pickle_class
from recsys.models.registry import find_kind, read_models
from recsys.models.trial import Checkpoint
from recsys.search.leaderboard import Entry, Leaderboard
from recsys.search.ledger import Score
from recsys.search.trials import plan_beyond, plan_trials

# libraries convert matrices of their own, and call what is deprecated
pytestmark = pytest.mark.filterwarnings("ignore")
LISTENERS, TRACKS = 1000, 200
K = 15


@pytest.fixture(scope="module")
def plays() -> Interactions:
    """Listeners of three tastes, some of whom have heard nothing."""
    generator = np.random.default_rng(5)
    taste = np.arange(LISTENERS)[:, None] % 3 == np.arange(TRACKS) % 3
    is_heard = generator.random(taste.shape) < np.where(taste, 0.12, 0.02)
    is_heard[::50] = False
    values = generator.integers(1, 9, taste.shape) * is_heard
    return Interactions(csr_matrix(values.astype(np.float32)))


def to_rectools(matrix: csr_matrix) -> Any:  # noqa: ANN401  of a library without types
    import pandas as pd
    from rectools.dataset import Dataset, IdMap
    from rectools.dataset import Interactions as Pairs

    pairs = matrix.tocoo()
    columns = {"user_id": pairs.row, "item_id": pairs.col, "weight": pairs.data}
    frame = pd.DataFrame(columns).assign(datetime=pd.Timestamp(0))
    return Dataset(*(IdMap(np.arange(size)) for size in matrix.shape), Pairs(frame))


def fit(plays: Interactions, made: object, axes: Mapping[str, Any]) -> External:
    """Fit a model as a search does."""
    models = read_models({"mine": (made, axes)})
    described = describe_class("mine", models["mine"])
    params = {name: values[0] for name, values in described.items()}
    model = find_kind("mine", params)(**params)
    assert isinstance(model, External)
    return model.fit(plays, seed=7, threads=1)


BPR = "implicit.bpr.BayesianPersonalizedRanking"
FACTORS = {"factors": 8, "iterations": 5}
IMPLICIT: dict[str, Any] = {
    "implicit.als.AlternatingLeastSquares": FACTORS,
    BPR: FACTORS,
    "implicit.lmf.LogisticMatrixFactorization": FACTORS,
    "implicit.nearest_neighbours.BM25Recommender": {"K": 20, "B": 0.5},
    "implicit.nearest_neighbours.TFIDFRecommender": {"K": 20},
    "implicit.nearest_neighbours.CosineRecommender": {"K": 20},
}
IRSPACK: dict[str, Any] = {
    "irspack.DenseSLIMRecommender": {"reg": 50.0},
    "irspack.RP3betaRecommender": {"beta": 0.4, "top_k": 30},
    "irspack.IALSRecommender": {"n_components": 8, "train_epochs": 2},
    "irspack.TopPopRecommender": {},
}


def check_lists(plays: Interactions, model: External, scores: AnyFloatArray) -> None:
    """Compare the scores of lists with the best of a library, which may be equal for many."""
    heard = plays.matrix.toarray() > 0
    pools: dict[Pool, Any] = {"all": heard | True, "new": ~heard, "repeat": heard}
    for pool, is_in_pool in pools.items():
        lists = model.recommend(K, pool)
        best = -np.sort(-np.where(is_in_pool, scores, -np.inf), axis=1)[:, :K]
        ours = np.where(
            lists == NO_TRACK, -np.inf, np.take_along_axis(scores, lists, 1)
        )
        is_there = np.isfinite(best) & heard.any(axis=1, keepdims=True)
        assert ours[is_there] == pytest.approx(best[is_there], rel=1e-4, abs=1e-5)
        assert is_in_pool[np.nonzero(lists >= 0)[0], lists[lists >= 0]].all()
        is_full = is_in_pool.sum(axis=1) >= K
        assert (lists[is_full] >= 0).all()


@pytest.mark.parametrize("path", IMPLICIT)
def test_lists_of_implicit_are_those_of_its_recommend(
    plays: Interactions, path: str
) -> None:
    model = fit(plays, path, IMPLICIT[path])
    ids, values = model.fitted.recommend(
        np.arange(LISTENERS), plays.matrix, N=TRACKS, filter_already_liked_items=False
    )
    scores = np.full((LISTENERS, TRACKS), -np.inf)
    rows, ranks = np.nonzero((ids >= 0) & (values > -1e30))
    scores[rows, ids[rows, ranks]] = values[rows, ranks]
    check_lists(plays, model, scores)


@pytest.mark.slow
@pytest.mark.parametrize("path", IRSPACK)
def test_lists_of_irspack_are_those_of_its_scores(
    plays: Interactions, path: str
) -> None:
    model = fit(plays, path, IRSPACK[path])
    check_lists(plays, model, model.fitted.get_score(np.arange(LISTENERS)))


@pytest.mark.peers
@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("rectools.models.EASEModel", {"regularization": 50.0}),
        ("rectools.models.ImplicitALSWrapperModel", {"model.factors": 8}),
    ],
)
def test_lists_of_rectools_are_those_of_its_recommend(
    plays: Interactions, path: str, params: dict[str, Any]
) -> None:
    model = fit(plays, path, params)
    data = to_rectools(plays.matrix)
    best = model.fitted.recommend(np.arange(LISTENERS), data, TRACKS, False)
    scores = np.full((LISTENERS, TRACKS), -np.inf)
    scores[best["user_id"], best["item_id"]] = best["score"]
    check_lists(plays, model, scores)


@pytest.mark.peers
@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("lenskit.als.ImplicitMFScorer", {"embedding_size": 8, "epochs": 2}),
        ("lenskit.knn.EASEScorer", {"regularization": 50.0}),
    ],
)
def test_lists_of_lenskit_are_those_of_its_scorer(
    plays: Interactions, path: str, params: dict[str, Any]
) -> None:
    from lenskit import data

    model = fit(plays, path, params)
    scores = np.full((LISTENERS, TRACKS), -np.inf)
    for row in np.flatnonzero(plays.counts).tolist():
        history = data.ItemList(item_ids=plays.matrix[row].indices)
        scores[row] = model.fitted(
            data.RecQuery.create(history), data.ItemList(item_ids=np.arange(TRACKS))
        ).scores()
    check_lists(plays, model, scores)


@pytest.mark.slow
def test_similar_tracks_are_not_the_track_itself(plays: Interactions) -> None:
    tracks = np.array([3, 50, 199])
    for path in IMPLICIT | IRSPACK:
        if path.endswith("TopPopRecommender"):
            continue
        lists = fit(plays, path, (IMPLICIT | IRSPACK)[path]).similar(tracks, 5)
        assert lists.shape == (3, 5)
        assert not (lists == tracks[:, None]).any()


OWN = r"""
import numpy as np

class {name}:
    def __init__(self, shift=0, rows=0, value=1.0, columns=1):
        self.shift, self.rows, self.value, self.columns = shift, rows, value, columns

    def fit(self, user_items):
        if self.shift > 9:
            raise RuntimeError("shift is\ntoo large")
        if self.shift < 0:
            raise SystemExit(3)
        rows = self.rows or user_items.shape[0]
        self.user_factors = np.full((rows, 1), self.value)
        tracks = np.roll(np.arange(user_items.shape[1]), self.shift)
        self.item_factors = np.tile(tracks[:, None], self.columns)

class Popular:
    def fit(self, user_items):
        self.counts = user_items.getnnz(axis=0)

    def recommend(self, users, user_items, N, filter_already_liked_items):
        best = np.argsort(-self.counts)[:N]
        lists = np.tile(best, (len(users), 1))
        scores = self.counts[lists] * 1.0
        scores[user_items.getnnz(axis=1) == 0] = np.nan  # of the cold
        return lists, scores
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module of the user's own, with the class `Own`."""
    file = tmp_path / "own_models.py"
    file.write_text(OWN.format(name="Own"))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own_models", raising=False)
    return file


@pytest.mark.usefixtures("own")
def test_a_class_that_only_recommends_is_ranked_by_its_scores(
    plays: Interactions,
) -> None:
    model = fit(plays, "own_models.Popular", {})
    scores = np.tile(plays.popularity.astype(np.float64), (LISTENERS, 1))
    check_lists(plays, model, scores)


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"shift": 10}, "own_models.Own: RuntimeError: shift is too large"),
        (
            {"value": float("nan")},
            "own_models.Own: ValueError: 980 of its numbers are",
        ),
        (
            {"rows": 5},
            r"own_models.Own: ValueError: 1000 rows .*, its array is \(5, 1\)",
        ),
        ({"columns": 2}, "own_models.Own: ValueError: 1 factors of users and 2 of"),
        ({"shift": -1}, "own_models.Own: SystemExit: 3"),
    ],
)
def test_a_fit_that_fails_names_the_class(
    plays: Interactions, params: dict[str, Any], message: str
) -> None:
    with pytest.raises(TrialError, match=message) as failure:
        fit(plays, "own_models.Own", params)
    assert "\n" not in str(failure.value)


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"class": "own_models.Own", "shif": 1},
            "own_models.Own: .*'shif'.*; it takes columns, rows, sh",
        ),
        (
            {"class": "own_models.None_"},
            "models.mine.class: own_models.None_: cannot be imp",
        ),
        (
            {"class": "pathlib.Path"},
            "models.mine.class: pathlib.Path found; expected is a class whose fit",
        ),
        (
            "sklearn.decomposition.TruncatedSVD",
            "models.mine.class: sklearn.* found; expected is a class whose fit",
        ),
        (
            describe_code,
            "describe_code: TypeError: .*; expected is a class .*; it takes path",
        ),
        ((BPR, {"factor": 8}), f"{BPR}: .*'factor'.*; it takes .*learning_rate"),
    ],
)
def test_a_class_that_cannot_be_tried_is_one_line_before_the_search(
    values: Any,  # noqa: ANN401  of a configuration
    message: str,
) -> None:
    axes = read_models({"mine": values})["mine"]
    with pytest.raises(SearchError, match=message) as refused:
        describe_class("mine", axes)
    assert "\n" not in str(refused.value)


def test_a_class_without_a_path_or_with_a_taken_name_is_refused() -> None:
    class Local:
        pass

    named: list[object] = [Local, Local(), (Local, {}), (Local(), {})]
    for made in named:
        with pytest.raises(ValueError, match=r"Local.*; expected is a class at the t"):
            read_models({"mine": made})
    with pytest.raises(ValueError, match="a class needs another name"):
        read_models({"als": (BPR, {})})
    with pytest.raises(ValueError, match="not JSON serializable: object; numbers, t"):
        read_models({"mine": (BPR, {"a": object()})})


def test_an_unfitted_object_is_called_so(plays: Interactions) -> None:
    class Fitless:
        recommend = similarity = None

    with pytest.raises(TrialError, match="Fitless: ValueError: it is not fitted"):
        adopt_model(Fitless(), plays, threads=1)
    with pytest.raises(TrialError, match="nothing to rank by; expected is a class"):
        adopt_model(object(), plays, threads=1)


def test_a_class_stands_alone_or_with_axes_of_numpy() -> None:
    axes = read_models({"mine": Counter, "other": (Counter, {"a": np.arange(2)})})
    assert axes["mine"] == {"class": ("collections.Counter",)}
    assert axes["other"]["a"] == (0, 1)


def forget(*modules: str) -> None:
    """Make the next import of modules and the next description of code as in a new process."""
    for module in modules:
        sys.modules.pop(module, None)
    importlib.invalidate_caches()
    libraries._describe_files.cache_clear()


def test_a_class_whose_code_has_changed_is_not_fitted_as_the_class_of_a_search(
    plays: Interactions, own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its file, a file of the project that it imports anywhere, or a package."""
    helpers = own.with_name("helpers")
    helpers.mkdir()
    (helpers / "__init__.py").write_text("")
    (helpers / "weights.py").write_text("from . import more\n")
    (helpers / "more.py").write_text("ALPHA = 1\n")
    source = OWN.format(name="Own") + "def late():\n    import helpers.weights\n"
    own.write_text(source)
    modules = ("own_models", "helpers", "helpers.weights", "helpers.more")
    forget(*modules)
    axes = describe_class("mine", {"class": ("own_models.Own",)})
    params = {name: values[0] for name, values in axes.items()}

    def fit_again() -> None:
        External(**params).fit(plays, seed=7, threads=1)

    fit_again()
    for file in (own, helpers / "more.py"):
        text = file.read_text()
        file.write_text(text + "# edited\n")
        fit_again()  # this process has loaded the code of the search
        forget(*modules)
        message = (
            f"own_models.Own has changed since its search: .*{file.stem} .*; search"
        )
        with pytest.raises(ImportError, match=message):
            fit_again()
        file.write_text(text)
        forget(*modules)
        fit_again()
    own.write_text(source.replace("import helpers", "return 1"))
    libraries._describe_files.cache_clear()
    with pytest.raises(SearchError, match="edited after this process imported it"):
        fit_again()
    own.write_text(source)
    assert describe_code(BPR).startswith("implicit 0.7.3")
    monkeypatch.setattr("recsys.models.libraries.version", lambda _: "0.8")
    forget()
    assert describe_code(BPR).startswith("implicit 0.8")
    with pytest.raises(ImportError, match=r"numpy 0\.8"):
        fit_again()


TYPED = """
import numpy as np
SHIFT = 0
class Typed:
    def __init__(self, code=0, parts=0): self.shift = code + parts
    def fit(self, user_items):
        rows, tracks = user_items.shape
        self.user_factors = np.ones((rows, 1))
        self.item_factors = np.roll(np.arange(tracks), self.shift + SHIFT)[:, None]
"""


def test_a_class_that_was_typed_in_travels_by_value_and_is_of_this_process_alone(
    plays: Interactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    notebook = ModuleType("notebook")
    monkeypatch.setitem(sys.modules, "notebook", notebook)
    exec(TYPED, vars(notebook))  # noqa: S102  as a notebook does
    code = describe_code("notebook.Typed")
    assert code == describe_code("notebook.Typed")
    pickled = pickle_class("notebook.Typed")
    assert pickled
    assert pickle_class(BPR) is None
    params = {"class": "notebook.Typed", "class.code": code, "code": 1}
    model = External(ExternalConfig.model_validate(params))
    lists = model.fit(plays, seed=1, threads=1).recommend(3)
    vars(notebook)["SHIFT"] = 5
    with pytest.raises(
        ImportError, match=r"notebook\.Typed has changed since its search"
    ):
        model.fit(plays, seed=1, threads=1)
    monkeypatch.delitem(sys.modules, "notebook")
    model.shipped = pickle.loads(pickled)  # noqa: S301  pickled above
    assert (model.fit(plays, seed=1, threads=1).recommend(3) == lists).all()


def test_hyperparameters_may_be_lists_and_have_any_names() -> None:
    own = {"parts": [(1, 2), [3]], "code": [None, "a"], "rank": [4], "factors": [[5]]}
    axes = read_models({"mine": (BPR, own)})["mine"]
    assert axes["parts"] == ([1, 2], [3])
    trials = plan_trials({"mine": axes, "als": {"factors": (8,)}}, "data", seed=1)
    assert [trial.kind for trial in trials] == ["als"] + 4 * ["mine"]
    mine = trials[1:]
    assert plan_beyond(mine[0], mine, "data") == {}
    scores = [Score(trial, 0, "scorer", {"ndcg@5": NO_INTERVAL}) for trial in mine]
    rows = Leaderboard("ndcg@5", tuple(map(Entry, scores))).rows()
    table = pa.Table.from_pylist(rows).to_pydict()
    assert table["rank"] == [1, 2, 3, 4]
    params = [json.loads(text) for text in table["params"]]
    assert [(row["parts"], row["code"]) for row in params][:2] == [
        ([1, 2], None),
        ([1, 2], "a"),
    ]
    assert select_params({"class": "a", "class.code": "b", "code": 1}) == {"code": 1}


def test_a_fit_on_a_gpu_needs_a_worker_that_has_one() -> None:
    axes = read_models({"mine": {"class": BPR, "use_gpu": True}})
    described = {"mine": describe_class("mine", axes["mine"])}
    (trial,) = plan_trials(described, "data", seed=1)
    step = Checkpoint(trial, 0)
    assert step.resources == {"GPU": 1}

    def plan() -> Plan[None]:
        yield [(print,)]

    job = Job(step, plan(), 0, step.resources)
    cluster = Cluster(ClusterConfig())
    workers: dict[str, Any] = {"tcp://a": {"resources": {}}}
    vars(cluster)["_client"] = SimpleNamespace(
        loop=object(),
        scheduler_info=lambda n_workers: {"workers": workers},  # noqa: ARG005  Dask's
    )
    with pytest.raises(SearchError, match="no worker has a GPU; start one where there"):
        list(cluster.run_jobs(lambda: [job]))
