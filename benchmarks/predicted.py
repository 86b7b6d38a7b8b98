"""Session times predicted from a log of random recommendations, and measured when the lists are served.

    python -m benchmarks.predicted

85,000 sessions teach fourteen kinds of lists; the world tells two more, the best. 15,000 later
sessions predict (`analysis.offpolicy`), and 30,000 hear any track of a list. Written are tables in
Markdown and docs/predictions.svg.
"""

import sys
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import orjson
import pyarrow.json
from scipy import sparse, stats

from analysis.charts import arm_colour, colour_by
from benchmarks.harness import measure, python
from benchmarks.worlds import config_of, to_svg
from looplib.als import AlsParams
from looplib.files import atomic_write_text
from recsys.models.als import Als
from sim.collect import CollectConfig, collect
from sim.figures import listen
from sim.listening.response import raw_share
from sim.listening.sessions import ListeningModel, Sessions, make_model
from sim.world import make_world
from sim.worlds.files import load_world

WORLDS = {
    "easy": "",
    "noise-10": "",
    "course": "catalogue.tracks=5000 catalogue.artists=500 listeners.listeners=1500",
}
DEPTH, OUT, LATER, SVG = (
    30,
    Path("out/predicted"),
    date(2027, 1, 1),
    Path("docs/predictions.svg"),
)
ALS = [
    (4, 10, 10, 6),
    (16, 10, 10, 6),
    (64, 10, 10, 6),
    (32, 10, 10, 1),
    (32, 10, 0.1, 6),
    (32, 10, 1, 6),
]
# factors, regularization, alpha, sweeps
ALS += [(32, 100, 10, 6), (32, 1000, 10, 6), (32, 10, 10, 6)]


def make_lists(model: ListeningModel, log: Path) -> dict[str, np.ndarray]:
    """Return lists of each listener by kind, shape (listeners, DEPTH)."""
    world, events = (
        model.world,
        [pyarrow.json.read_json(file) for file in sorted(log.glob("*.jsonl"))],
    )
    user, track, time = (
        np.concatenate([table[key] for table in events])
        for key in ("user", "track", "time")
    )
    heard = sparse.csr_matrix(
        (time.astype(np.float32), (user, track)), (world.listeners, world.tracks)
    )
    dense = heard.toarray()
    scores: dict[str, np.ndarray] = {
        "random": np.random.default_rng(0).random(dense.shape),
        "own favourites": dense,
    }
    scores["popular"] = np.tile(dense.sum(axis=0), (len(dense), 1))
    for params in ALS:
        fit = Als(heard, AlsParams(*params[:3]), 0, 2)
        fit.sweep(params[3])
        scores["ALS {}, {}, {}, {} sweeps".format(*params)] = (
            fit.user_factors @ fit.item_factors.T
        )
    scores["the same, unheard tracks alone"] = np.where(
        dense, -np.inf, fit.user_factors @ fit.item_factors.T
    )
    items = fit.item_factors / (
        np.linalg.norm(fit.item_factors, axis=1, keepdims=True) + 1e-9
    )
    scores["like own favourites"] = dense @ items @ items.T
    who, first = (
        np.repeat(np.arange(world.listeners), model.interests),
        world.interest_offsets[:-1],
    )
    dots = (world.embeddings @ world.embeddings[world.interests].T).astype(np.float64)
    shares = raw_share(dots, world.consume_bias[who], world.consume_sharpness[who]).T
    scores["best for all interests"] = (
        np.add.reduceat(shares, first) / model.interests[:, None]
    )
    scores["best for the first interest"] = shares[first]
    return {
        name: np.argpartition(-found, DEPTH)[:, :DEPTH]
        for name, found in scores.items()
    }


