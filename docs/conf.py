"""The documentation site, by Sphinx: `tox run -e docs`. Its pages read as well on a code host."""

from importlib.metadata import version as version_of

project = "listening-loop"
author = "the listening-loop contributors"
version = release = version_of(project)

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = f"listening-loop {version}"
html_show_copyright = False
html_static_path = ["static"]
html_css_files = ["site.css"]
nb_execution_mode = "off"  # the notebooks hold their results; a test runs them
smartquotes = False  # "--help" stays as it is typed
myst_heading_anchors = 3
myst_enable_extensions = ["dollarmath"]
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_format = "short"
