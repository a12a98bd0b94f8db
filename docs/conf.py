"""Sphinx configuration. Everything that could drift is made from the package: see extensions/."""

import sys
import warnings
from importlib.metadata import metadata
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "extensions"))

from array_types import formatter  # noqa: E402 after the path is set
from inventories import reachable, unresolvable  # noqa: E402 after the path is set

# a note of one extension to another, hundreds of times
warnings.filterwarnings("ignore", message=".*set_application", category=DeprecationWarning)
warnings.filterwarnings("ignore", message=".*set_application", category=PendingDeprecationWarning)

info = metadata("histodecon")
project = info["Name"]
author = "The histodecon authors"
copyright = f"2026, {author}"
version = release = info["Version"]

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.mathjax",
    "docstring_prose",  # before napoleon reads the docstrings
    "sphinx.ext.napoleon",
    "sphinx_autodoc_typehints",
    "sphinx_copybutton",
    "generated_pages",
    "short_names",
]
exclude_patterns = ["_build", "**.ipynb_checkpoints", "generated/*.md"]  # included into other pages
templates_path = ["_templates"]
root_doc = "index"
nitpicky = True

autosummary_generate = True
autodoc_member_order = "bysource"
# scikit-learn adds the setters of its metadata routing to every estimator
autodoc_default_options = {
    "exclude-members": "get_metadata_routing, set_fit_request, set_predict_request, set_score_request"
}
napoleon_google_docstring = False
napoleon_numpy_docstring = True
napoleon_use_rtype = False
napoleon_use_param = True
typehints_defaults = "braces"
typehints_use_rtype = False
typehints_formatter = formatter
always_use_bars_union = True
python_use_unqualified_type_names = True

myst_enable_extensions = ["amsmath", "attrs_inline", "colon_fence", "deflist", "dollarmath", "fieldlist"]
myst_heading_anchors = 3

# 01 and 03 are executed while the documentation is built; 02 needs data that is fetched and is shown as it is
nb_execution_mode = "cache"
nb_execution_cache_path = str(HERE / "_build" / "jupyter_cache")
nb_execution_excludepatterns = ["generated/tutorials/02*"]
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_merge_streams = True
nb_output_stderr = "remove"  # progress bars and what other packages say while they are imported

intersphinx_mapping = reachable(
    {
        "anndata": "https://anndata.readthedocs.io/en/stable/",
        "matplotlib": "https://matplotlib.org/stable/",
        "numpy": "https://numpy.org/doc/stable/",
        "pandas": "https://pandas.pydata.org/pandas-docs/stable/",
        "python": "https://docs.python.org/3/",
        "scanpy": "https://scanpy.readthedocs.io/en/stable/",
        "scipy": "https://docs.scipy.org/doc/scipy/",
        "sklearn": "https://scikit-learn.org/stable/",
        "spatialdata": "https://spatialdata.scverse.org/en/stable/",
        "squidpy": "https://squidpy.readthedocs.io/en/stable/",
        "torch": "https://docs.pytorch.org/docs/stable/",
    }
)
# timm has documentation but no inventory; distributed is an extra
nitpick_ignore_regex = [
    *unresolvable(intersphinx_mapping),
    (r"py:.*", r"(timm|distributed|geopandas)\..*"),
    # bases and arguments of what is documented that are not for users
    (r"py:class", r"histodecon\.models\._(model_files\.ModelFiles|many_fits\.ManyFits|read_off\.ReadOff)"),
    (r"py:class", r"histodecon\.(encoders\._adapter_files\.AdapterFiles|pp\._adapter\.FoldAdapter)"),
]
suppress_warnings = ["config.cache"]  # typehints_formatter is a function, which cannot be pickled and need not be

html_theme = "sphinx_book_theme"
html_title = project
html_static_path = ["_static"]
html_css_files = ["tables.css"]
html_theme_options = {"navbar_persistent": [], "show_toc_level": 2, "use_download_button": False}
html_show_sourcelink = False
