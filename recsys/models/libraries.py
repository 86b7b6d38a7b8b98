"""Make and fit objects of implicit, irspack, RecTools, LensKit, or of the user's own package.

In: the path of a class, its hyperparameters and listening time. Out: a fitted object with factors,
similarities between tracks, or scores of all tracks, by which `external` ranks.
"""

import ast
import inspect
import marshal
import os
import pkgutil
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import cache
from hashlib import sha256
from importlib.machinery import SourceFileLoader
from importlib.metadata import packages_distributions, version
from importlib.util import find_spec, resolve_name
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import cloudpickle
import numpy as np
from scipy.sparse import csr_matrix

from looplib.arrays import AnyArray, IntArray
from looplib.files import sha256_file
from recsys.errors import SearchError

Scores = Callable[[IntArray], AnyArray]
"""Scores all tracks for some rows of listeners, shape (rows, tracks); -inf without a score."""
# the names of seeds and numbers of threads in libraries
_SEEDS = ("random_state", "random_seed", "seed")
_THREADS = ("num_threads", "n_threads")
_EXPECTED = (
    "expected is a class whose fit(user_items) leaves user_factors and item_factors, or "
    "similarity, or which has recommend (docs/your-model.md)"
)
# data of an object that is not fitted
NO_PLAYS = csr_matrix(np.zeros((2, 2), np.float32))


def load_class(path: str) -> Callable[..., Any]:
    """Import a class, or a function that makes an object.

    Raises:
        ImportError: It cannot be imported here.
    """
    try:
        made: Callable[..., Any] = pkgutil.resolve_name(path)
    except Exception as error:  # the code of its module raises any kind
        hint = ""
        if path.startswith("__main__."):
            hint = "; only the process of its search has it: put it into a module"
        raise ImportError(f"{path}: cannot be imported ({error}){hint}") from error
    return made