def serve(
    lists: np.ndarray, sessions: Sessions, rows: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Draw any track of the listener's list that its session has not heard; of all tracks once none is left."""
    own, played = (
        lists[sessions.listener[rows]],
        sessions.tracks[: sessions.length.max(), rows],
    )
    left = np.where((own == played[:, :, None]).any(axis=0), 0.0, rng.random(own.shape))
    drawn = own[np.arange(len(rows)), left.argmax(axis=1)]
    return np.where(
        left.any(axis=1), drawn, rng.integers(sessions.world.tracks, size=len(rows))
    )


def play_world(name: str) -> list[dict[str, Any]]:
    """Return each list's session times: predicted from the share and session by session, and measured."""
    folder = OUT / name
    make_world(config_of(name, WORLDS[name].split()), folder / "world")
    for log, episodes, start in (
        ("log", 85_000, date(2026, 1, 1)),
        ("later", 15_000, LATER),
    ):
        places = {"world": folder / "world", "log": folder / log}
        collect(
            CollectConfig(**places, episodes=episodes, start=start, seed=start.year)
        )
    model = make_model(load_world(folder / "world"))
    lists, words = (
        make_lists(model, folder / "log"),
        ["--catalogue", folder / "world" / "tracks.json"],
    )
    for number, tracks in enumerate(lists.values()):
        lines = [
            orjson.dumps({"user": user, "tracks": row})
            for user, row in enumerate(tracks.tolist())
        ]
        (folder / f"{number}.jsonl").write_bytes(b"\n".join(lines))
        words += ["--recommendations", folder / f"{number}.jsonl"]
    logs, out = (folder / "log", folder / "later"), folder / "estimates.json"
    measure(
        python(
            "-m",
            "analysis.offpolicy",
            *logs,
            "--holdout",
            f"since:{LATER}",
            "--out",
            out,
            *words,
        )
    )
    estimates, rows = orjson.loads(out.read_bytes())["recommendations"], []
    for found, (kind, tracks) in zip(estimates, lists.items(), strict=True):
        time = listen(
            model,
            partial(serve, tracks),
            np.arange(30_000) % model.world.listeners,
            seed=3,
        ).time
        (share, *_), (value, low, high) = (
            found["session_time"][way].values() for way in ("identity", "simulated")
        )
        half = np.hypot((high - low) / 2, 1.96 * time.std() / len(time) ** 0.5)
        rows.append(
            {
                "world": name,
                "time": time.mean(),
                "share": share,
                "value": value,
                "half": half,
            }
        )
        print(
            f"| {name} | {kind} | {time.mean():.2f} | {share:.2f} | {value:.2f} ({low:.2f} … {high:.2f}) |"
        )
    return rows


def main(names: list[str]) -> None:
    """Predict, listen, compare."""
    worlds = [play_world(name) for name in names]
    for name, rows in zip(names, worlds, strict=True):
        time, share, value, half = (
            np.array([row[key] for row in rows])
            for key in ("time", "share", "value", "half")
        )
        errors = [100 * np.abs(predicted / time - 1) for predicted in (share, value)]
        cells = [
            name,
            *(f"{error.mean():.1f} %, {error.max():.1f} %" for error in errors),
        ]
        cells.append(f"{np.sum(np.abs(value - time) <= half)} of {len(rows)}")
        drawn = np.random.default_rng(0).integers(len(rows), size=(2000, len(rows)))
        ranks = [stats.spearmanr(value[some], time[some]).statistic for some in drawn]
        low, high = np.nanquantile(ranks, [0.025, 0.975])
        print(
            f"| {' | '.join(cells)} | {stats.spearmanr(value, time).statistic:.2f} ({low:.2f} … {high:.2f}) |"
        )
    base = alt.Chart(
        alt.InlineData(values=[row for rows in worlds for row in rows])
    ).encode(
        x=alt.X("time:Q", title="time of a session, measured").scale(
            type="log", nice=False
        ),
        color=colour_by(
            "world",
            {name: arm_colour(number) for number, name in enumerate(names, start=1)},
        ),
    )
    dots = base.mark_circle(size=45, opacity=1).encode(
        y=alt.Y("value:Q", title="predicted").scale(type="log", nice=False)
    )
    layers = [dots, base.mark_line().encode(y="time:Q", color=alt.value("var(--soft)"))]
    atomic_write_text(
        SVG, to_svg(alt.LayerChart(layer=layers).properties(width=460, height=460))
    )


if __name__ == "__main__":
    main(sys.argv[1:] or list(WORLDS))
