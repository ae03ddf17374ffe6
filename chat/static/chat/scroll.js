// Follows the newest text while the reader is at the bottom, and never moves the page under a reader who is not.

const NEAR_PX = 32;

export class Follow {
  #box;
  #jump;
  #isPinned = true;
  #lastTop = 0;

  constructor(box, jump) {
    this.#box = box;
    this.#jump = jump;
    box.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    box.addEventListener("wheel", (event) => event.deltaY < 0 && this.#detach(), { passive: true });
    box.addEventListener("touchmove", () => this.#detach(), { passive: true });
    box.addEventListener("keydown", (event) => ["PageUp", "ArrowUp", "Home"].includes(event.key) && this.#detach());
    jump.addEventListener("click", () => this.pin());
    new ResizeObserver(() => this.stick()).observe(box);
  }

  // Go to the end and stay there.
  pin() {
    this.#isPinned = true;
    this.stick();
  }

  // After new text: stay at the end if we were there.
  stick() {
    if (this.#isPinned) this.#box.scrollTop = this.#box.scrollHeight;
    this.#lastTop = this.#box.scrollTop;
    this.#showJump();
  }

  // Runs `change` while the element stays where it is on the screen.
  hold(element, change) {
    const before = element.getBoundingClientRect().top;
    const replacement = change() ?? element;
    this.#isPinned = false;
    this.#box.scrollTop += replacement.getBoundingClientRect().top - before;
    this.#scrolled();
  }

  #distance() {
    return this.#box.scrollHeight - this.#box.clientHeight - this.#box.scrollTop;
  }

  #detach() {
    if (this.#box.scrollHeight > this.#box.clientHeight) this.#isPinned = false;
    this.#showJump();
  }

  #scrolled() {
    const isUp = this.#box.scrollTop < this.#lastTop;
    if (this.#distance() <= NEAR_PX && !isUp) this.#isPinned = true;
    else if (isUp && this.#distance() > NEAR_PX) this.#isPinned = false;
    this.#lastTop = this.#box.scrollTop;
    this.#showJump();
  }

  #showJump() {
    this.#jump.hidden = this.#isPinned || this.#distance() <= NEAR_PX;
  }
}
