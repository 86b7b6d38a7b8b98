"""What all pages share: the base template with its style, tables and figures, and numbers as people read them.

In: values and charts. Out: one HTML text that needs no other file and no other host. Read `render`.
"""
