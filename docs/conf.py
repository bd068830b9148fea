"""How Sphinx builds the documentation: `make docs`."""

import click
from docutils.nodes import SkipNode, literal_block
from docutils.parsers.rst import Directive
from docutils.utils.math.latex2mathml import tex2mathml

import dask_igtm
from dask_igtm.cli.commands import main

project = "dask_igtm"
author = "The dask_igtm developers"
copyright = author
version = release = dask_igtm.__version__

extensions = ["myst_parser", "numpydoc", "sphinx.ext.autodoc"]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # docstrings have them in words
default_role = "literal"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["formulas.css"]
html_title = "dask_igtm"
html_copy_source = False
html_math_renderer = "mathml"  # browsers draw it without scripts, and nothing is fetched


def visit_formula(writer, node):
    """Write a formula as MathML, by what docutils brings."""
    writer.body.append(f"{tex2mathml(node.astext(), as_block=node.tagname == 'math_block')}\n")
    raise SkipNode


class Help(Directive):
    """What `dask-igtm COMMAND --help` prints, as it is now."""

    optional_arguments = 1

    def run(self):
        """Return it as a literal block."""
        narrow = {"terminal_width": 86, **main.context_settings}
        context = click.Context(main, info_name="dask-igtm", **narrow)
        for name in self.arguments:
            context = click.Context(main.commands[name], context, name, **narrow)
        text = context.get_help()
        return [literal_block(text, text, language="none")]


def skip_member(app, what, name, member, skip, options):
    """Leave out what scikit-learn adds to every estimator, and what a class lists as its attributes."""
    added = name in ("get_metadata_routing", "set_output") or name.endswith("_request")
    return skip or added or (isinstance(member, property) and name.endswith("_"))


def setup(app):
    """Tell Sphinx of all three."""
    app.add_directive("help", Help)
    app.add_html_math_renderer("mathml", (visit_formula, None), (visit_formula, None))
    app.connect("autodoc-skip-member", skip_member)
