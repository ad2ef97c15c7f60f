"""What clusters look like: sheets of their images, and their tokens in context, as text and as an HTML page."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from polygeom.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage
    from matplotlib.text import Text

__all__ = ["contexts_as_html", "contexts_as_text", "draw_contact_sheet", "draw_contexts"]

Context = tuple[str, str, str]
"""What stands before a token, the token, and what stands behind it."""

STYLE = """\
body { font: 15px/1.5 Georgia, serif; color: #26364d; max-width: 60em; margin: 2em auto; padding: 0 1em; }
h1 { font-size: 1.3em; } h2 { font-size: 1em; margin: 1.6em 0 0.3em; }
p.note { color: #666; } table { border-collapse: collapse; width: 100%; }
td { padding: 0 0.1em; white-space: pre; font-family: "DejaVu Sans Mono", monospace; font-size: 12px; }
td.before { text-align: right; } td.before, td.after { color: #777; overflow: hidden; max-width: 30em; }
td.token { background: #f6dfc4; color: #000; }"""


def draw_contact_sheet(
    rows: Sequence[Sequence[object]], titles: Sequence[str], *, ax: Axes, gap: float = 0.06, size: float = 6
) -> list[AxesImage]:
    """Draw a row of images for every cluster, with a line of text above it.

    Parameters
    ----------
    rows : sequence of sequences of (h, w, 3) arrays
        Images of every cluster, the most central first; numbers may differ. They are drawn as squares.
    titles : sequence of str
        One for each row.
    ax : matplotlib axes
        Filled by the sheet; its frame and ticks are hidden.
    gap : float
        Between images, in parts of one.
    size : float
        Of the type, in points.

    Raises
    ------
    InputError
        If there are no rows, not as many titles, or something is no image.
    """
    if not len(rows) or len(rows) != len(titles):
        raise InputError(f"A contact sheet got {len(rows)} rows and {len(titles)} titles, wanted as many.")
    drawn, width, height = [], max(len(row) for row in rows), 1.32
    for i, (row, title) in enumerate(zip(rows, titles, strict=True)):
        ax.text(0, i * height + 0.25, title, fontsize=size, va="bottom")
        for k, image in enumerate(row):
            pixels = np.asarray(image)
            if pixels.ndim not in (2, 3) or not pixels.size:
                raise InputError(
                    f"Image {k} of row {i} has shape {pixels.shape}, wanted (h, w, 3) or (h, w)."
                )
            left, top = k * (1 + gap), i * height + 0.3
            place = (left, left + 1, top + 1, top)
            drawn.append(ax.imshow(pixels, extent=place, cmap="gray", interpolation="antialiased"))
    ax.set(xlim=(0, width * (1 + gap) - gap), ylim=(len(rows) * height, 0), aspect="equal", anchor="NW")
    ax.axis("off")
    return drawn


def draw_contexts(
    titles: Sequence[str],
    contexts: Sequence[Sequence[Context]],
    *,
    ax: Axes,
    width: int = 28,
    size: float = 5,
) -> list[Text]:
    """Draw tokens in their contexts cluster by cluster, the tokens below each other in the middle.

    Parameters
    ----------
    titles : sequence of str
        One for each cluster.
    contexts : sequence of sequences of (before, token, after)
    ax : matplotlib axes
        Filled; its frame and ticks are hidden.
    width : int
        Letters of context on either side.
    size : float
        Of the type, in points.

    Raises
    ------
    InputError
        If there are not as many titles as clusters.
    """
    drawn, y = [], 0.0
    style = {"family": "monospace", "fontsize": size, "va": "top", "parse_math": False}
    for title, some in _paired(titles, contexts):
        drawn.append(ax.text(0, y, title, fontsize=size + 1, va="top", parse_math=False))
        y += 1.25
        for before, token, after in (map(_visible, one) for one in some):
            drawn += [
                ax.text(0.46, y, before[-width:], ha="right", color="0.45", **style),
                ax.text(0.47, y, token, color="#b3541e", **style),
                ax.text(0.47, y, " " * (len(token) + 1) + after.lstrip()[:width], color="0.45", **style),
            ]
            y += 1.0
        y += 0.5
    ax.set(xlim=(0, 1), ylim=(max(y, 1.0), 0))
    ax.axis("off")
    return drawn


def contexts_as_text(titles: Sequence[str], contexts: Sequence[Iterable[Context]], width: int = 40) -> str:
    r"""Return tokens in their contexts cluster by cluster, the tokens below each other.

    Parameters
    ----------
    titles : sequence of str
        One for each cluster.
    contexts : sequence of iterables of (before, token, after)
    width : int
        Letters of context on either side.

    Raises
    ------
    InputError
        If there are not as many titles as clusters.

    Examples
    --------
    >>> print(contexts_as_text(["birds"], [[("the ", "hen", " laid"), ("a ", "wren", "\n")]], width=6))
    birds
      the [hen] laid
        a [wren]⏎
    """
    lines = []
    for title, some in _paired(titles, contexts):
        lines.append(title)
        for before, token, after in (map(_visible, one) for one in some):
            lines.append(f"{before[-width:]:>{width}}[{token}]{after[:width]}".rstrip())
        lines.append("")
    return "\n".join(lines[:-1])


def contexts_as_html(
    title: str, note: str, titles: Sequence[str], contexts: Sequence[Iterable[Context]], width: int = 60
) -> str:
    """Return the same as one HTML page that stands by itself.

    Parameters
    ----------
    title, note : str
        Of the page, and what stands below its title.
    titles : sequence of str
        One for each cluster.
    contexts : sequence of iterables of (before, token, after)
    width : int
        Letters of context on either side.

    Raises
    ------
    InputError
        If there are not as many titles as clusters.

    Examples
    --------
    >>> page = contexts_as_html("Birds", "", ["small"], [[("a ", "<wren>", "")]])
    >>> "<td class='token'>&lt;wren&gt;</td>" in page
    True
    """
    body = []
    for heading, some in _paired(titles, contexts):
        body.append(f"<h2>{html.escape(heading)}</h2>\n<table>")
        for before, token, after in (map(_visible, one) for one in some):
            cells = (("before", before[-width:]), ("token", token), ("after", after[:width]))
            body.append(
                "<tr>"
                + "".join(f"<td class='{name}'>{html.escape(text)}</td>" for name, text in cells)
                + "</tr>"
            )
        body.append("</table>")
    head = f"<meta charset='utf-8'>\n<title>{html.escape(title)}</title>\n<style>\n{STYLE}\n</style>"
    intro = f"<h1>{html.escape(title)}</h1>\n<p class='note'>{html.escape(note)}</p>"
    return "\n".join(
        ["<!DOCTYPE html>", "<html lang='en'>", head, "<body>", intro, *body, "</body>", "</html>", ""]
    )


def _paired(
    titles: Sequence[str], contexts: Sequence[Iterable[Context]]
) -> Iterable[tuple[str, Iterable[Context]]]:
    if len(titles) != len(contexts):
        raise InputError(f"There are {len(titles)} titles and {len(contexts)} clusters, wanted as many.")
    return zip(titles, contexts, strict=True)


def _visible(text: str) -> str:
    """Return a text on one line."""
    return text.replace("\r", "").replace("\n", "⏎").replace("\t", " ")
