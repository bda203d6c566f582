// Starts the page.

import { App } from "./app.js";
import { setText } from "./dom.js";
import { learned } from "./players.js";

const place = "framelane.theme";
const themes = { auto: "Theme: system", light: "Theme: light", dark: "Theme: dark" };
const button = document.getElementById("theme");

function useTheme(name) {
  document.documentElement.dataset.theme = name;
  setText(button, themes[name]);
}

const stored = localStorage.getItem(place);
useTheme(stored in themes ? stored : "auto");
button.addEventListener("click", () => {
  const names = Object.keys(themes);
  const next = names[(names.indexOf(document.documentElement.dataset.theme) + 1) % names.length];
  localStorage.setItem(place, next);
  useTheme(next);
});
await learned;
new App().begin();
