// Before anything is painted: the theme that the reader chose on an earlier page.
"use strict";

{
  let kept = null;
  try { kept = localStorage.getItem("theme"); } catch { /* private windows keep nothing */ }
  if (kept === "light" || kept === "dark") document.documentElement.dataset.theme = kept;
}
