"""Render a Jinja2 template: HTML, in which all text is escaped, or Markdown."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_eval_context
from jinja2.nodes import EvalContext
from markupsafe import Markup, escape

from machinery.pipeline.files import printable
from machinery.pipeline.markdown import cell, estimate

from .words import meaning, plainly, title

TEMPLATES = Path(__file__).with_name("templates")
STYLE = Path(__file__).with_name("style.css")


def render(template: str, folder: Path = TEMPLATES, **context: Any) -> str:
    """Fill in the template of a folder. A name that the context lacks is an error."""
    environment = Environment(
        loader=FileSystemLoader([folder, TEMPLATES]),
        autoescape=lambda name: name is None or ".html" in name,
        undefined=StrictUndefined,
        finalize=_printed,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    filters = (breakable, cell, estimate, interval, meaning, number, plainly, precise, title)
    environment.filters |= {function.__name__: function for function in filters}
    style = Markup(STYLE.read_text(encoding="utf-8"))
    return environment.get_template(template).render(context, style=style)


def number(value: float | None) -> str:
    """A number for people: three significant digits, thousands separated by commas."""
    if value is None:
        return "–"
    whole = isinstance(value, int) or abs(value) >= 1000
    return (f"{value:,.0f}" if whole else f"{value:.3g}").replace("-", "−")


def precise(value: float | None) -> str:
    """A measured value: like `number`, but with trailing zeros, which are significant."""
    if not value or isinstance(value, int) or abs(value) >= 1000:
        return number(value)
    return f"{value:#.3g}".rstrip(".").replace("-", "−")


def interval(estimate: Mapping[str, Any]) -> str:
    """Both ends of a confidence interval."""
    if estimate["low"] is None or estimate["high"] is None:
        return "no interval"
    return f"{precise(estimate['low'])} to {precise(estimate['high'])}"


def breakable(text: Any) -> Markup:
    """A name that may wrap after its underscores, dashes, dots and slashes."""
    return Markup(re.sub(r"([_./-])", r"\1<wbr>", str(escape(printable(text)))))


@pass_eval_context
def _printed(context: EvalContext, value: Any) -> Any:
    if isinstance(value, Markup) or not context.autoescape:
        return value
    return "–" if value is None else printable(value)
