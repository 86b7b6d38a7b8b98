"""What all pages share: the base template with its style, tables, figures and numbers.

In: values. Out: one HTML text that needs no other file and no other host. Read `render`.
How pages look stands in `templates/colours.css` and `templates/page.css`.
"""
