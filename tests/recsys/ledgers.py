"""The ledger of a run as flat rows."""

import json
from pathlib import Path
from typing import Any


def ledger_rows(run: Path) -> list[dict[str, Any]]:
    """Read the whole lines of a ledger, which may be in the making."""
    file = run / "ledger.jsonl"
    return rows_of(file.read_bytes()) if file.exists() else []


def rows_of(content: bytes) -> list[dict[str, Any]]:
    lines = content.splitlines(keepends=True)
    return [_flat(json.loads(line)) for line in lines if line.endswith(b"\n")]


def untimed(rows: list[dict[str, Any]]) -> list[str]:
    """Return rows without their timings, in an order of their own."""
    return sorted(json.dumps({**row, "fit_s": 0, "at_s": 0}) for row in rows)


def _flat(line: dict[str, Any]) -> dict[str, Any]:
    trial = line["trial"]
    line.pop("crc32")
    return {
        **line,
        "trial": trial["id"],
        "model": trial["kind"],
        "params": trial["params"],
        "seed": trial["seed"],
    }
