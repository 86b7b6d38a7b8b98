"""Recommenders in many worlds: is the one that wins in ours also the one that wins in others?

    python -m benchmarks.worlds [--only easy,noise-1] [--sessions 100000]

Each world goes through the whole loop (`listening-loop loop`) with the real service: a log under
random recommendations, one search trial, an experiment with all recommenders. Effects are on the
listening time of a session over random, with the A/B report's 95 % intervals, beside that of
`benchmarks.oracle`. A world that is done is read again. Written are a table in Markdown, the same
as JSON, and docs/worlds.svg.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import altair as alt
import orjson
import typer
import vl_convert
import yaml

from analysis import page
from analysis.charts import CONFIG, arm_colour, colour_by
from benchmarks.harness import measure_module
from benchmarks.oracle import Interval, oracle_lift
from looplib.config import dump_config, load_config
from looplib.files import atomic_write_json, atomic_write_text
from sim.worlds.config import WorldConfig

EXPERIMENT, METRIC = "WORLDS", "mean_time_per_session"
BEST = "session_model"
SIMPLE = ("sticky_artist", "top_pop", "in_order", "session_als", "contextual")
ARMS = ("random", *SIMPLE, BEST)
EPISODES = 3000  # sessions of an arm
SVG = Path("docs/worlds.svg")
_PAGE_COLOURS = Path(page.__file__).with_name("templates") / "colours.css"
_LIFTS = (0, 50, 100, 200, 400, 800, 1600)  # named on the axis, %
_FLOOR = 0.5  # of the ratio to random, where an interval would reach further
_COLOURS = {
    arm: arm_colour(number)
    for arm, number in zip((*SIMPLE, BEST), (3, 4, 5, 6, 1, 2), strict=True)
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
    "effects": ("effects", ""),
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


def main(
    only: Annotated[
        str, typer.Option(help="Worlds, separated by commas; all by default.")
    ] = ",".join(WORLDS),
    sessions: Annotated[
        int, typer.Option(help="Sessions that recommenders learn from.")
    ] = 100_000,
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
    rows = [play_world(name, out / name, sessions) for name in names]
    atomic_write_json(out / "worlds.json", rows)
    print(table_of(rows))
    atomic_write_text(SVG, draw_worlds([(row.world, row.lifts) for row in rows]))


def play_world(name: str, folder: Path, sessions: int) -> Row:
    """Run the loop in a world, and the oracle; return the world's row."""
    config = write_configs(name, folder, sessions, EPISODES)
    measure_module("listening_loop.command", "loop", config=config)
    day = folder / "days" / "1"
    over_random = _effects(day / "report" / "report.json")
    against = day / "against"
    if not (against / "report.json").exists():
        control = f"--set=control={BEST}"
        log = day / "log"
        measure_module("analysis.ab", log, control, experiment=EXPERIMENT, out=against)
    best_simple = max(SIMPLE, key=lambda arm: over_random[arm][0])
    value, low, high = (
        100 * (1 / (1 + end / 100) - 1)
        for end in _effects(against / "report.json")[best_simple]
    )
    lifts = {arm: over_random[arm] for arm in (*SIMPLE, BEST)}
    lifts["oracle"] = oracle_lift(folder / "world")
    return Row(name, lifts, (value, high, low), best_simple)


def table_of(rows: list[Row]) -> str:
    """Return the table in Markdown: lift over random, interval, and share of the oracle's gain."""
    arms = [*SIMPLE, BEST, "oracle"]
    lines = [
        f"| world | {' | '.join(arms)} | {BEST} over the best simple one |",
        f"|---{'|---:' * len(arms)}|---|",
    ]
    for row in rows:
        best = max((*SIMPLE, BEST), key=lambda arm: row.lifts[arm][0])
        cells = [
            _cell(row.lifts[arm], row.lifts["oracle"][0], is_best=arm == best)
            for arm in arms
        ]
        value, low, high = row.over_simple
        compared = f"{value:+.0f} % ({low:+.0f} … {high:+.0f}), {row.best_simple}"
        lines.append(f"| {row.world} | {' | '.join(cells)} | {compared} |")
    return "\n".join(lines)


def _cell(lift: Interval, oracle: float, *, is_best: bool) -> str:
    value, low, high = lift
    text = f"**{value:+,.0f}**" if is_best else f"{value:+,.0f}"
    return f"{text} ({low:+,.0f} … {high:+,.0f}); {value / oracle:.0%}"


def _effects(report: Path) -> dict[str, Interval]:
    rows = [
        row
        for row in orjson.loads(report.read_bytes())["effects"]
        if row["metric"] == METRIC
    ]
    keys = ("effect_pct", "lower_pct", "upper_pct")
    return {row["arm"]: (*(row["relative"][key] for key in keys),) for row in rows}


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


def write_configs(name: str, folder: Path, sessions: int, episodes: int) -> Path:
    """Write the loop's configurations for a world: one trial, every recommender an arm."""
    world = config_of(name)
    service = _demo("configs/botify.yaml", folder)
    arms = [{"name": arm, "recommender": arm} for arm in ARMS]
    search = _demo("configs/demo.yaml", folder)
    search["search"] |= {
        "space": {"factors": [32], "regularization": [10.0], "alpha": [10.0]},
        "sweeps": 5,
    }
    search["export"] = search.get("export", {}) | {"publish_anyway": True}
    documents: dict[str, dict[str, Any]] = {
        "collect": _demo("configs/collect/demo.yaml", folder) | {"episodes": sessions},
        "search": search,
        "service": service
        | {"experiments": [{"name": EXPERIMENT, "arms": arms}], "decides": EXPERIMENT},
        "report": {"control": ARMS[0], "horizon": {"listeners": 1000}},
    }
    configs = folder / "configs"
    atomic_write_text(configs / "world.yaml", dump_config(world))
    for key, document in documents.items():
        atomic_write_text(
            configs / f"{key}.yaml", yaml.safe_dump(document, sort_keys=False)
        )
    loop: dict[str, Any] = {
        key: str(configs / f"{key}.yaml") for key in ("world", *documents)
    }
    loop |= {"folder": str(folder), "experiment": EXPERIMENT}
    loop["traffic"] = {"episodes": episodes * len(ARMS), "batch": 500}
    atomic_write_text(configs / "loop.yaml", yaml.safe_dump(loop))
    return configs / "loop.yaml"


def config_of(name: str, changes: Sequence[str] = ()) -> WorldConfig:
    """Return the configuration of one of the worlds, with more changes."""
    file, own = WORLDS[name]
    return load_config(
        WorldConfig, Path(f"configs/world/{file}.yaml"), [*own.split(), *changes]
    )


def _demo(file: str, folder: Path) -> dict[str, Any]:
    """Return a configuration of the demo whose paths are in another folder."""
    document: dict[str, Any] = yaml.safe_load(
        Path(file).read_text(encoding="utf-8").replace("out/demo", str(folder))
    )
    return document


if __name__ == "__main__":
    typer.run(main)
