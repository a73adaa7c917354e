"use strict";
const gallery = document.getElementById("gallery");
const form = gallery.querySelector("form");
const list = gallery.querySelector(".cards");
const message = gallery.querySelector(".status");
const more = gallery.querySelector(".more");
const cards = [...list.children];
const whole = message.textContent;
const STEP = 24;
let limit = STEP;

const orders = {
  loss: (a, b) => b.dataset.loss - a.dataset.loss,
  sure: (a, b) => b.dataset.sure - a.dataset.sure,
  unsure: (a, b) => a.dataset.sure - b.dataset.sure,
};

function matches(card) {
  const wanted = form.elements;
  return ["label", "predicted"].every((key) => ["", card.dataset[key]].includes(wanted[key].value))
    && (wanted.verdict.value === "" || card.classList.contains(wanted.verdict.value));
}

function show() {
  const found = cards.filter(matches).sort(orders[form.elements.order.value]);
  const shown = found.slice(0, limit);
  list.replaceChildren(...shown);
  more.hidden = shown.length === found.length;
  message.textContent = found.length === cards.length ? whole
    : found.length === 0 ? "This page carries no image of that kind."
    : `${found.length} of the ${cards.length} images of this gallery.`;
}

function restart() { limit = STEP; show(); }

form.hidden = false;
form.addEventListener("change", restart);
form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("reset", () => setTimeout(restart));  // after the fields are empty
more.firstElementChild.addEventListener("click", () => {
  const next = list.children.length;
  limit += STEP;
  show();
  list.children[next].tabIndex = -1;
  list.children[next].focus({ preventScroll: true });
});
document.getElementById("confusion").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  form.elements.label.value = button.dataset.label;
  form.elements.predicted.value = button.dataset.predicted;
  form.elements.verdict.value = "";
  restart();
  message.textContent = `Such test images: ${button.dataset.count}; `
    + `in this gallery: ${cards.filter(matches).length}.`;
  gallery.scrollIntoView();
  message.focus({ preventScroll: true });
});
show();
