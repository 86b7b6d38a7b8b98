"""Shared parts of all pages: the base template with its style, tables, figures and numbers.

In: values. Out: an HTML text that needs no other file and no other host. Read `render`.
How pages look stands in `templates/colours.css` and `templates/page.css`.
"""
