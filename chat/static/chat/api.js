// The JSON endpoints. Knows addresses and the CSRF header, nothing of what is done with the answers.
import { find } from "./dom.js";

export class SignedOut extends Error {}

export class Failed extends Error {
  constructor(status) {
    super(`HTTP ${status}`);
    this.status = status;
  }
}

async function call(path, body) {
  const response = await fetch(path, {
    method: body === undefined ? "GET" : "POST",
    credentials: "same-origin",
    cache: "no-store",
    headers: {
      Accept: "application/json",
      ...(body !== undefined && {
        "Content-Type": "application/json",
        "X-CSRFToken": find("input[name=csrfmiddlewaretoken]")?.value ?? "",
      }),
    },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const isJson = response.headers.get("Content-Type")?.includes("json") ?? false;
  if (response.status === 401 || (response.redirected && !isJson)) throw new SignedOut();
  if (!response.ok) throw new Failed(response.status);
  return isJson ? response.json() : null;
}

const one = (id) => `/api/conversations/${id}/`;

export const state = () => call("/api/state/");

export function conversations(query, before) {
  const wanted = new URLSearchParams();
  if (query) wanted.set("q", query);
  if (before) wanted.set("before", before);
  return call(`/api/conversations/?${wanted}`);
}

export const conversation = (id) => call(one(id));
export const rename = (id, title) => call(`${one(id)}rename/`, { title });
export const remove = (id) => call(`${one(id)}delete/`, {});
export const openBranch = (id, leaf) => call(`${one(id)}leaf/`, { leaf });
