// Runs before the first paint: applies the theme that the reader chose on an earlier page.
"use strict";

{
  let stored = null;
  try { stored = localStorage.getItem("theme"); } catch { /* storage may be disabled */ }
  if (stored === "light" || stored === "dark") document.documentElement.dataset.theme = stored;
}
