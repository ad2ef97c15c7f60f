"""One page with all figures and their captions: index.html, from the manifest alone."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path

__all__ = ["write_contact_sheet"]

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Figures of polygeom</title>
<style>
body {{ font-family: Georgia, serif; color: #222; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }}
nav {{ line-height: 1.7; }}
nav a {{ margin-right: 0.8em; white-space: nowrap; }}
figure {{ margin: 2.5rem 0; }}
figure img {{ width: 100%; height: auto; }}
figcaption {{ font-size: 0.95rem; line-height: 1.45; }}
.files, footer {{ font-size: 0.8rem; color: #666; }}
a {{ color: #1f4e79; }}
</style>
</head>
<body>
<h1>Figures of polygeom</h1>
<nav>{links}</nav>
{figures}
{skipped}
<footer><p>{versions}. Seeds, hashes and sizes: <a href="manifest.json">manifest.json</a>.</p></footer>
</body>
</html>
"""

FIGURE = """<figure id="{name}">
<a href="{name}.pdf"><img src="{name}.png" alt="{title}" loading="lazy"></a>
<figcaption><b>{number}.</b> <b>{title}</b> {caption}</figcaption>
<p class="files">{setting}, {seconds} s{seed}. {files}</p>
</figure>"""


def write_contact_sheet(manifest: Mapping[str, Mapping], out: Path) -> Path:
    """Write index.html: every figure that was made with its caption and files, then what was skipped and why."""
    made = {name: entry for name, entry in manifest["figures"].items() if "outputs" in entry}
    left = {name: entry for name, entry in manifest["figures"].items() if "skipped" in entry}
    links = "".join(
        f'<a href="#{name}">{escape(entry["figure"])} {escape(name)}</a>'
        for name, entry in manifest["figures"].items()
    )
    rows = "\n".join(
        f'<li id="{name}"><b>{escape(entry["figure"])}. {escape(entry["title"])}</b> '
        f"{escape(entry['skipped'])}</li>"
        for name, entry in left.items()
    )
    packages = ", ".join(f"{name} {text}" for name, text in manifest["packages"].items())
    text = PAGE.format(
        links=links,
        figures="\n".join(_figure(name, entry) for name, entry in made.items()),
        skipped=f"<h2>Skipped</h2>\n<ul>\n{rows}\n</ul>" if left else "",
        versions=escape(f"polygeom {manifest['polygeom']}, Python {manifest['python']}, {packages}"),
    )
    path = out / "index.html"
    path.write_text(text, encoding="utf-8")
    return path


def _figure(name: str, entry: Mapping[str, object]) -> str:
    """Return one figure with its caption and links to its files."""
    shown = [file for file in entry["outputs"] if file != f"{name}.png"]
    return FIGURE.format(
        name=name,
        number=escape(entry["figure"]),
        title=escape(entry["title"]),
        caption=escape(entry["caption"]),
        setting="quick" if entry["quick"] else "full",
        seconds=entry["seconds"],
        seed=f", seed {entry['seed']}" if "seed" in entry else "",
        files=" · ".join(f'<a href="{escape(file)}">{escape(file)}</a>' for file in shown),
    )
