"""The HTML report as a reader has it: opened from disk in a real browser, on a desk and a phone."""

import io
import itertools
import shutil
from pathlib import Path

import numpy as np
import pytest
import seaborn as sns
from axe_playwright_python.sync_playwright import Axe
from matplotlib.figure import Figure
from PIL import Image
from playwright.sync_api import sync_playwright

import benchmarks.report
from benchmarks.report.figures.encode import _compact
from benchmarks.report.figures.palette import Palette
from benchmarks.report.figures.style import grid, stepped, style, vector_bars
from benchmarks.report.render import html
from benchmarks.report.render.blocks import Entry, Picture, Table
from benchmarks.report.sections.engines import COLUMNS

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
EVIL = "</script><script>alert(1)</script>"
UNFOLD = "document.querySelectorAll('details.part').forEach((part) => { part.open = true; })"
PUBLISHED = Path(__file__).parents[4] / "results"
PHONE = {"width": 390, "height": 844}

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium")


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def report(full):
    benchmarks.report.write(full.path, ("html",))
    return (full.path / "report.html").as_uri()


@pytest.fixture
def visit(browser):
    """Opens a page and gives it with what it asked for, complained of and wanted to tell.

    Its parts are unfolded unless the test is about them.
    """
    contexts = []

    def visit(address, *, unfold=True, **options):
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.heard = []
        page.on("request", lambda request: page.heard.append(f"request {request.url}"))
        page.on("console", lambda message: page.heard.append(f"console {message.text}"))
        page.on("pageerror", lambda error: page.heard.append(f"error {error}"))
        page.on("dialog", lambda dialog: (page.heard.append("dialog"), dialog.dismiss()))
        page.goto(address)
        if unfold and options.get("java_script_enabled", True):
            page.evaluate(UNFOLD)
        return page

    yield visit
    for context in contexts:
        context.close()


def table(page, words):
    """The region of the table that is called by the words."""
    return page.locator(f".table[aria-label*='{words}']").first


def column(region, position):
    cells = region.locator(f"tbody tr:not([hidden]) > :nth-child({position + 1})")
    return cells.all_inner_texts()


def test_it_opens_from_disk_and_asks_for_nothing(visit, report):
    page = visit(report)
    assert page.heard == [f"request {report}"]
    assert page.locator("h1").inner_text() == (
        "GNN explainers on twitch-sim: quality, cost, 2026-01-02"
    )


def test_nothing_may_be_fetched(visit, report):
    page = visit(report)
    refused = "fetch('https://example.org').then(() => 'fetched', () => 'refused')"
    assert page.evaluate(refused) == "refused"
    added = """() => {
        const script = document.createElement("script");
        script.textContent = "window.ran = true";
        document.body.append(script);
        return window.ran === true;
    }"""
    assert page.evaluate(added) is False


def test_tables_sort_by_the_numbers(visit, report):
    page = visit(report)
    region = table(page, "time of one explanation")
    heading = region.locator("thead th").nth(3)
    values = [float(cell) for cell in column_values(region, 3)]
    assert len(values) > 5
    heading.get_by_role("button").click()
    assert heading.get_attribute("aria-sort") == "ascending"
    assert [float(cell) for cell in column_values(region, 3)] == sorted(values)
    heading.get_by_role("button").press("Enter")  # the keyboard will do
    assert heading.get_attribute("aria-sort") == "descending"
    assert [float(cell) for cell in column_values(region, 3)] == sorted(values, reverse=True)
    region.locator("thead th").nth(0).get_by_role("button").click()
    assert heading.get_attribute("aria-sort") is None
    assert column(region, 0) == sorted(column(region, 0))


def column_values(region, position):
    cells = region.locator(f"tbody tr > :nth-child({position + 1})")
    return [cell.get_attribute("data-value") for cell in cells.all()]


def test_what_has_no_value_is_last_in_both_directions(visit, report):
    page = visit(report)
    region = table(page, "concentration and completeness")
    page.locator("summary", has_text="concentration and completeness").click()
    button = region.locator("thead th").nth(4).get_by_role("button")
    for _ in range(2):
        button.click()
        values = column_values(region, 4)
        assert values[0] is not None
        assert values[1:] == [None] * (len(values) - 1)


