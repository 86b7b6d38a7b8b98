"""The A/B report as a page.

In: a report (`analysis.ab.report`). Out: one HTML file with its charts inside. Read `page` first: it puts together what
`effects`, `spreads` and `checks` prepare for the template.
"""
