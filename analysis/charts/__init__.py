"""Charts as altair specs: one file a kind, shared by the A/B page, the search report and the lab.

In: rows of plain values. Out: an altair chart, which `svg.to_svg` turns into SVG without a browser, a script or the
network, and whose `to_dict()` is the Vega-Lite JSON. Read `svg` first, then `intervals`, the kind used most.

Altair is imported here alone. It takes a third of a second to import, and the first SVG of a process two thirds, so
pages import their figures where they are rendered.
"""