def test_tables_that_go_further_open_on_demand(visit, report):
    page = visit(report)
    regions = page.locator("details.more .table")
    assert regions.count() > 2
    region = table(page, "concentration and completeness")
    assert not region.is_visible()
    page.locator("summary", has_text="concentration and completeness").click()
    assert region.is_visible()
    assert not all(one.is_visible() for one in regions.all())


@pytest.mark.parametrize("size", [{"width": 1440, "height": 900}, PHONE])
def test_the_first_screen_answers(visit, report, size):
    page = visit(report, unfold=False, viewport=size)
    seen = "one => one.getBoundingClientRect()"
    sentences = page.locator("main > ul").first.locator("li")
    assert sentences.count() == 3
    starts = ("Safe default: ", "Best in fidelity+", "Cost on this machine: ")
    for sentence, start in zip(sentences.all(), starts, strict=True):
        assert sentence.inner_text().startswith(start)
        assert sentence.evaluate(seen)["bottom"] <= size["height"]
    plot = page.locator("figure").first
    assert "forest-twitch-sim" in plot.locator(".drawing").get_attribute("aria-labelledby")
    assert plot.evaluate(seen)["top"] < size["height"] - 100
    assert not page.get_by_role("navigation").is_visible()  # no table of contents before it


@pytest.mark.parametrize("size", [{"width": 1440, "height": 900}, PHONE])
def test_the_first_screen_about_reliability_can_be_read(visit, folder, settings, size):
    names = ("integrated_gradients", "shapley_sampling", "gnn_explainer", "random")
    for place, (task, name) in enumerate(itertools.product(("t0", "t1"), names)):
        alike = [("cascading, 1 of 1: convs.0", 0.1 * place), ("trained with another seed", 0.5)]
        drawn = [{"metric": "spearman", "other": k, "node": n, "value": v}
                 for k, v in alike for n in range(2)]  # fmt: skip
        folder.add("randomisation", settings(name, task=task), quality=drawn)
        found = {"max_sensitivity": 10.0**-place, "kendall_tau_seeds": 0.1 * place}
        rows = [{"metric": k, "node": n, "value": v} for k, v in found.items() for n in range(2)]
        folder.add("stability", settings(name, task=task), quality=rows)
    benchmarks.report.write(folder.path, ("html",))
    page = visit((folder.path / "report.html").as_uri(), unfold=False, viewport=size)
    sentences = page.locator("main > ul").first.locator("li")
    assert sentences.count() == 3  # new weights, moved features, other seeds
    assert page.locator("main > p", has_text="Can these explanations be relied on").is_visible()
    drawing = page.locator(".drawing").first
    assert drawing.evaluate("one => one.getBoundingClientRect().top") < size["height"] - 100
    assert drawing.evaluate("one => one.scrollWidth <= one.clientWidth")  # whole, on a phone, too
    words = drawing.locator("svg text").all()
    assert min(one.bounding_box()["height"] for one in words) > 8  # px
    # On a wide screen beside the sentences, whatever these are; what follows is below both.
    texts, sample = page.locator("main > ul").first.bounding_box(), "main > p:has-text('at most:')"
    beside = drawing.bounding_box()["x"] >= texts["x"] + texts["width"]
    assert beside == (size != PHONE)
    for height in ("auto", "150rem"):  # the figure is the higher one, or the sentences are
        page.locator("main > ul").first.evaluate(
            "(one, to) => { one.style.minHeight = to; }", height
        )
        boxes = [page.locator(one).first.bounding_box() for one in ("main > ul", "figure")]
        end = max(box["y"] + box["height"] for box in boxes)
        assert page.locator(sample).bounding_box()["y"] >= end
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    found = Axe().run(page).response["violations"]
    assert [one["id"] for one in found if one["impact"] in ("serious", "critical")] == []


@pytest.mark.parametrize("width", [390, 1440])
def test_the_page_does_not_scroll_sideways(visit, report, width):
    page = visit(report, viewport={"width": width, "height": 900})
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_all_tables_come_after_ten_screens_at_most(visit, report):
    page = visit(report, unfold=False, viewport={"width": 1440, "height": 900})
    assert page.evaluate("document.documentElement.scrollHeight") <= 10 * 900
    assert page.locator("details.part .table").count() > 10
    assert not any(one.is_visible() for one in page.locator("details.part .table").all())


