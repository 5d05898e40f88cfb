// As Reflex's page does it, before anything is painted.
{
  let chosen = null;
  try {
    chosen = localStorage.getItem("theme");
  } catch {
    // No storage: as the system is.
  }
  const dark = chosen === "dark" || (chosen !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.classList.add(dark ? "dark" : "light");
  document.documentElement.style.colorScheme = dark ? "dark" : "light";
}
