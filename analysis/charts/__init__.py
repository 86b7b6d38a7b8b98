"""Charts as altair specs: one file a kind, shared by the A/B page, the search report and the lab.

In: rows of plain values. Out: an altair chart, which `svg.to_svg` turns into SVG without a browser. Read `svg` first.
Altair is imported here alone. It takes a third of a second to import, so pages import their figures where they render.
"""
