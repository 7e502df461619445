"""Settings of the site: `make docs` builds it, warnings are errors."""

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent)]
# The kernels of the course import the package beside this folder, without installing it.
os.environ["PYTHONPATH"] = os.pathsep.join(
    filter(None, [str(HERE.parent), os.getenv("PYTHONPATH")])
)
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import seqjax  # noqa: E402

project = "seqjax"
author = "the seqjax authors"
release = version = seqjax.__version__
html_title = "seqjax"

extensions = [
    "myst_nb",
    "sphinx_copybutton",
    "sphinx-mathjax-offline",
    "reference",
    "results",
    "notebooks",
]
exclude_patterns = ["_build", "_ext", "learn/_notebooks", "runs.md"]

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath", "amsmath"]
myst_heading_anchors = 3
# Text to copy of formats that Pygments does not know.
plain_lexers = ("pbtxt",)

nb_execution_mode = "cache"
nb_execution_cache_path = str(HERE / "_build" / "notebooks")
nb_execution_timeout = 600
nb_execution_raise_on_error = True
nb_merge_streams = True
nb_execution_show_tb = True

html_theme = "furo"
pygments_dark_style = "monokai"
html_static_path = ["_static"]
html_css_files = ["seqjax.css"]
html_show_copyright = False
html_theme_options = {"navigation_with_keys": True}
copybutton_exclude = ".linenos, .gp, .go"

maximum_signature_line_length = 72
toc_object_entries_show_parents = "hide"
add_module_names = False
# Links that the reference makes of names in backquotes must lead somewhere; annotations need not.
nitpicky = True
nitpick_ignore_regex = [("py:(?!obj).*", ".*")]
# An annotation such as `Panel` may mean one of two; the first is linked.
suppress_warnings = ["ref.python"]
python_display_short_literal_types = True
# Pages of other sites, which a build without a network does not ask.
linkcheck_ignore = [r"https?://.*"]


def setup(app):
    """Registers what takes no extension of its own."""
    from pygments.lexers.special import TextLexer

    for name in plain_lexers:
        app.add_lexer(name, TextLexer)
