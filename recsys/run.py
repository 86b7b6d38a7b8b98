"""The run folder of a search: what stands in it, and how a new one begins."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from common.config import load_config
from recsys.config import SearchConfig
from recsys.errors import SearchError
from recsys.ledger import LEDGER
from recsys.models.als import AlsParams
from recsys.trials import Trial

CONFIG = "config.yaml"
WINNER = "winner.json"


@dataclass(frozen=True)
class Winner:
    """The best trial of a search.

    Attributes:
        trial: What was fitted.
        sweeps: After how many sweeps it was best.
        metrics: Metric key to value and the ends of its 95 % interval.
        select: The metric that chose it.
        dataset: Digest of the dataset that it was fitted and scored on.
    """

    trial: Trial
    sweeps: int
    metrics: dict[str, tuple[float, float, float]]
    select: str
    dataset: str


def begin_run(folder: Path, *, fresh: bool) -> None:
    """Makes an empty run folder; with `fresh`, an earlier run there moves to the next free `<folder>.N`.

    Raises:
        SearchError: The folder holds a run already, or something else.
    """
    if folder.exists() and not folder.is_dir():
        raise SearchError(f"{folder}: a run needs a folder, and this is a file")
    if folder.is_dir() and any(folder.iterdir()):
        is_run = (folder / LEDGER).exists() or (folder / CONFIG).exists()
        if not is_run:
            raise SearchError(f"{folder}: not empty and not a run; choose another --run")
        if not fresh:
            raise SearchError(
                f"{folder}: holds a run already; choose another --run, or --fresh to keep it beside and start over"
            )
        folder.rename(_free_name(folder))
    folder.mkdir(parents=True, exist_ok=True)


def read_run(folder: Path) -> tuple[SearchConfig, Winner]:
    """The configuration and the winner of a finished search.

    Raises:
        SearchError: The folder holds no finished run.
    """
    try:
        document = orjson.loads((folder / WINNER).read_bytes())
    except FileNotFoundError:
        raise SearchError(
            f"{folder}: no finished run here ({WINNER} is missing); make one with python -m recsys.search"
        ) from None
    except orjson.JSONDecodeError as error:
        raise SearchError(f"{folder / WINNER}: damaged ({error})") from None
    return load_config(SearchConfig, folder / CONFIG), _parse_winner(document)


def _parse_winner(document: dict[str, Any]) -> Winner:
    trial = document["trial"]
    return Winner(
        trial=Trial(trial["id"], AlsParams(**trial["params"]), trial["seed"]),
        sweeps=document["sweeps"],
        metrics={key: tuple(ends) for key, ends in document["metrics"].items()},
        select=document["select"],
        dataset=document["dataset"],
    )


def _free_name(folder: Path) -> Path:
    number = 1
    while (name := folder.with_name(f"{folder.name}.{number}")).exists():
        number += 1
    return name
