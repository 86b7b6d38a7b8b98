"""Logs of experiments, small and made up."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from looplib.randomness import make_generator

START_MS = 1_767_225_600_000  # 2026-01-01
DAY_MS = 86_400_000
ARMS = ("C", "T1")


def event(
    user: int,
    timestamp: int,
    message: str = "next",
    **changes: Any,  # noqa: ANN401  any value
) -> dict[str, Any]:
    """An event in the form of the original service."""
    return {
        "message": message,
        "timestamp": timestamp,
        "user": user,
        "track": 1,
        "time": 0.5,
        "latency": 0.001,
        "recommendation": 2 if message == "next" else None,
        "experiments": {"ALS": "C"},
    } | changes


def write(file: Path, events: Iterable[dict[str, Any]], *, more: bytes = b"") -> Path:
    """Writes a log."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes("".join(json.dumps(one) + "\n" for one in events).encode() + more)
    return file


def experiment(
    listeners: int = 60,
    *,
    effect: float = 0.0,
    arms: tuple[str, ...] = ARMS,
    days: int = 4,
    seed: int = 1,
    past: int = 0,
) -> list[dict[str, Any]]:
    """Sessions of listeners, whose arms take turns; the last arm has the effect.

    Args:
        listeners: How many.
        effect: Added to the listening time of a recommended track there.
        arms: Their names.
        days: Of the experiment.
        seed: Of the listening.
        past: Days before it, with events outside of any arm.
    """
    found = []
    for user in range(listeners):
        generator = make_generator(seed, "experiment", user)
        arm = arms[user % len(arms)]
        taste = generator.uniform(0.2, 0.6)
        for day in range(-past, days):
            found += _session(
                generator,
                user,
                day,
                arm if day >= 0 else None,
                taste + effect * (day >= 0 and arm == arms[-1]),
            )
    return found


def _session(
    generator: np.random.Generator, user: int, day: int, arm: str | None, taste: float
) -> list[dict[str, Any]]:
    timestamp = START_MS + day * DAY_MS + int(generator.integers(DAY_MS // 2))
    events, track, name = [], int(generator.integers(100)), f"{user}-{day}"
    length = int(generator.integers(2, 9))
    for number in range(length):
        timestamp += 1 + int(generator.integers(200_000))
        recommended = int(generator.integers(100))
        is_last = number == length - 1
        heard = float(np.clip(generator.normal(taste, 0.2), 0, 1)) if number else 1.0
        events.append(
            event(
                user,
                timestamp,
                "last" if is_last else "next",
                track=track,
                time=heard,
                latency=float(generator.lognormal(-7, 0.5)),
                recommendation=None if is_last else recommended,
                experiments={"ALS": arm, "AA": "C"} if arm else {"AA": "C"},
                session=name,
                recommender=None
                if is_last
                else f"of {arm}"
                if generator.random() > 0.1
                else "fallback",
            )
        )
        track = recommended
    return events