def describe_error(error: BaseException) -> str:
    """Describe an error of a library on a line."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def class_path(made: object) -> str:
    """Return the path by which a class is imported, or the text of another value."""
    path = getattr(made, "__qualname__", None)
    return f"{made.__module__}.{path}" if path else str(made)


def uses_gpu(path: str, params: Mapping[str, Any]) -> bool:
    """Check whether a class computes on a GPU, which a worker may lack."""
    return bool(params.get("use_gpu")) or path.startswith("implicit.gpu.")


def pickle_class(path: str) -> bytes | None:
    """Pickle a class that workers cannot import, with its dependencies; None for other classes.

    It is of the script that runs, or was typed in.
    """
    made = load_class(path)
    module = sys.modules[made.__module__]
    if module.__name__ != "__main__" and hasattr(module, "__file__"):
        return None
    cloudpickle.register_pickle_by_value(module)
    pickled: bytes = cloudpickle.dumps(made)
    return pickled


def describe_code(path: str) -> str:
    """Identify the code of a class that this process has loaded, such as "implicit 0.7.3".

    A class of the user's own has the digests of its file and of the project's files that are
    imported from there, and the versions of packages. A class that was typed in has a digest that
    no other process has.
    """
    made = load_class(path)
    if hasattr(sys.modules[made.__module__], "__file__"):
        return _describe_files(made)
    return f"typed in {sha256(pickle_class(path) or b'').hexdigest()[:12]}"


@cache  # a file that is edited later is not the code that this process has loaded
def _describe_files(made: Callable[..., Any]) -> str:
    versions = set[str]()
    seen = set(sys.stdlib_module_names)
    left = {base.__module__ for base in getattr(made, "__mro__", (made,))}
    while left := left - seen:
        name = left.pop()
        seen.add(name)
        package = name.partition(".")[0]
        file = None if package in sys.stdlib_module_names else _find_file(package)
        if file and {"site-packages", "dist-packages"} & {*file.parts}:
            distributions = _distributions().get(package, ())
            versions.update(f"{name} {version(name)}" for name in distributions)
        elif file := file and _find_file(name):
            _check_loaded(name, file)
            versions.add(f"{name} {sha256_file(file)[:12]}")
            if file.suffix == ".py":
                parent = name if file.stem == "__init__" else name.rpartition(".")[0]
                left |= _list_imports(file, parent)
    return ", ".join(sorted(versions))


def _check_loaded(name: str, file: Path) -> None:
    """Check that a module, if it is loaded, runs the code that is in its file now.

    Without bytecode of the import, its functions alone can be compared.

    Raises:
        SearchError: The file was edited after this process imported it.
    """
    module = sys.modules.get(name)
    # other loaders, such as pytest's, change the code
    if type(getattr(module, "__loader__", None)) is not SourceFileLoader:
        return
    # an edit that Python cannot read is a change, too
    with suppress(SyntaxError):
        written = compile(file.read_bytes(), file, "exec", dont_inherit=True)
        loaded = set[CodeType]()
        bytecode = getattr(module, "__cached__", None) or ""
        # if the import wrote it, it has constants and defaults, too
        if not sys.dont_write_bytecode and os.access(bytecode, os.W_OK):
            loaded.add(marshal.loads(Path(bytecode).read_bytes()[16:]))  # noqa: S302  # nosec B302
        values = [*vars(module).values()]
        classes = [value for value in values if isinstance(value, type)]
        values += [value for made in classes for value in vars(made).values()]
        loaded |= {
            value.__code__
            for value in values
            if isinstance(value, FunctionType)
            and value.__module__ == name
            and value.__code__.co_filename == str(file)
        }
        if loaded <= _list_codes(written):
            return
    raise SearchError(
        f"{file}: edited after this process imported it, and the old code would run; start Python "
        "anew, or use importlib.reload"
    )


def _list_codes(code: CodeType) -> set[CodeType]:
    inner = (part for part in code.co_consts if isinstance(part, CodeType))
    return {code}.union(*map(_list_codes, inner))


_distributions = cache(packages_distributions)


def _find_file(name: str) -> Path | None:
    """Find the file of a module that may not be loaded; None if there is none."""
    # a name within a module, or a module without a file
    with suppress(ImportError, ValueError, AttributeError, TypeError):
        file = getattr(sys.modules.get(name), "__file__", None)
        return Path(file or find_spec(name).origin)  # type: ignore[union-attr,arg-type]
    return None


def _list_imports(file: Path, package: str) -> set[str]:
    """List the modules that a file imports, and the names that may be modules."""
    names = set[str]()
    with suppress(SyntaxError, ImportError):
        for node in ast.walk(ast.parse(file.read_bytes())):
            if isinstance(node, ast.Import):
                names.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = resolve_name("." * node.level + (node.module or ""), package)
                names |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    return names


def check_code(path: str, code: str) -> None:
    """Check that a class has the code that was searched.

    Raises:
        ImportError: Its code has changed.
    """
    changed = {*code.split(", ")} ^ {*describe_code(path).split(", ")}
    if changed:
        changes = ", ".join(sorted(changed))
        raise ImportError(
            f"{path} has changed since its search: {changes}; search again"
        )


def check_class(name: str, path: str, params: Mapping[str, Any]) -> None:
    """Check a class by making an object without data, before a search begins.

    Raises:
        SearchError: The class cannot be imported, lacks a method that a fit needs, or does not take
            a hyperparameter.
    """
    try:
        made = load_class(path)
        fitted = make(made, params, NO_PLAYS)
    except ImportError as error:
        raise SearchError(f"models.{name}.class: {error}") from None
    except Exception as error:  # noqa: BLE001  libraries raise any kind
        reason = describe_error(error)
        if not isinstance(made, type):
            reason += f"; {_EXPECTED}"
        takes = ", ".join(sorted(_accepted(made)))
        raise SearchError(
            f"models.{name}: {path}: {reason}; it takes {takes}"
        ) from None
    is_fitted_by = [hasattr(fitted, method) for method in ("fit", "learn", "train")]
    # a decomposition of scikit-learn has components, which rank no tracks
    if not any(is_fitted_by) or type(fitted).__module__.startswith("sklearn."):
        raise SearchError(f"models.{name}.class: {path} found; {_EXPECTED}")


def make(
    made: Callable[..., Any],
    params: Mapping[str, Any],
    matrix: csr_matrix,
    *,
    seed: int = 0,
    threads: int = 1,
) -> Any:  # noqa: ANN401  of any class
    """Make an object of a class, with the worker's seed and threads if it takes them.

    Args:
        made: The class.
        params: Hyperparameters; RecTools' names may have dots.
        matrix: Listening time, an argument of irspack's classes.
        seed: Seed of all randomness.
        threads: The number of threads.
    """
    options: dict[str, Any] = dict.fromkeys(_SEEDS, seed)
    options |= {**dict.fromkeys(_THREADS, threads), "use_gpu": False}
    if hasattr(made, "from_params"):  # RecTools
        names = made.from_params(params).get_params(simple_types=True)
        last = {name: name.rpartition(".")[2] for name in names}
        at_work = {name: options[key] for name, key in last.items() if key in options}
        return made.from_params({**at_work, **params})
    names = _accepted(made) & options.keys()
    arguments = {**{name: options[name] for name in names}, **params}
    data = [matrix] if hasattr(made, "learn") else []
    return made(*data, **arguments)


def _accepted(made: Callable[..., Any]) -> set[str]:
    """List the names of the arguments of a class and of the bases to which it hands them."""
    names = set[str]()
    for base in getattr(made, "__mro__", (made,)):
        parameters = inspect.signature(base).parameters.values()
        names.update(parameter.name for parameter in parameters)
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
            break
    return names - {"self", "args", "kwargs", "options"}


def fit_object(
    fitted: Any,  # noqa: ANN401  of any class
    matrix: csr_matrix,
    seed: int,
    threads: int,
) -> Scores | None:
    """Fit an object to listening time, in the form of its library.

    Returns:
        The function that scores tracks, or None if the object has arrays.
    """
    if hasattr(fitted, "learn"):
        fitted.learn()
    elif hasattr(fitted, "from_params"):
        _fit_rectools(fitted, matrix)
    elif hasattr(fitted, "fit"):
        takes_progress = "show_progress" in inspect.signature(fitted.fit).parameters
        fitted.fit(matrix, **({"show_progress": False} if takes_progress else {}))
    else:
        return _fit_lenskit(fitted, matrix, seed, threads)
    return None


def _fit_rectools(fitted: Any, matrix: csr_matrix) -> None:  # noqa: ANN401
    from rectools.dataset import Dataset, IdMap, Interactions

    frame = _to_frame(matrix).assign(datetime=0)
    ids = [IdMap(np.arange(size)) for size in matrix.shape]
    fitted.fit(Dataset(*ids, Interactions(frame)))


def _to_frame(matrix: csr_matrix) -> Any:  # noqa: ANN401  a data frame
    import pandas as pd

    pairs = matrix.tocoo()
    columns = {"user_id": pairs.row, "item_id": pairs.col, "weight": pairs.data}
    return pd.DataFrame(columns)


def _fit_lenskit(
    fitted: Any,  # noqa: ANN401  of any class
    matrix: csr_matrix,
    seed: int,
    threads: int,
) -> Scores:
    os.environ.setdefault("LK_NUM_THREADS", str(threads))
    os.environ.setdefault("LK_NUM_BACKEND_THREADS", str(threads))
    from lenskit.data import DatasetBuilder, ItemList, RecQuery
    from lenskit.training import TrainingOptions

    builder = DatasetBuilder()
    for kind, size in zip(("user", "item"), matrix.shape, strict=True):
        builder.add_entities(kind, np.arange(size))
    frame = _to_frame(matrix).rename(columns={"weight": "count"})
    builder.add_interactions("play", frame, entities=["user", "item"], default=True)
    data = builder.build()
    fitted.train(data, TrainingOptions(rng=seed))
    tracks = ItemList(item_ids=np.arange(matrix.shape[1]))

    def scores(rows: IntArray) -> AnyArray:
        queries = [RecQuery.create(data.user_row(row)) for row in rows]
        for query, row in zip(queries, rows, strict=True):
            query.user_id = row
        values = np.stack([fitted(query, tracks).scores() for query in queries])
        return np.where(np.isnan(values), -np.inf, values)

    return scores


def read_arrays(fitted: object) -> tuple[Any, Any, Any]:
    """Read the factors of users and items, and the similarities, of a fitted object.

    Returns:
        Arrays or sparse matrices; None if the object lacks them.
    """
    if hasattr(fitted, "get_vectors"):  # RecTools
        return (*fitted.get_vectors(), None)
    users = _read(fitted, ("user_factors", "get_user_embedding", "user_embeddings"))
    items = _read(fitted, ("item_factors", "get_item_embedding", "item_embeddings"))
    similarity = _read(fitted, ("similarity", "W", "weights"))
    if hasattr(fitted, "weight"):  # RecTools' EASE: a row for each track that is scored
        similarity = fitted.weight.T
    named = [getattr(fitted, name, 0) for name in ("user_factors", "similarity")]
    if users is items is similarity is None and any(value is None for value in named):
        raise ValueError("it is not fitted")
    return users, items, similarity


def _read(fitted: object, names: Iterable[str]) -> Any:  # noqa: ANN401  of any library
    for name in names:
        value = getattr(fitted, name, None)
        value = value() if callable(value) else value
        if value is not None:
            return (
                value.to_numpy() if hasattr(value, "to_numpy") else value
            )  # a GPU's array
    return None


def score_tracks(fitted: Any, matrix: csr_matrix) -> Scores:  # noqa: ANN401  of any class
    """Make the function that scores all tracks, of irspack's `get_score` or of `recommend`."""
    if hasattr(fitted, "get_score"):
        scores: Scores = fitted.get_score
        return scores
    if not hasattr(fitted, "recommend"):
        raise ValueError(f"nothing to rank by; {_EXPECTED}")
    options = {"N": matrix.shape[1], "filter_already_liked_items": False}

    def recommend(rows: IntArray) -> AnyArray:
        best, values = map(np.asarray, fitted.recommend(rows, matrix[rows], **options))
        scores = np.full((len(rows), matrix.shape[1]), -np.inf, np.float32)
        row, rank = np.nonzero(best >= 0)
        scores[row, best[row, rank]] = values[row, rank]
        return scores

    return recommend
