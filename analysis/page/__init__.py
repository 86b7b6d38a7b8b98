"""Shared parts of all HTML pages: the base template with its style, tables, figures and numbers.

A page is one HTML text that needs no other file and no network. Read `render` first. Colours and
styles are in `templates/colours.css` and `templates/page.css`.
"""
