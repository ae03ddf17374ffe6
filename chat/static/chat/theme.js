// Light, dark or as the device: set before the first paint, so this one file is a classic script in the head.
// Knows nothing but the switch.
(() => {
  const key = "chatsite.theme";
  const root = document.documentElement;

  const read = () => {
    try {
      return localStorage.getItem(key) ?? "system";
    } catch {
      return "system"; // storage may be forbidden
    }
  };

  const apply = (theme) => {
    root.dataset.theme = theme;
    for (const button of document.querySelectorAll("[data-theme-choice]")) {
      button.setAttribute("aria-pressed", String(button.dataset.themeChoice === theme));
    }
  };

  const choose = (theme) => {
    try {
      localStorage.setItem(key, theme);
    } catch {
      // then it holds for this page only
    }
    apply(theme);
  };

  apply(read());
  document.addEventListener("DOMContentLoaded", () => apply(read()));
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-theme-choice]");
    if (button) choose(button.dataset.themeChoice);
  });
  window.addEventListener("storage", (event) => event.key === key && apply(read()));
})();