def test_it_prints_in_few_pages(visit, report):
    page = visit(report, unfold=False)
    assert 1 <= page.pdf(format="A4").count(b"/Type /Page\n") <= 15


def test_a_wide_table_prints_in_cells_of_two_lines_and_every_page_has_its_header(visit, tmp_path):
    """As the tables of engines and of other packages, which have the longest rows."""
    stock = Entry("10,701× [10,216×, 11,147×]", value=10701)
    hand = Entry("205× [144×, 274×]", value=205)
    many = [
        *map(Entry, ("twitch-en", "sage", "3", "integrated_gradients (internal_batch_size=None)")),
        *(Entry("k-hop by hand"), Entry("1,000"), stock, hand, Entry("30 / 30")),
        *map(Entry, ("999 ms", "999 MB", "0.0045", "5.4e-07", "94.6×")),
    ]
    few = [Entry("graph_explain_integrated_gradients"), Entry("integrated_gradients")]
    few += [Entry("-0.432 [-0.934, -0.069]", mark="tied", value=-0.4)] * 6
    others = ["method", "ours", "ba-shapes", "cora", "mutag", "tree-cycles", "twitch-en"]
    blocks = [
        Table("Engines.", COLUMNS, [many] * 3),
        Table("Others.", [*others, "white-box-count:gated"], [few] * 3),
    ]
    path = tmp_path / "page.html"
    path.write_text(html.render("Title", blocks, {}), encoding="utf-8")
    page = visit(path.as_uri(), viewport={"width": 703, "height": 1000})  # A4 and its margins
    page.emulate_media(media="print")
    lines = """() => [...document.querySelectorAll("tbody td, tbody th")].map((cell) => {
        const range = document.createRange();
        range.selectNodeContents(cell);
        const tops = [...range.getClientRects()].map((one) => Math.round(one.top));
        return [cell.textContent, new Set(tops).size];
    })"""
    assert [one for one in page.evaluate(lines) if one[1] > 2] == []
    widths = "[...document.querySelectorAll('table')].map((one) => one.scrollWidth)"
    assert max(page.evaluate(widths)) <= 703
    # What Chromium asks of a header that it repeats: no break within, and no button.
    of_header = "selector => getComputedStyle(document.querySelector(selector))"
    assert page.evaluate(f"({of_header})('thead').breakInside") == "avoid"
    assert page.evaluate(f"({of_header})('thead button').display") == "contents"


