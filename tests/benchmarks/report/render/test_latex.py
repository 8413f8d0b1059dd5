"""The LaTeX twin: what is escaped, that its tables are whole, and that it compiles where TeX is."""

import re
import shutil
import subprocess

import pytest

import benchmarks.report
from benchmarks.report.render import latex

EVIL = r"\input{/etc/passwd} & 50% $x_1^2$ #1 ~ {a} <b> ↑ →"


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("integrated_gradients", r"integrated\_gradients"),
        ("50 % & more", r"50 \% \& more"),
        (r"\input{x}", r"\textbackslash{}input\{x\}"),
        ("$a^b$", r"\$a\textasciicircum{}b\$"),
        ("12.3× ↑ †", r"12.3$\times$ $\uparrow$ $\dagger$"),
        ("0.1 ± 0.2 ‡", r"0.1 $\pm$ 0.2 $\ddagger$"),
        ("1 → 2 … ∞", r"1 $\rightarrow$ 2 \ldots{} $\infty$"),
        ("two\nlines", "two lines"),
        ("é", "é"),
        ("𝔘", "(U+1D518)"),
        ("--", "{-}{-}"),  # no ligature
    ],
)
def test_what_latex_would_read_is_escaped(text, escaped):
    assert latex.escape(text) == escaped


def test_no_sign_of_the_report_is_a_code_point(full):
    benchmarks.report.write(full.path, ("latex",))
    text = full.read("report.tex")
    assert "(U+" not in text
    assert r"$\ddagger$" in text


def test_tables_have_as_many_cells_in_every_row(full):
    benchmarks.report.write(full.path, ("latex",))
    text = full.read("report.tex")
    found = re.findall(r"\\toprule\n(.*?)\\end\{longtable\}", text, flags=re.DOTALL)
    assert len(found) > 8
    for table in found:
        rows = [line for line in table.splitlines() if line.endswith(r"\\")]
        assert len({len(re.findall(r"(?<!\\)&", row)) for row in rows}) == 1
    assert r"\usepackage{booktabs,longtable}" in text


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
def test_it_compiles(folder, settings):
    for number, method in enumerate((EVIL, "b", "c")):
        folder.quality(method, [number + 0.1, number + 0.2, number + 0.31])
        folder.quality(method, [number + 0.1, number + 0.2, number + 0.3], level="f=10%")
    folder.add("runtime", settings(EVIL), status="error", message=EVIL)
    benchmarks.report.write(folder.path, ("latex",))
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "report.tex"]
    done = subprocess.run(
        command, cwd=folder.path, capture_output=True, text=True, errors="replace", check=False
    )
    assert done.returncode == 0, done.stdout[-2000:]
