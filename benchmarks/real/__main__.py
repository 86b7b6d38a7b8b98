"""Real data sets, measured with peers beside, in one run.

    python -m benchmarks.real --data FOLDER [SET …]    # peers: the extra `peers`

docs/real-data.md says where the files of each set come from. Tables go to the terminal and, as
Markdown, to `real-data.md` in the folder of the run.
"""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from benchmarks.harness import console, show, show_machine
from benchmarks.real import deezer, halving, next_plays, pairs, plays, unplayed
from benchmarks.real.originals import find
from benchmarks.real.peers import Work
from benchmarks.real.tables import Table, markdown

TABLES = "real-data.md"  # the tables, in the folder of the run


PLAYS = {"lastfm": "Last.fm", "30music": "30Music", "yambda": "Yambda"}
OF_PLAYS = {
    "": plays.measure,
    "-hidden": unplayed.measure,
    "-halving": halving.measure_plays,
}
MOVIELENS, LFM2B = ("movielens1m_folds.tsv.gz",), ("lfm2b_fl_dataset.inter.gz",)
DEEZER = ("deezer_random_half.tsv.gz", "deezer_other_half_known_only.tsv.gz")
# the files of a set, and what measures it, given these files and a `Work`
SETS: Mapping[str, tuple[tuple[str, ...], Callable[..., Table]]] = {
    f"{name}{ending}": ((f"plays_{name}.tsv.gz",), partial(measure, title=title))
    for ending, measure in OF_PLAYS.items()
    for name, title in PLAYS.items()
} | {
    "sessions": (("sessions_30music.tsv.gz",), next_plays.measure),
    "movielens": (MOVIELENS, pairs.measure_movielens),
    "lfm2b": (LFM2B, pairs.measure_lfm2b),
    "movielens-halving": (MOVIELENS, halving.measure_movielens),
    "lfm2b-halving": (LFM2B, halving.measure_lfm2b),
    "deezer": (DEEZER, deezer.measure),
}


def main(
    data: Annotated[Path, typer.Option(help="The folder with the files.")],
    sets: Annotated[
        list[str] | None, typer.Argument(metavar="SET", help=", ".join(SETS))
    ] = None,
    out: Annotated[
        Path,
        typer.Option(help="Takes the tables, the peers' results, stores and runs."),
    ] = Path("out/real"),
    peers: Annotated[
        bool, typer.Option(help="Measure the peers that have no result in the folder.")
    ] = True,
) -> None:
    """Measure the sets whose files are there."""
    names = sets or list(SETS)
    if unknown := [name for name in names if name not in SETS]:
        raise typer.BadParameter(f"{unknown[0]}: the sets are {', '.join(SETS)}")
    out.mkdir(parents=True, exist_ok=True)
    tables = []
    for name in names:
        needed, measure = SETS[name]
        files = [find(file, data, out) for file in needed]
        missing = [file for file in files if not file.exists()]
        if missing:
            console.print(
                f"{name}: left out, {missing[0]} is missing; see docs/real-data.md"
            )
            continue
        with TemporaryDirectory(prefix=f"{name}-", dir=out) as folder:
            work = Work(Path(folder), out / f"peers-{name}.json", peers)
            table = measure(*files, work)
        show(table.title, table.header, table.rows)
        console.print("\n".join(table.notes))
        tables.append(table)
    (out / TABLES).write_text("\n".join(map(markdown, tables)))
    show_machine("implicit", "irspack", "numba", "numpy")


if __name__ == "__main__":
    typer.run(main)
