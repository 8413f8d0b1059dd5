"""Gathers the documentation site's pages in ``build/pages``, for mkdocs.yml.

Every page but one keeps the place that it has in the checkout, so a link means the same on the
site, in a clone and on a code host, and nothing is written twice. No hook of the site's generator
is needed.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import griffe

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "build" / "pages"
# The generator makes `results/README.md` the folder's index; the page about all reports is that.
FOLDERS_README = ("results/README.md", "results/about.md")
SHOWN = (
    "*.md",
    "docs/**/*.md",
    "results/*.md",
    "results/*.html",
    "results/pictures/*.png",
    "results/*/report.*",
    "results/*/isolation.json",
    "results/*/figures/*",
)
NOTEBOOKS = "docs/*.ipynb"


def main() -> None:
    """Writes the pages anew."""
    shutil.rmtree(PAGES, ignore_errors=True)
    for path in (path for pattern in SHOWN for path in ROOT.glob(pattern)):
        source = path.relative_to(ROOT).as_posix()
        place = PAGES / (FOLDERS_README[1] if source == FOLDERS_README[0] else source)
        place.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".md":
            place.write_text(on_the_site(path.read_text()))
        else:
            shutil.copyfile(path, place)
    for path in ROOT.glob(NOTEBOOKS):
        place = PAGES / path.relative_to(ROOT).with_suffix(".md")
        place.write_text(on_the_site(from_notebook(json.loads(path.read_text()))))


def on_the_site(text: str) -> str:
    """A page's text with links that lead to where the site has a notebook and the folders' page."""
    text = re.sub(r"(\]\([^)\s]+)\.ipynb\)", r"\1.md)", text)
    old, new = FOLDERS_README
    return re.sub(rf"(\]\((?:\.\./)*){re.escape(old)}(?=[)#])", rf"\1{new}", text)


def from_notebook(notebook: dict[str, Any]) -> str:
    """The cells of a notebook, and what they printed and drew, as Markdown."""
    parts = []
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
            continue
        parts.append(f"```python\n{source}\n```")
        for output in cell["outputs"]:
            data = output.get("data", {})
            text = "".join(output.get("text", data.get("text/plain", "")))
            if "image/png" in data:
                picture = "".join(data["image/png"].split())
                parts.append(f"![{text}](data:image/png;base64,{picture})")
            else:
                parts.append(f"```text\n{text}\n```")
    return "\n\n".join(parts) + "\n"


class PlainRoles(griffe.Extension):
    """Docstrings name code as Sphinx does, ``:func:`name```; in Markdown that is code alone."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrites the docstring of each module, class, function and attribute."""
        if obj.docstring:
            plain = re.sub(r":[a-z]+:(?=`)", "", obj.docstring.value)
            obj.docstring.value = re.sub(r"::$", ":", plain, flags=re.MULTILINE)


if __name__ == "__main__":
    main()
