// The messages of one conversation: a tree by parent, and the branch that is open. Knows no screen and no network.

export class Tree {
  #messages = new Map();
  #children = new Map(); // parent id or null -> ids, oldest first
  #chosen = new Map(); // parent id or null -> the child whose branch is open

  constructor(messages = [], leaf = null) {
    for (const message of messages) this.#insert(message);
    this.#openTo(leaf);
  }

  get(id) {
    return this.#messages.get(id);
  }

  [Symbol.iterator]() {
    return this.#messages.values();
  }

  // Adds a message and opens its branch.
  add(message) {
    this.#insert(message);
    this.#chosen.set(message.parent, message.id);
  }

  remove(id) {
    const message = this.#messages.get(id);
    if (!message) return;
    for (const child of [...this.#below(id)]) this.remove(child);
    this.#messages.delete(id);
    this.#children.set(message.parent, this.#below(message.parent).filter((other) => other !== id));
    if (this.#chosen.get(message.parent) === id) this.#chosen.delete(message.parent);
  }

  // The server has given a message its own id.
  rename(old, id) {
    const message = this.#messages.get(old);
    if (!message || old === id) return;
    this.#messages.delete(old);
    message.id = id;
    this.#messages.set(id, message);
    this.#children.set(message.parent, this.#below(message.parent).map((other) => (other === old ? id : other)));
    if (this.#chosen.get(message.parent) === old) this.#chosen.set(message.parent, id);
    this.#move(this.#children, old, id);
    this.#move(this.#chosen, old, id);
    for (const child of this.#below(id)) this.#messages.get(child).parent = id;
  }

  // The open branch, first message first.
  path() {
    const path = [];
    for (let id = this.#next(null); id; id = this.#next(id)) path.push(this.#messages.get(id));
    return path;
  }

  // The messages beside this one and itself, oldest first.
  siblings(id) {
    return this.#below(this.#messages.get(id).parent);
  }

  // Opens the branch that holds `id`; below it, the branch that was open there last.
  choose(id) {
    this.#openTo(id);
  }

  // Keeps the branches that are open in `other`, as far as they exist here.
  chooseAs(other) {
    for (const [parent, child] of other.#chosen) {
      if (this.#messages.get(child)?.parent === parent) this.#chosen.set(parent, child);
    }
  }

  #insert(message) {
    if (!this.#messages.has(message.id)) {
      this.#children.set(message.parent, [...this.#below(message.parent), message.id]);
    }
    this.#messages.set(message.id, message);
  }

  #below(id) {
    return this.#children.get(id) ?? [];
  }

  #next(id) {
    return this.#chosen.get(id) ?? this.#below(id).at(-1);
  }

  #openTo(id) {
    for (let message = this.#messages.get(id); message; message = this.#messages.get(message.parent)) {
      this.#chosen.set(message.parent, message.id);
    }
  }

  #move(map, old, id) {
    if (!map.has(old)) return;
    map.set(id, map.get(old));
    map.delete(old);
  }
}
