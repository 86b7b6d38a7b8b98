"""Train, serve and compare recommenders from Python: `import listening_loop as ll`.

    store = ll.ingest(plays, user="listener", item="song", weight="seconds")
    run = ll.search(store, {"als": {"factors": [32, 64]}, "item_knn": {}})
    run.recommend(["u17"], n=10)
    run.export("published/")
    ll.ab("logs/", experiment="RANKING").verdict

In: data frames (pandas, polars, Arrow, Dask) or files. Out: frames, and the same folders
that the commands write. Errors that a user can fix are `ll.Error`, in one line.
These functions are in `api`. `command` is the command `listening-loop`, with `init` and `demo`;
`loop` is the demo, day after day. `als` has `AlternatingLeastSquares`, for users of `implicit`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from looplib.errors import UserError as Error
from looplib.errors import missing_library
from looplib.platform import check_names

if TYPE_CHECKING:
    __version__: str
    from analysis.store import Store
    from listening_loop.als import AlternatingLeastSquares
    from listening_loop.api.experiments import ab
    from listening_loop.api.models import FactorModel, fit
    from listening_loop.api.publishing import publish
    from listening_loop.api.runs import Run, open_run, search
    from listening_loop.api.serving import serve
    from listening_loop.api.stores import ingest
    from recsys.store.reader import open_store

__all__ = [
    "AlternatingLeastSquares",
    "Error",
    "FactorModel",
    "Run",
    "Store",
    "ab",
    "fit",
    "ingest",
    "open_run",
    "open_store",
    "publish",
    "search",
    "serve",
]
# Modules are imported when they are first asked for: `import listening_loop` starts neither Dask
# nor DuckDB.
_MODULES = {
    "AlternatingLeastSquares": "listening_loop.als",
    "Store": "analysis.store",
    "ab": "listening_loop.api.experiments",
    **dict.fromkeys(("FactorModel", "fit"), "listening_loop.api.models"),
    **dict.fromkeys(("Run", "open_run", "search"), "listening_loop.api.runs"),
    "ingest": "listening_loop.api.stores",
    "publish": "listening_loop.api.publishing",
    "open_store": "recsys.store.reader",
    "serve": "listening_loop.api.serving",
}


if not TYPE_CHECKING:  # type checkers know the names above, and refuse others

    def __getattr__(name: str) -> object:
        if name == "__version__":
            return import_module("importlib.metadata").version("listening-loop")
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        check_names()
        try:
            module = import_module(_MODULES[name])
        except ModuleNotFoundError as error:
            raise Error(missing_library(error)) from None
        return getattr(module, name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
