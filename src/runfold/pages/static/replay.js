// The replay: the slider, steps by key, and playing. Each of them goes where a link of the page goes.
import { on } from "./keys.js";
import { load } from "./partial.js";
import { say } from "./said.js";

const PARTS = ["main", "inspector"];
const EVERY = 900;
let playing = 0;

function begin() {
  for (const each of document.querySelectorAll(".needs-scripts")) each.hidden = false;
  const slider = document.getElementById("slider");
  if (slider && !slider.dataset.ready) {
    slider.dataset.ready = "1";
    const stops = slider.dataset.stops.split(" ");
    slider.addEventListener("input", () => {
      slider.setAttribute("aria-valuetext", `position ${Number(stops[slider.value]).toLocaleString("en")}`);
      const field = document.getElementById("at");
      if (field) field.value = stops[slider.value];
    });
    slider.addEventListener("change", () => go(slider.dataset.address.replace("POSITION", stops[slider.value])));
  }
  for (const label of document.querySelectorAll("label[data-go]")) {
    label.onclick = () => setTimeout(() => document.getElementById(label.htmlFor)?.select(), 0);
  }
  const play = document.getElementById("play");
  if (play) {
    play.onclick = toggle;
    play.textContent = playing ? "Pause" : "Play";
    play.setAttribute("aria-pressed", String(Boolean(playing)));
  }
}

async function go(address) {
  await load(address, PARTS);
  document.querySelector(".conversation > article:last-of-type")?.scrollIntoView({ block: "nearest" });
}

function step(name) {
  const link = document.getElementById(`step-${name}`);
  if (link) return go(link.href);
  say(name.startsWith("next") ? "Nothing was recorded after this." : "Nothing was recorded before this.");
  return null;
}

function toggle() {
  if (playing) { clearTimeout(playing); playing = 0; begin(); return; }
  playing = setTimeout(tick, 0);
  begin();
}

async function tick() {
  const going = step("next-event");
  if (going === null) { playing = 0; begin(); return; }
  await going;
  if (playing) playing = setTimeout(tick, EVERY);
}

// On the present, what is recorded meanwhile is shown when it comes; who reads one item is only told of it.
async function look() {
  const place = document.querySelector("[data-latest]");
  if (!place || document.hidden || playing) return;
  const answer = await fetch(place.dataset.latest).catch(() => null);
  if (!answer?.ok) return;
  const { position } = await answer.json();
  if (position <= Number(place.dataset.last) || !place.isConnected) return;
  place.dataset.last = position;
  if (document.querySelector(".item.selected") || document.querySelector("a[rel=next]")) { say("More was recorded. Press n to see it."); return; }
  await load(location.href, PARTS, { push: false });
  say("More was recorded, and is shown.");
}
setInterval(look, 2000);

on("n", () => {
  const now = new URL(location.href);
  for (const name of ["at", "item", "first", "see", "whole", "to"]) now.searchParams.delete(name);
  return go(now.href);
});
on("ArrowLeft", () => step("previous-event"));
on("ArrowRight", () => step("next-event"));
on("Shift+ArrowLeft", () => step("previous-message"));
on("Shift+ArrowRight", () => step("next-message"));
on("p", toggle);
on("c", () => document.getElementById("compare")?.click());
document.addEventListener("runfold:replaced", begin);
begin();
