// Forms with data-confirm ask first, and send once.

for (const form of document.querySelectorAll("form[data-confirm]")) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent || !window.confirm(form.dataset.confirm)) event.preventDefault();
    else form.dataset.sent = "1";
  });
}
