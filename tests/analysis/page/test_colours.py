"""The colours of the pages can be read on their backgrounds, in light and in dark."""

import re
from pathlib import Path

import pytest

from analysis import page

STYLE = (Path(page.__file__).parent / "templates" / "colours.css").read_text(
    encoding="utf-8"
)
LIGHT, DARK = (
    dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))
    for block in re.findall(r":root {([^}]*#1[^}]*)}", STYLE)
)
WORDS, SIGNS = (
    4.5,
    3.0,
)  # least contrasts of WCAG 2.2, success criteria 1.4.3 and 1.4.11


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2, terms)."""
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(colour: str, other: str) -> float:
    light, dark = sorted((luminance(colour), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_words_and_arms_stand_out(colours: dict[str, str]) -> None:
    words = ("text", "soft", "good", "bad", "wait", "calm")
    for name, colour in colours.items():
        if name in words:
            assert contrast(colour, colours["panel"]) >= WORDS, name
        if name in words or name.startswith("arm-"):
            least = WORDS if name in words else SIGNS
            assert contrast(colour, colours["page"]) >= least, name


def test_light_and_dark_have_the_same_colours() -> None:
    assert LIGHT.keys() == DARK.keys()
    assert len([name for name in LIGHT if name.startswith("arm-")]) == 7
