"""Recommenders in many worlds: is the one that wins in ours also the one that wins in others?

    python -m benchmarks.worlds [--only easy,noise-1] [--sessions 100000]

In each world the project's commands collect a log under random recommendations, ingest it, run a
search of one trial and export. Then every recommender of the service plays the same sessions, by
what was published. Lifts of listening time a session over random have 95 % intervals over these
sessions, beside the lift of `benchmarks.oracle`. A world that is done is read again. Written are a
table in Markdown, the same as JSON, and docs/worlds.svg.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import altair as alt
import numpy as np
import orjson
import typer
import vl_convert
import yaml

from analysis import page
from analysis.page.forest import arm_colour
from benchmarks.charts import CONFIG, colour_by
from benchmarks.factorisation import factorise
from benchmarks.harness import measure_module
from benchmarks.oracle import Interval, oracle_lift
from benchmarks.realism import listen, session_times
from botify.model.catalogue import load_catalogue
from botify.model.loading import load_model
from botify.model.model import Model
from botify.recommenders.base import Row as Asking
from botify.recommenders.registry import RECOMMENDERS, FallbackSettings, recommend
from looplib.arrays import FloatArray, IntArray
from looplib.config import load_config
from looplib.files import atomic_write_json, atomic_write_text
from looplib.randomness import make_generator
from sim.collect import Recommend, recommend_random
from sim.listening.sessions import ListeningModel, Sessions, make_model
from sim.world import make_world
from sim.worlds.config import WorldConfig
from sim.worlds.files import load_world

BEST = "session_model"
FACTORISATION = "factorisation"
SERVED = (
    "sticky_artist",
    "top_pop",
    "in_order",
    "session_als",
    "contextual",
    "fold_in",
)
SIMPLE = (*SERVED, FACTORISATION)
SVG = Path("docs/worlds.svg")
_PAGE_COLOURS = Path(page.__file__).with_name("templates") / "colours.css"
_LIFTS = (0, 50, 100, 200, 400, 800, 1600)  # named on the axis, %
_FLOOR = 0.5  # of the ratio to random, where an interval would reach further
_DRAWN = (*SIMPLE[2:], BEST)
_COLOURS = {
    arm: arm_colour(number)
    for arm, number in zip(_DRAWN, (3, 4, 5, 6, 1, 2), strict=True)
}
_COLOURS["oracle"] = "var(--soft)"
# name → configuration and what is changed in it
WORLDS: dict[str, tuple[str, str]] = {
    "easy": ("easy", ""),
    "noise-10": ("easy", "response.noise=10"),
    "noise-3": ("easy", "response.noise=3"),
    "noise-1": ("easy", "response.noise=1"),
    "all-or-nothing": ("easy", "response.noise=0"),
    "200-nearest": ("easy", "response.organic_neighbours=200"),
    "1000-nearest": ("easy", "response.organic_neighbours=1000"),
    "changing": ("easy", "response.interest_change=0.1"),
    "own-1": ("easy", "response.idiosyncrasy=1"),
    "own-2": ("easy", "response.idiosyncrasy=2"),
    "tired": ("easy", "response.tiredness=0.03"),
    "combined": (
        "easy",
        "response.noise=1 response.organic_neighbours=200 response.interest_change=0.1 "
        "response.idiosyncrasy=1",
    ),
    "demo": ("demo", ""),
    "course": ("course", ""),
    "seed": ("seed", ""),
    "moods-10": ("moods", "catalogue.genres=10"),
    "moods-20": ("moods", ""),
    "moods-40": ("moods", "catalogue.genres=40"),
    "effects": ("effects", "response.interest_change=0"),
    "drift": ("effects", ""),
    "popularity": (
        "easy",
        "response.taste=popularity response.noise=1 listeners.consume_bias.low=1.5 "
        "listeners.consume_bias.high=3",
    ),
}


@dataclass(frozen=True)
class Row:
    """A world; all in %."""

    world: str
    lifts: dict[str, Interval]  # over random, by recommender, the oracle's last
    over_simple: Interval  # of session_model over the best simple recommender
    best_simple: str
    serves: str  # what answers for session_model


def main(
    only: Annotated[
        str, typer.Option(help="Worlds, separated by commas; all by default.")
    ] = ",".join(WORLDS),
    sessions: Annotated[
        int, typer.Option(help="Sessions that recommenders learn from.")
    ] = 100_000,
    episodes: Annotated[int, typer.Option(help="Sessions that each plays.")] = 2000,
    out: Annotated[Path, typer.Option(help="Folder of all worlds.")] = Path(
        "out/worlds"
    ),
) -> None:
    """Run what is missing, and print the table."""
    names = only.split(",")
    if unknown := [name for name in names if name not in WORLDS]:
        raise typer.BadParameter(
            f"{unknown[0]} is no world; known are {', '.join(WORLDS)}",
            param_hint="--only",
        )
    rows = []
    for name in names:
        prepare(out / name, config_of(name), sessions)
        rows.append(play_world(name, out / name, episodes))
        print(table_of(rows[-1:]), flush=True)
    atomic_write_json(out / "worlds.json", rows)
    print(table_of(rows))
    atomic_write_text(SVG, draw_worlds([(row.world, row.lifts) for row in rows]))


def prepare(folder: Path, config: WorldConfig, sessions: int) -> None:
    """Make a world, a log of it, and a published version that has learned from the log."""
    world, store, run = folder / "world", folder / "store", folder / "run"
    published = folder / "published"
    if (published / "current").exists():
        return
    make_world(config, world)
    measure_module(
        "sim.run",
        config="configs/collect/demo.yaml",
        episodes=sessions,
        world=world,
        log=folder / "log",
    )
    if not (store / "manifest.json").exists():
        measure_module("recsys.ingest", folder / "log", store=store)
    measure_module("recsys.search", "--no-export", config=write_search(folder))
    measure_module("recsys.export", run=run, out=published)


def write_search(folder: Path) -> Path:
    """Write the configuration of a search of one trial in a folder."""
    document = yaml.safe_load(
        Path("configs/demo.yaml").read_text().replace("out/demo", str(folder))
    )
    document["search"] = {
        "space": {"factors": [32], "regularization": [10.0], "alpha": [10.0]},
        "sweeps": 5,
    }
    file = folder / "search.yaml"
    atomic_write_text(file, yaml.safe_dump(document, sort_keys=False))
    return file


def play_world(name: str, folder: Path, episodes: int) -> Row:
    """Let every recommender play the same sessions; return the world's row."""
    file = folder / f"played-{episodes}.json"
    if not file.exists():
        atomic_write_json(file, asdict(_play_world(name, folder, episodes)))
    return Row(**orjson.loads(file.read_bytes()))


