"""Draw the picture of the README from the table of docs/replay.md: `python docs/picture.py`."""

import re
from pathlib import Path

HERE = Path(__file__).parent
PICTURE = HERE / "replay.svg"
LABELS = {
    "in_order": "last night's list",
    "sticky_artist": "tracks of the same artist",
    "live": "live: follows every play",
}
COLOURS = {"in_order": "#9aa0a6", "sticky_artist": "#7aa6c2", "live": "#b07d00"}
FULL = 340  # pixels of 60 %


def draw(table: str) -> str:
    """Draw precision@20 on both data sets as bars.

    Args:
        table: Markdown; the first column has the recommender, the second and the sixth have
            precision@20 on Last.fm and 30Music.
    """
    lines = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 250" '
        'font-family="sans-serif" font-size="14">',
        '<rect width="720" height="250" fill="#ffffff"/>',
        '<text x="24" y="32" font-size="18" font-weight="bold">'
        "Is the next play among 20 recommended tracks?</text>",
    ]
    top = 50
    for column, name in ((2, "Last.fm"), (6, "30Music")):
        lines.append(
            f'<text x="24" y="{top + 14}" font-weight="bold">{name}, replayed</text>'
        )
        for recommender, label in LABELS.items():
            row = next(
                line for line in table.splitlines() if f"`{recommender}`" in line
            )
            value = float(re.sub(r"[* ]", "", row.split("|")[column]))
            width = round(FULL * value / 0.6)
            top += 22
            lines += [
                f'<text x="210" y="{top + 14}" text-anchor="end">{label}</text>',
                f'<rect x="222" y="{top + 2}" width="{width}" height="16" '
                f'fill="{COLOURS[recommender]}"/>',
                f'<text x="{230 + width}" y="{top + 15}">{value:.0%}</text>',
            ]
        top += 32
    return "\n".join([*lines, "</svg>", ""])


if __name__ == "__main__":
    PICTURE.write_text(draw((HERE / "replay.md").read_text(encoding="utf-8")))