def test_a_figure_scrolls_on_a_phone_before_its_words_are_too_small(visit, tmp_path):
    svg = '<svg width="900pt" viewBox="0 0 900 300"><text font-size="8" y="9">abc</text></svg>'
    path = tmp_path / "page.html"
    path.write_text(html.render("Title", [Picture("one", "C.", Figure())], {"one": svg}))
    page = visit(path.as_uri(), viewport=PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert page.locator("svg text").bounding_box()["height"] > 8  # px
    wide = visit(path.as_uri(), viewport={"width": 1440, "height": 900})
    assert wide.locator("svg").bounding_box()["width"] == 1200  # as drawn


def test_a_drawing_made_small_looks_as_it_was_drawn(visit, tmp_path):
    """Against matplotlib's own SVG, in pixels."""
    with style():
        figure, ((left, right),) = grid(1, 2, (4.0, 3.0))
        x = np.linspace(0, 1, 9)
        for turn, name in enumerate(("lime", "saliency", "random")):
            marks = Palette(["lime", "saliency"], []).marks(name)
            left.plot(x, np.sin(3 * x + turn), marker="sD|"[turn], label=name, **marks)
            left.fill_between(x, np.sin(3 * x) - turn, np.sin(3 * x) + 0.3, alpha=0.2)
        left.set_ylim(-0.5, 1.0)  # something is cut off
        sns.heatmap(np.arange(12.0).reshape(3, 4), ax=right, cmap=stepped("crest"), annot=True)
        vector_bars(figure)
        drawn = io.BytesIO()
        figure.savefig(drawn, format="svg", metadata={"Date": None, "Creator": None})
    whole = drawn.getvalue().decode()
    small = _compact(whole)
    assert len(small) < len(whole) / 2
    pictures = []
    for svg in (whole, small):
        path = tmp_path / "figure.svg"
        path.write_text(svg, encoding="utf-8")
        shot = visit(path.as_uri(), unfold=False, device_scale_factor=2).screenshot()
        pictures.append(np.asarray(Image.open(io.BytesIO(shot)).convert("RGB"), dtype=float))
    apart = np.abs(pictures[0] - pictures[1])
    assert pictures[0].std() > 20  # something is shown
    assert apart.mean() < 1
    assert (apart.max(axis=-1) > 40).mean() < 6e-4  # of the pixels: no line is lost


def test_one_filter_hides_a_method_in_all_tables_and_data(visit, report):
    page = visit(report)
    name = "gnn_explainer"

    def rows():
        found = page.locator(".table tbody tr:not([hidden])").all_text_contents()
        return [text for text in found if name in text]

    def lines():
        return [text for text in page.locator("pre.csv").all_text_contents() if name in text]

    before = len(rows()), len(lines())
    assert before[0] > 8
    assert before[1] > 4
    page.locator("summary", has_text="Methods").first.click()
    page.get_by_label(name).uncheck()
    # What stays names it beside other methods, in the verdict's words or as one of the failed.
    kept = [text for text in rows() if "Summary" not in text]
    by_method = page.evaluate(
        """(name) => [...document.querySelectorAll(".table table")].flatMap((table) => {
            const header = [...table.tHead.rows[0].cells].map((one) => one.textContent);
            const at = header.indexOf("method");
            if (at < 0) return [];
            const rows = [...table.tBodies[0].rows].filter((row) => !row.hidden);
            return rows.map((row) => row.cells[at].textContent).filter((text) => text === name);
        })""",
        name,
    )
    assert by_method == []
    assert len(kept) < before[0]
    assert lines() == []
    assert page.locator("#filter output").inner_text() == "(1 hidden)"
    assert page.locator("#filter input").count() == page.locator("input[type=checkbox]").count()
    page.get_by_role("button", name="All", exact=True).click()
    assert (len(rows()), len(lines())) == before


def test_headers_and_the_way_to_other_parts_stay_in_sight(visit, report):
    page = visit(report, viewport={"width": 1440, "height": 500})
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    assert page.locator(".bar").evaluate("one => one.getBoundingClientRect().top") == 0
    region = table(page, "time of one explanation")
    region.evaluate("one => { one.style.maxHeight = '150px'; one.scrollTop = 120; }")
    top = "one => one.getBoundingClientRect().top"
    header = region.locator("thead th").first
    assert abs(header.evaluate(top) - region.evaluate(top)) < 2


def test_a_link_opens_the_part_it_leads_into(visit, report):
    page = visit(f"{report}#time-twitch-sim", unfold=False)
    page.locator("#time-twitch-sim").wait_for()  # the part opens after the address has changed
    assert not page.locator("#environment .table").first.is_visible()
    page.locator("summary", has_text="Contents").click()
    page.get_by_role("link", name="Environment").click()
    page.locator("#environment .table").first.wait_for()


def test_the_bound_changes_the_recommendation(visit, report):
    page = visit(report)
    form = page.locator("form.choice")
    bound, answer = form.get_by_label("median relative error below"), form.locator("output")
    assert bound.input_value() == "1"
    assert answer.inner_text().startswith("n_steps = 50, internal_batch_size = 50: ")
    bound.fill("5")
    assert answer.inner_text().startswith("n_steps = 20, internal_batch_size = 20: ")
    bound.fill("0.01")
    assert answer.inner_text().startswith("n_steps = 500, internal_batch_size = 100: ")
    bound.fill("0.0001")
    assert answer.inner_text() == "No setting that was measured has an error below this bound."
    bound.fill("-1")
    assert answer.inner_text() == "Enter a number above 0."


@pytest.mark.parametrize("width", [390, 1280])
def test_every_figure_is_drawn(visit, report, width):
    page = visit(report, viewport={"width": width, "height": 900})
    figures = page.locator("figure svg")
    assert figures.count() == page.locator("figure").count() >= 5
    for box in (figure.bounding_box() for figure in figures.all()):
        assert box["width"] > 300
        assert box["height"] > 100
    shapes = "svg => svg.getBBox().width * svg.getBBox().height"
    assert all(figure.evaluate(shapes) > 0 for figure in figures.all())


def test_every_figure_has_its_data_one_click_away(visit, report):
    page = visit(report)
    for figure in page.locator("figure").all():
        figure.locator("summary").click()
        with page.expect_download() as download:
            figure.get_by_role("link").click()
        shown = figure.locator("pre").inner_text()
        assert download.value.path().read_text().strip() == shown.strip()
        assert download.value.suggested_filename.endswith(".csv")
        assert len(shown.splitlines()) > 2


def test_a_phone_scrolls_tables_and_not_the_page(visit, report):
    page = visit(report, viewport=PHONE, is_mobile=True, has_touch=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    wide = table(page, "time of one explanation")
    assert wide.evaluate("region => region.scrollWidth > region.clientWidth")


def test_without_scripts_all_can_be_read(visit, report):
    page = visit(report, java_script_enabled=False)
    assert page.locator("button").count() == 0
    assert not page.locator("form.choice").is_visible()
    page.locator("#task-twitch-sim > summary").click()
    assert "integrated_gradients" in column(table(page, "time of one explanation"), 0)
    page.locator("figure summary").first.click()
    assert page.locator("figure pre").first.is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_axe_finds_nothing_serious(visit, report, scheme, width):
    page = visit(report, viewport={"width": width, "height": 900}, color_scheme=scheme)
    found = Axe().run(page).response["violations"]
    assert [one["id"] for one in found if one["impact"] in ("serious", "critical")] == []


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1440, "light")])
def test_the_page_about_all_reports_can_be_read_as_they_can(visit, width, scheme):
    address = (PUBLISHED / "index.html").as_uri()
    page = visit(address, viewport={"width": width, "height": 900}, color_scheme=scheme)
    assert page.heard == [f"request {address}"]
    board = page.locator(".table").first
    assert board.is_visible()
    assert board.evaluate("one => one.getBoundingClientRect().top") < 1.5 * 900
    reports = [link.get_attribute("href") for link in page.locator("th a").all()]
    assert reports
    assert all((PUBLISHED / link).is_file() for link in reports)
    page.locator("summary", has_text="Methods").first.click()
    page.get_by_label("saliency", exact=True).uncheck()
    assert "saliency" not in column(board, 0)
    assert "random (random baseline)" in column(board, 0)
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    found = Axe().run(page).response["violations"]
    assert [one["id"] for one in found if one["impact"] in ("serious", "critical")] == []