def _play_world(name: str, folder: Path, episodes: int) -> Row:
    model = make_model(load_world(folder / "world"))
    version = load_version(folder)
    players = {arm: ask_service(version, arm) for arm in (*SERVED, BEST)}
    players[FACTORISATION] = factorise(folder)
    base = play(model, recommend_random, episodes)
    times = {arm: play(model, player, episodes) for arm, player in players.items()}
    lifts = {arm: lift(times[arm], base) for arm in (*SIMPLE, BEST)}
    best_simple = max(SIMPLE, key=lambda arm: lifts[arm][0])
    lifts["oracle"] = oracle_lift(folder / "world")
    over_simple = lift(times[BEST], times[best_simple])
    serves = version.instead.get(BEST, BEST)
    return Row(name, lifts, over_simple, best_simple, serves)


def play(model: ListeningModel, recommender: Recommend, episodes: int) -> FloatArray:
    """Return the listening time of each session, whose starts are always the same."""
    rng = make_generator(3, "worlds")
    listeners = rng.integers(model.world.listeners, size=episodes)
    return session_times(listen(model, recommender, listeners, seed=7))


def lift(times: FloatArray, base: FloatArray) -> Interval:
    """Return how much longer the same sessions are than with another recommender, in %."""
    ratio = times.sum() / base.sum()
    error = 1.96 * (times - ratio * base).std() / np.sqrt(len(base)) / base.mean()
    ends = (ratio, ratio - error, ratio + error)
    value, low, high = (float(100 * (end - 1)) for end in ends)
    return value, low, high


def load_version(folder: Path) -> Model:
    """Load what was published of a world, with all that recommenders read."""
    known = RECOMMENDERS.values()
    parts = {part for one in known for part in (*one.reads, *one.reads_for_arms)}
    lists = folder / "published" / "current" / "recommendations.jsonl"
    return load_model(lists, load_catalogue(folder / "world" / "tracks.json"), parts)


