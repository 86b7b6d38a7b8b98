"""The A/B report as a page.

In: a report (`analysis.ab.report`). Out: one HTML file with its charts inside. Read `page` first: it gives the template
the report and its `figures`.
"""
