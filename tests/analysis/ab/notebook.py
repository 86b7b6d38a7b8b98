"""The original course service's way of computing its table: pandas, row by row."""

from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

METRICS = (
    "time",
    "sessions",
    "mean_request_latency",
    "mean_tracks_per_session",
    "mean_time_per_session",
)


def read(files: list[Path]) -> pd.DataFrame:
    """All events of some logs."""
    return pd.concat(
        [pd.read_json(file, lines=True, dtype=False) for file in files],
        ignore_index=True,
    )


def sessionize(events: pd.DataFrame) -> list[tuple[int, float, float]]:
    """Tracks, listening time and latency in ms of a listener's closed sessions."""
    sessions, tracks, time, latency = [], 0, 0.0, 0.0
    ordered = events.assign(is_last=events["message"] == "last").sort_values(
        ["timestamp", "is_last", "track"]
    )
    for _, row in ordered.iterrows():
        tracks, time, latency = (
            tracks + 1,
            time + row["time"],
            latency + row["latency"] * 1000,
        )
        if row["message"] == "last":
            sessions.append((tracks, time, latency))
            tracks, time, latency = 0, 0.0, 0.0
    return sessions


def listeners(events: pd.DataFrame, experiment: str) -> pd.DataFrame:
    """The metrics of each listener and arm."""
    arms = events["experiments"].map(
        lambda one: one.get(experiment) if isinstance(one, dict) else None
    )
    rows = []
    for (user, arm), of_one in events.assign(arm=arms).groupby(["user", "arm"]):
        sessions = np.array(sessionize(of_one)).reshape(-1, 3)
        tracks, time, latency = sessions.sum(axis=0)
        rows.append(
            (
                user,
                arm,
                time,
                len(sessions),
                latency / tracks,  # NaN where nothing was heard
                tracks / len(sessions),
                time / len(sessions),
            )
        )
    return pd.DataFrame(rows, columns=["user", "arm", *METRICS])


def table(
    events: pd.DataFrame, experiment: str, control: str = "C"
) -> dict[tuple[str, str], list[float]]:
    """The table, by arm and metric: both means, their difference, and the ends of its interval."""
    arms = {
        str(arm): rows for arm, rows in listeners(events, experiment).groupby("arm")
    }
    found = {}
    for arm in arms.keys() - {control}:
        for metric in METRICS:
            before, after = (arms[name][metric].dropna() for name in (control, arm))
            means = before.mean(), after.mean()
            welch = stats.ttest_ind(after, before, equal_var=False)
            ends = welch.confidence_interval()
            found[arm, metric] = [*means, means[1] - means[0], *ends]
    return found
