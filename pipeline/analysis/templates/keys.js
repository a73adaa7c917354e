// Keys work while a picture has the focus, so that they are in nobody's way.
function showMaps(on) {
  document.body.classList.toggle("maps", on);
  document.querySelectorAll(".maps-switch").forEach((box) => { box.checked = on; });
}

document.querySelectorAll(".maps-switch").forEach((box) => {
  box.addEventListener("change", () => showMaps(box.checked));
});

function columnsOf(cardList) {
  return getComputedStyle(cardList).gridTemplateColumns.split(" ").length;
}

function step(card, by) {
  const all = [...card.parentElement.children];
  const next = all[Math.min(all.length - 1, Math.max(0, all.indexOf(card) + by))];
  card.tabIndex = -1;
  next.tabIndex = 0;
  next.focus({ preventScroll: true });
  next.scrollIntoView({ block: "nearest" });
}

function relabel(card) {
  const { path, suggested } = card.dataset;
  if (suggested !== undefined) markAndShow(path, "relabel", facts.classes[suggested]);
}

const keys = {
  ArrowRight: (card) => step(card, 1),
  ArrowLeft: (card) => step(card, -1),
  ArrowDown: (card) => step(card, columnsOf(card.parentElement)),
  ArrowUp: (card) => step(card, -columnsOf(card.parentElement)),
  Home: (card) => step(card, -Infinity),
  End: (card) => step(card, Infinity),
  r: relabel,
  d: (card) => markAndShow(card.dataset.path, "drop"),
  k: (card) => markAndShow(card.dataset.path, "keep"),
  u: (card) => markAndShow(card.dataset.path, ""),
  m: () => showMaps(!document.body.classList.contains("maps")),
  "/": () => form.elements.path.focus(),
};

document.addEventListener("keydown", (event) => {
  const card = event.target;
  if (!card.classList.contains("card") || event.ctrlKey || event.metaKey || event.altKey) return;
  const act = keys[event.key];
  if (!act) return;
  event.preventDefault();
  act(card);
});
