"""The section on edge types."""

from benchmarks.report.data.frames import load
from benchmarks.report.outline import compose
from benchmarks.report.render.blocks import NOTHING, Heading, Table
from benchmarks.report.sections.edge_types import edge_types

WRITES, CITES = "author, writes, paper", "paper, cites, paper"


def texts(table):
    return {row[0].text: [entry.text for entry in row[1:]] for row in table.rows}


def rows(metric, kind, values):
    return [
        {"node": node, "metric": metric, "value": value, "other": kind}
        for node, value in enumerate(values)
        if value is not None
    ]


def test_by_hand(folder, settings, section):
    """Two nodes; the second's computation graph has no citations."""
    for method, shares in (("saliency", (0.25, 0.5)), ("occlusion", (1.0, 0.5))):
        quality = [
            *rows("type_share", WRITES, shares),
            *rows("type_share", CITES, [1 - share for share in shares]),
            *rows("fidelity+_prob", WRITES, (0.5, 0.25)),
            *rows("computation_graph_edges", WRITES, (4, 6)),
            *rows("computation_graph_edges", CITES, (3, None)),
        ]
        if method == "saliency":
            quality += rows("fidelity+_prob", CITES, (0.75, None))
        folder.add("edge_types", settings(method), quality=quality)
    sizes, share, fidelity = (block for block in edge_types(section()) if isinstance(block, Table))
    assert texts(sizes) == {WRITES: ["5"], CITES: ["3"]}
    assert list(share.header) == ["method", WRITES, CITES]
    assert [one.split(" ")[0] for one in texts(share)["saliency"]] == ["0.375", "0.625"]
    assert [one.split(" ")[0] for one in texts(share)["occlusion"]] == ["0.750", "0.250"]
    assert "fidelity+" in fidelity.caption
    assert fidelity.caption.endswith("↑.")
    assert texts(fidelity)["saliency"][1] == "0.750"
    assert texts(fidelity)["occlusion"][1] == NOTHING


def test_only_where_a_run_has_such_tasks(folder, settings, section):
    folder.add("quality", settings(), quality=rows("auroc", "", (1.0,)))
    assert not list(edge_types(section()))
    headings = [block.text for block in compose(load(folder.path)) if isinstance(block, Heading)]
    assert "Edge types" not in headings
