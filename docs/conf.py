"""How the pages become a site: `make docs`. The scripts of the gallery are run for it; a warning is an error."""

from __future__ import annotations

import re

from sphinx.application import Sphinx

import diapipe

project = "diapipe"
author = project_copyright = "the authors of diapipe"
release = diapipe.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "sphinx_gallery.gen_gallery",
]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["_build", "gallery/*"]
nitpicky = False

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4
autodoc_typehints = "description"

sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "_gallery",
    "filename_pattern": r"\.py$",
    "ignore_pattern": r"__init__\.py",
    "abort_on_example_error": True,
    "show_memory": False,
    "download_all_examples": False,
    "remove_config_comments": True,
}

html_theme = "furo"
html_title = "diapipe"
html_copy_source = False

_HEADING = re.compile(r"^\*\*(.+)\*\*$", re.MULTILINE)
_PAGE = re.compile(r"\]\(([\w/-]+)\.(?:md|rst)\)")
_GALLERY = ("gallery/GALLERY_HEADER.rst", "_gallery/index.rst")
"""Where its title is, and where its page is made."""
_FOLDERS_OF_PAGES = ("algorithms", "decisions")


def contents_of(index: str) -> str:
    """The tree of pages that a Markdown index lists under its bold headings, as hidden ``toctree`` directives."""
    pieces = _HEADING.split(index)
    return "\n".join(
        _tree(caption, _PAGE.findall(text)) for caption, text in zip(pieces[1::2], pieces[2::2], strict=True)
    )


def _tree(caption: str, pages: list[str]) -> str:
    return "\n".join([f"```{{toctree}}\n:hidden:\n:caption: {caption}\n", *dict.fromkeys(pages), "```\n"])


def _add_contents(app: Sphinx, docname: str, source: list[str]) -> None:
    """The front page and the pages of a folder are listed once, in words; the tree follows from that list."""
    if docname == app.config.root_doc:
        text = source[0].replace(*_GALLERY)
        source[0] = text + "\n" + contents_of(text)
    elif docname.endswith("/index") and docname.split("/")[0] in _FOLDERS_OF_PAGES:
        source[0] += "\n" + _tree("", sorted(set(_PAGE.findall(source[0])))).replace(":caption: \n", "")


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("source-read", _add_contents)
