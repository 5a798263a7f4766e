// What every page has: keys, links to the moment, and parts that are replaced without loading all of the page.
import { say } from "./said.js";
import { keys } from "./keys.js";
import { partial } from "./partial.js";
import { live } from "./live.js";

keys();
partial();
live();

document.addEventListener("click", async (event) => {
  const link = event.target.closest("a[data-copy], button[data-copies], button[data-copies-of]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const text = document.getElementById(link.dataset.copiesOf ?? "")?.textContent ?? link.dataset.copies ?? link.href;
  try {
    await navigator.clipboard.writeText(text);
    say("Copied.");
  } catch {
    if (link.href) location.href = link.href;  // without the clipboard the address bar has it
    else say("This browser lets nothing be copied here: mark the text instead.");
  }
});
