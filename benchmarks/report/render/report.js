// What the report can do beyond being read: sort and filter its tables, choose by an error bound.
// Everything is built here, so that without scripts the page has no dead controls.
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

function makeFilterable(table) {
  const rows = [...table.tBodies[0].rows];
  const box = document.createElement("p");
  const label = document.createElement("label");
  const input = document.createElement("input");
  const count = document.createElement("output");
  box.className = "filter";
  input.type = "search";
  label.append("Filter rows ", input);
  box.append(label, " ", count);
  table.closest(".table").before(box);
  input.addEventListener("input", () => {
    const wanted = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !wanted.every((word) => text.includes(word));
    }
    const shown = rows.filter((row) => !row.hidden).length;
    count.textContent = wanted.length ? `${shown} of ${rows.length} rows` : "";
  });
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

for (const table of document.querySelectorAll(".table table")) {
  if (table.tBodies[0].rows.length > 1) makeSortable(table);
  if (table.tBodies[0].rows.length > 5) makeFilterable(table);
}
document.querySelectorAll("form.choice").forEach(makeChoice);
// On paper nothing can be opened.
addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details.more")) details.open = true;
});
