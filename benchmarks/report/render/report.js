// Sorting of tables, one filter by method for the page, and the choice by an error bound.
// All controls are built here, so that a page without scripts has no dead ones.
"use strict";

const words = new Intl.Collator("en", { numeric: true });

// The number of a cell as the report wrote it, or null: what is shown is never parsed.
function number(row, column) {
  const text = row.cells[column].dataset.value;
  return text === undefined ? null : Number(text);
}

function sort(table, column, direction) {
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const numeric = rows.some((row) => number(row, column) !== null);
  rows.sort((a, b) => {
    if (!numeric) {
      const texts = [a, b].map((row) => row.cells[column].textContent);
      return direction * words.compare(...texts);
    }
    const [x, y] = [number(a, column), number(b, column)];
    if (x === null || y === null) return (x === null) - (y === null); // without a value: last
    return direction * (x - y);
  });
  body.append(...rows);
  for (const heading of table.tHead.rows[0].cells) heading.removeAttribute("aria-sort");
  const state = direction === 1 ? "ascending" : "descending";
  table.tHead.rows[0].cells[column].setAttribute("aria-sort", state);
}

function makeSortable(table) {
  [...table.tHead.rows[0].cells].forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      sort(table, column, heading.getAttribute("aria-sort") === "ascending" ? -1 : 1);
    });
  });
}

// ---------------------------------------------------------------- one filter for the whole page

// The methods that a text names: "a = b (steps=5)" names a and b.
function named(text) {
  return text.split(" = ").map((one) => one.replace(/ \(.*\)$/, "").replace(/[ *†‡]+$/, ""));
}

// The columns of a header that name methods.
function methodColumns(names) {
  return names.flatMap((name, i) => (["method", "other", "difference"].includes(name) ? [i] : []));
}

// Whether a row is about a hidden method: about nothing but hidden ones, or a comparison with one.
function isHidden(texts, hidden) {
  return texts.some((text) => text.split(" - ").some((one) => named(one).every((name) => hidden.has(name))));
}

function csvFields(line) {
  const fields = line.match(/("([^"]|"")*"|[^,]*)(,|$)/g) ?? [];
  return fields.map((one) => one.replace(/,$/, "").replace(/^"|"$/g, "").replaceAll('""', '"'));
}

// A function that shows an element's part about methods that are not hidden.
function filterOfTable(table) {
  const names = [...table.tHead.rows[0].cells].map((cell) => cell.textContent);
  const columns = methodColumns(names);
  const rows = [...table.tBodies[0].rows];
  return (hidden) => {
    for (const row of rows) {
      row.hidden = isHidden(columns.map((i) => row.cells[i].textContent), hidden);
    }
  };
}

function filterOfData(pre) {
  const [header, ...lines] = pre.textContent.split("\n");
  const columns = methodColumns(csvFields(header));
  const texts = lines.map((line) => csvFields(line));
  return (hidden) => {
    const kept = lines.filter((line, i) => {
      return !line || !isHidden(columns.map((j) => texts[i][j] ?? ""), hidden);
    });
    pre.textContent = [header, ...kept].join("\n");
  };
}

function makeFilter(menu) {
  const methods = JSON.parse(menu.dataset.methods);
  if (methods.length < 2) return;
  const parts = [
    ...[...document.querySelectorAll(".table table")].map(filterOfTable),
    ...[...document.querySelectorAll("pre.csv")].map(filterOfData),
  ];
  const group = document.createElement("fieldset");
  const legend = document.createElement("legend");
  legend.textContent = "Show in all tables and figures' data";
  group.append(legend);
  const boxes = methods.map((name) => {
    const label = document.createElement("label");
    const box = document.createElement("input");
    box.type = "checkbox";
    box.checked = true;
    box.value = name;
    label.append(box, ` ${name}`);
    group.append(label);
    return box;
  });
  const apply = () => {
    const hidden = new Set(boxes.filter((box) => !box.checked).map((box) => box.value));
    for (const part of parts) part(hidden);
    menu.querySelector("output").textContent = hidden.size ? `(${hidden.size} hidden)` : "";
  };
  for (const [text, checked] of [["All", true], ["None", false]]) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = text;
    button.addEventListener("click", () => {
      for (const box of boxes) box.checked = checked;
      apply();
    });
    group.append(button);
  }
  group.addEventListener("input", apply);
  menu.append(group);
  menu.hidden = false;
}

// A link that saves a figure's data, as they are shown.
function makeDownload(pre) {
  const link = document.createElement("a");
  link.download = pre.dataset.name;
  link.textContent = pre.dataset.name;
  link.href = "#";
  link.addEventListener("click", () => {
    link.href = `data:text/csv;charset=utf-8,${encodeURIComponent(pre.textContent)}`;
  });
  const line = document.createElement("p");
  line.append(link);
  pre.before(line);
}

function makeChoice(form) {
  const { options, none } = JSON.parse(form.dataset.choice);
  const input = form.querySelector("input");
  const output = form.querySelector("output");
  const choose = () => {
    const bound = input.valueAsNumber / 100;
    const best = options.find((option) => option.error < bound); // they come fastest first
    output.textContent = bound > 0 ? (best ? best.text : none) : "Enter a number above 0.";
  };
  form.addEventListener("submit", (event) => event.preventDefault());
  input.addEventListener("input", choose);
  form.hidden = false;
  choose();
}

// A link may lead into a part that is folded.
function unfold() {
  const place = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let one = place; one; one = one.parentElement) if (one.tagName === "DETAILS") one.open = true;
  place?.scrollIntoView();
}

const menus = document.querySelectorAll("details.menu");
makeFilter(document.getElementById("filter"));
for (const table of document.querySelectorAll(".table table")) {
  if (table.tBodies[0].rows.length > 1) makeSortable(table);
}
for (const sign of document.querySelectorAll("td abbr")) sign.title = "tied with the best";
document.querySelectorAll("pre.csv").forEach(makeDownload);
document.querySelectorAll("form.choice").forEach(makeChoice);
addEventListener("hashchange", unfold);
if (location.hash) unfold();
// A menu closes when the reader goes on elsewhere.
addEventListener("click", (event) => {
  for (const menu of menus) {
    if (!menu.contains(event.target) || event.target.closest("nav a")) menu.open = false;
  }
});
addEventListener("keydown", (event) => {
  if (event.key === "Escape") for (const menu of menus) menu.open = false;
});