def test_the_contents_lead_to_every_part(visit, report):
    page = visit(report)
    page.locator("summary", has_text="Contents").click()
    links = page.get_by_role("navigation").get_by_role("link").all()
    targets = [link.get_attribute("href") for link in links]
    assert {"#verdict", "#task-twitch-sim", "#quality-twitch-sim", "#environment"} <= set(targets)
    assert all(page.locator(target).count() == 1 for target in targets)


def test_names_from_data_stay_text(visit, folder, settings):
    times = [
        {"repeat": repeat, "node": repeat, "nodes": 1, "seconds": 1.0 + repeat}
        for repeat in range(3)
    ]
    for number, method in enumerate((EVIL, '"><img src=x onerror=alert(1)>', "plain")):
        values = [number + 0.1, number + 0.2, number + 0.3]
        for metric in ("fidelity+_prob", EVIL):
            for level in ("k=10", "f=10%"):
                folder.quality(method, values, metric=metric, level=level)
        folder.add("runtime", settings(method, EVIL), runtime=times)
        sweep = settings(method, EVIL, n_steps=10, internal_batch_size=5)
        error = [{"node": 1, "metric": "relative_error", "value": 0.001}]
        folder.add("ig_sweep", sweep, runtime=times, quality=error)
    benchmarks.report.write(folder.path, ("html",))
    address = (folder.path / "report.html").as_uri()
    page = visit(address)
    assert page.heard == [f"request {address}"]
    assert page.locator("script").count() == 1
    assert page.locator("img").count() == 0
    assert EVIL in column(table(page, "time of one explanation"), 0)
    assert page.locator("form.choice output").first.inner_text().startswith("n_steps = 10")
