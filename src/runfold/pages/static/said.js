// What is told to those who look and to those who listen, and goes away by itself.
let waiting = 0;

export function say(text) {
  const place = document.getElementById("said");
  clearTimeout(waiting);
  place.textContent = text;
  waiting = setTimeout(() => { place.textContent = ""; }, 4000);
}
