"""Sphinx's configuration: `make docs` builds the site into build/docs, without the network; a warning is an error."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import generate
from sphinx.application import Sphinx

from videobert import __version__

project = "VideoBERT in a box"
author = "the VideoBERT-in-a-box contributors"
version = release = __version__
html_title = f"{project} {release}"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
exclude_patterns = ["generated/floors.md"]
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": True}

myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
smartquotes = False
highlight_language = "text"

# Docstrings are written in Markdown's way: `code` in single backticks.
default_role = "code"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 100
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True

# Other projects' names lead nowhere, since the site is built without the network.
nitpick_ignore_regex = [
    ("py:.*", r"(collections|os|pathlib|numpy|np|npt|torch|transformers)\..*"),
    ("py:.*", "PreTrainedTokenizerBase"),
]

copybutton_prompt_text = r"\$ |>>> "
copybutton_prompt_is_regexp = True


def setup(app: Sphinx) -> None:
    app.connect("builder-inited", lambda app: generate.write_pages())
