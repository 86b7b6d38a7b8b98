"""Whether scheduler and workers have the software of the search; knows no Dask.

Calls travel pickled: who unpickles them needs the same code. A worker that cannot closes without a word to the search.
"""

from collections.abc import Mapping, Sequence
from typing import Any

PACKAGE = "listening-loop"
_COMPARED = ("python", "dask", "distributed", PACKAGE)


def find_difference(versions: Mapping[str, Any]) -> str | None:
    """The first difference that matters, in words; None where there is none.

    Args:
        versions: What `distributed.Client.get_versions` returns, asked for `PACKAGE` too.
    """
    here = versions["client"]["packages"]
    there = {"the scheduler": versions["scheduler"]}
    there |= {f"the worker {address}": found for address, found in versions["workers"].items()}
    for place, found in there.items():
        for name in _COMPARED:
            ours, theirs = (_shown(name, packages.get(name)) for packages in (here, found["packages"]))
            if ours != theirs:
                return f"{place} has {theirs}, and the search {ours}"
    return None


def _shown(name: str, version: str | Sequence[object] | None) -> str:
    if version is None:
        return f"no {name}"
    text = str(version)
    return f"{name} {'.'.join(text.split('.')[:2]) if name == 'python' else text}"