def ask_service(version: Model, name: str) -> Recommend:
    """Return a recommender of the service with its fallbacks, as the simulator asks one."""
    fallback = FallbackSettings()

    def answer(
        sessions: Sessions, rows: IntArray, rng: np.random.Generator
    ) -> IntArray:
        batch = []
        for row in rows.tolist():
            tracks = sessions.played(row).tolist()
            times = sessions.hundredths[: len(tracks), row] / 100
            batch.append(Asking(int(sessions.listener[row]), tracks, times.tolist()))
        answers = recommend(version, batch, [name] * len(batch), fallback, rng)
        return np.array([drawn.track for _, drawn in answers])

    return answer


def table_of(rows: list[Row]) -> str:
    """Return two tables in Markdown: shares of the oracle's gain, and the session model's lifts."""
    arms = [*SIMPLE, BEST]
    shares = [f"| world | {' | '.join(arms)} |", f"|---{'|---:' * len(arms)}|"]
    lifts = [
        "| world | over random | over the best of the others | answers |",
        "|---|---:|---|---|",
    ]
    for row in rows:
        best = max(arms, key=lambda arm: row.lifts[arm][0])
        oracle = row.lifts["oracle"][0]
        cells = [f"{row.lifts[arm][0] / oracle:.0%}" for arm in arms]
        cells[arms.index(best)] = f"**{cells[arms.index(best)]}**"
        shares.append(f"| `{row.world}` | {' | '.join(cells)} |")
        middle, low, high = row.lifts[BEST]
        over_random = f"{middle:+,.0f} % ({low:+,.0f} … {high:+,.0f})"
        value, low, high = row.over_simple
        compared = f"{value:+.0f} % ({low:+.0f} … {high:+.0f}), {row.best_simple}"
        lifts.append(f"| `{row.world}` | {over_random} | {compared} | {row.serves} |")
    return "\n".join([*shares, "", *lifts])


def draw_worlds(worlds: Sequence[tuple[str, Mapping[str, Interval]]]) -> str:
    """Draw each world as a line, each recommender as a dot with its interval; return SVG."""
    rows = [
        {"world": world, "arm": arm}
        | {
            key: max(1 + end / 100, _FLOOR)
            for key, end in zip("xab", lift, strict=True)
        }
        for world, lifts in worlds
        for arm, lift in lifts.items()
        if arm in _COLOURS
    ]
    named = [1 + lift / 100 for lift in _LIFTS]
    axis = alt.Axis(
        values=named,
        labelExpr="format(100 * (datum.value - 1), '+,.0f') + ' %'",
        grid=True,
    )
    x = alt.X(
        "x:Q",
        title="listening time over random",
        scale=alt.Scale(type="log", nice=False),
        axis=axis,
    )
    y = alt.Y(
        "world:N",
        title=None,
        sort=[world for world, _ in worlds],
        axis=alt.Axis(titleX=0, minExtent=96),
    )
    base = alt.Chart(alt.InlineData(values=rows)).encode(
        y=y, color=colour_by("arm", _COLOURS)
    )
    layers = [
        base.mark_rule(opacity=0.5).encode(x=alt.X("a:Q"), x2="b:Q"),
        base.mark_circle(size=45, opacity=1).encode(x=x),
    ]
    return to_svg(
        alt.LayerChart(layer=layers).properties(width=620, height=26 * len(worlds))
    )


def to_svg(chart: alt.LayerChart) -> str:
    """Render a chart to a file of its own, with the colours of the pages in light and in dark."""
    svg: str = vl_convert.vegalite_to_svg(
        chart.to_dict(), config=CONFIG | {"autosize": "pad"}
    )
    opening, _, body = svg.partition(">")
    style = (
        _PAGE_COLOURS.read_text(encoding="utf-8") + " svg { background: var(--page); }"
    )
    return f"{opening}><style>{style}</style>{body}"


def config_of(name: str, changes: Sequence[str] = ()) -> WorldConfig:
    """Return the configuration of one of the worlds, with more changes."""
    file, own = WORLDS[name]
    return load_config(
        WorldConfig, Path(f"configs/world/{file}.yaml"), [*own.split(), *changes]
    )


if __name__ == "__main__":
    typer.run(main)
