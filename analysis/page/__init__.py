"""What the pages of all reports share: templates, style, charts drawn as SVG, numbers as people read them.

In: frozen figures and tables. Out: one HTML text that needs no other file and no other host.
"""
