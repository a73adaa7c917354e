"use strict";
// What people say about single images, kept until they hand it back as data/corrections.csv.
const facts = JSON.parse(document.getElementById("facts").textContent);
const filed = new Map(Object.entries(facts.marks)); // path: [action, label], as the file has it
const marks = new Map(filed);
const selects = new Map(); // path: the controls for it, of which a page may show several
const FEW_CLASSES = 12;
const section = document.getElementById("suspects");
const tray = document.getElementById("tray");
const csvBox = section.querySelector("textarea");
const said = section.querySelector(".said");

const same = (a, b) => (a ? a.join("\n") : "") === (b ? b.join("\n") : "");

function changed() {
  return [...new Set([...filed.keys(), ...marks.keys()])]
    .filter((path) => !same(filed.get(path), marks.get(path)));
}

function csvCell(text) {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function csv() {
  const rows = [...marks.keys()].sort().map((path) => [facts.names[path] ?? path, ...marks.get(path)]);
  return [["path", "action", "label"], ...rows].map((row) => row.map(csvCell).join(",") + "\n").join("");
}

function store() {
  try {
    const left = Object.fromEntries(changed().map((path) => [path, marks.get(path) ?? null]));
    if (Object.keys(left).length) localStorage.setItem(facts.key, JSON.stringify(left));
    else localStorage.removeItem(facts.key);
  } catch { /* a browser that stores nothing for files; the marks hold while the page is open */ }
}

function restore() {
  try {
    const left = JSON.parse(localStorage.getItem(facts.key) ?? "{}");
    for (const [path, mark] of Object.entries(left)) {
      if (mark === null) marks.delete(path);
      else if (mark[0] !== "relabel" || facts.classes.includes(mark[1])) marks.set(path, mark);
    }
  } catch { /* as above, or not ours */ }
}

function showMarks() {
  const n = changed().length;
  tray.hidden = n === 0;
  document.body.classList.toggle("trayed", n > 0);
  document.getElementById("tray-count").textContent = n === 1 ? "1 correction to hand back" : `${n} corrections to hand back`;
  csvBox.value = csv();
}

function mark(path, action, label = "") {
  if (action) marks.set(path, [action, label]);
  else marks.delete(path);
  for (const select of selects.get(path) ?? []) reflect(select, path);
}

function markAndShow(path, action, label) {
  mark(path, action, label);
  store();
  showMarks();
}

const valueOf = (path) => (marks.get(path) ?? ["", ""]).join(" ").trim();

function reflect(select, path) {
  const value = valueOf(path);
  if (![...select.options].some((option) => option.value === value)) addOption(select, value);
  select.value = value;
  select.closest("li").classList.toggle("marked", value !== "");
}

function addOption(select, value) {
  const [action, ...rest] = value.split(" ");
  const label = rest.join(" ");
  const words = { "": "no correction", drop: "drop", keep: "keep as it is", other: "relabel: …" };
  select.add(new Option(action === "relabel" ? `relabel: ${label}` : words[action], value));
}

// Gives a card or tile its control, once.
function equip(item) {
  if (item.querySelector("select")) return;
  const { path, label, predicted, suggested } = item.dataset;
  const select = document.createElement("select");
  select.setAttribute("aria-label", `Correction of ${path}`);
  const own = facts.classes[label];
  const offered = facts.classes.length <= FEW_CLASSES ? facts.classes
    : [...new Set([suggested, predicted].filter(Boolean).map((k) => facts.classes[k]))];
  addOption(select, "");
  for (const name of offered) if (name !== own) addOption(select, `relabel ${name}`);
  if (facts.classes.length > FEW_CLASSES) addOption(select, "other");
  addOption(select, "drop");
  addOption(select, "keep");
  const known = selects.get(path) ?? [];
  selects.set(path, [...known, select]);
  const place = document.createElement("p");
  place.className = "mend";
  place.append(select);
  item.append(place);
  reflect(select, path);
  select.addEventListener("change", () => {
    if (select.value === "other") return askClass(select, path);
    const [action, ...rest] = select.value.split(" ");
    markAndShow(path, action, rest.join(" "));
  });
}

function askClass(select, path) {
  const name = (prompt(`Which class is ${path}?`) ?? "").trim();
  if (facts.classes.includes(name)) return markAndShow(path, "relabel", name);
  if (name) alert(`There is no class ${name}.`);
  reflect(select, path);
}

function download() {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([csv()], { type: "text/csv" }));
  link.download = "corrections.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  said.textContent = "Saved by the browser as corrections.csv.";
}

async function copy() {
  try {
    await navigator.clipboard.writeText(csv());
    said.textContent = "Copied.";
  } catch {
    csvBox.focus();
    csvBox.select();
    said.textContent = "Selected: copy it with the keyboard.";
  }
}

function suggest() {
  for (const card of section.querySelector(".cards")?.children ?? []) {
    mark(card.dataset.path, "relabel", facts.classes[card.dataset.suggested]);
  }
  store();
  showMarks();
  said.textContent = "";
}

function forget() {
  for (const path of changed()) mark(path, ...(filed.get(path) ?? [""]));
  store();
  showMarks();
  said.textContent = "Taken back.";
}

const deeds = { download, copy, suggest, forget };
document.addEventListener("click", (event) => {
  const deed = deeds[event.target.closest("button[data-do]")?.dataset.do];
  if (deed) deed();
});
restore();
document.querySelectorAll("#data .tile, #panels .card, #suspects .card").forEach(equip);
showMarks();
