// The gallery: filter, sort, search.
const gallery = document.getElementById("gallery");
const form = gallery.querySelector("form");
const list = gallery.querySelector(".cards");
const message = gallery.querySelector(".status");
const more = gallery.querySelector(".more");
const cards = [...list.children];
const whole = message.textContent;
const STEP = 24;
let limit = STEP;

const byText = (key) => (a, b) => (a.dataset[key] < b.dataset[key] ? -1 : 1);
const orders = {
  loss: (a, b) => b.dataset.loss - a.dataset.loss,
  small: (a, b) => a.dataset.loss - b.dataset.loss,
  sure: (a, b) => b.dataset.sure - a.dataset.sure,
  unsure: (a, b) => a.dataset.sure - b.dataset.sure,
  label: (a, b) => a.dataset.label - b.dataset.label || a.dataset.predicted - b.dataset.predicted,
  path: byText("path"),
};

function within(value, range) {
  const [low, high] = range.split(" ").map(Number);
  return low <= value && value < high;
}

// Returns a test for each field that is not left at "any".
function tests() {
  const at = (name) => form.elements[name]?.value ?? "";
  const wanted = at("path").trim().toLowerCase();
  return [
    at("label") && ((data) => data.label === at("label")),
    at("predicted") && ((data) => data.predicted === at("predicted")),
    at("verdict") && ((data, card) => card.classList.contains(at("verdict"))),
    at("sure") && ((data) => within(data.sure, at("sure"))),
    at("loss") && ((data) => within(data.loss, at("loss"))),
    at("slice") && ((data) => data.slices.split(" ").includes(at("slice"))),
    wanted && ((data) => data.path.toLowerCase().includes(wanted)),
  ].filter(Boolean);
}

function found() {
  const all = tests();
  return cards.filter((card) => all.every((test) => test(card.dataset, card)));
}

function show() {
  const chosen = found().sort(orders[form.elements.order.value]);
  const shown = chosen.slice(0, limit);
  shown.forEach(equip);
  list.replaceChildren(...shown);
  rove(list);
  more.hidden = shown.length === chosen.length;
  message.textContent = chosen.length === cards.length ? whole
    : chosen.length === 0 ? "This page carries no image of that kind."
    : `${chosen.length} of the ${cards.length} images of this gallery.`;
}

// One picture of a list can be reached by Tab; the arrows lead to the others.
function rove(cardList) {
  [...cardList.children].forEach((card, k) => { card.tabIndex = k ? -1 : 0; });
}

function restart() { limit = STEP; show(); }

// Shows the pictures of a part of the test images, and says how many there are beyond this page.
function lead(fields, count) {
  for (const part of form.elements) if (part.name && part.name !== "order") part.value = "";
  for (const [name, value] of Object.entries(fields)) form.elements[name].value = value;
  restart();
  if (count) message.textContent = `Such test images: ${count}; in this gallery: ${found().length}.`;
  gallery.scrollIntoView();
  message.focus({ preventScroll: true });
}

form.addEventListener("input", restart);
form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("reset", () => setTimeout(restart)); // after the fields are empty
more.firstElementChild.addEventListener("click", () => {
  const next = list.children.length;
  limit += STEP;
  show();
  list.children[next].focus({ preventScroll: true });
});
document.getElementById("confusion").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  const { label, predicted, count, slice } = button.dataset;
  if (slice === undefined) lead({ label, predicted }, count);
  else lead({ slice });
});
document.querySelectorAll(".scripted").forEach((part) => { part.classList.remove("scripted"); });
document.querySelectorAll(".cards").forEach(rove);
show();
