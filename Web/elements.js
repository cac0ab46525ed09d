// Small things that the views share: elements, icons, avatars, dates, links.

const SVG = "http://www.w3.org/2000/svg";
/** What a message may link to; anything else stays text. */
const LINK = /\bhttps?:\/\/[^\s<>"]+[^\s<>".,;:!?)\]}']/g;
const HUES = 8;

export const byId = (id) => document.getElementById(id);

/** An element with properties and children; text is always text, never markup. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "data") Object.assign(element.dataset, value);
    else if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

export function icon(name, label) {
  const svg = document.createElementNS(SVG, "svg");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  if (label) {
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", label);
  } else {
    svg.setAttribute("aria-hidden", "true");
  }
  return svg;
}

/** One of a few colours, always the same for a name. */
export function hueOf(name) {
  let hash = 0x811c9dc5;
  for (const letter of name) hash = Math.imul(hash ^ letter.charCodeAt(0), 0x01000193);
  return (hash >>> 7) % HUES;
}

/** Makes `element` the avatar of a user, or of a room. */
export function showAvatar(element, name, isRoom) {
  element.textContent = isRoom ? "#" : name.slice(0, 1).toUpperCase();
  element.dataset.hue = hueOf(name);
  element.classList.toggle("room", Boolean(isRoom));
}

export function avatar(name, isRoom) {
  const element = make("span", { className: "avatar" });
  element.setAttribute("aria-hidden", "true");
  showAvatar(element, name, isRoom);
  return element;
}

/**
 * Children that are told apart by a key and touched only when they are another. An element stays the same
 * one as long as its key is there: a click that began on it ends on it, and the focus stays.
 */
export class KeyedList {
  #parent;
  #nodes = new Map();

  constructor(parent) {
    this.#parent = parent;
  }

  clear() {
    this.#nodes.clear();
    this.#parent.replaceChildren();
  }

  /** Shows `rows`, each `{key, signature, build}`: built again when the signature is another. */
  show(rows) {
    const keys = new Set(rows.map((row) => row.key));
    for (const [key, node] of this.#nodes) {
      if (keys.has(key)) continue;
      node.remove();
      this.#nodes.delete(key);
    }
    let next = this.#parent.firstElementChild;
    for (const row of rows) {
      let node = this.#nodes.get(row.key);
      if (!node) this.#nodes.set(row.key, (node = row.build()));
      else if (node.signature !== row.signature) refill(node, row.build());
      node.signature = row.signature;
      if (node === next) next = next.nextElementSibling;
      else this.#parent.insertBefore(node, next);
    }
  }
}

/** Makes an element what `fresh`, of the same tag, is. */
function refill(element, fresh) {
  for (const { name } of [...element.attributes]) if (!fresh.hasAttribute(name)) element.removeAttribute(name);
  for (const { name, value } of fresh.attributes) element.setAttribute(name, value);
  element.onclick = fresh.onclick;
  element.replaceChildren(...fresh.childNodes);
}

/** Text with its addresses as links. */
export function linked(text) {
  const parts = [];
  let from = 0;
  for (const match of text.matchAll(LINK)) {
    parts.push(text.slice(from, match.index));
    parts.push(make("a", { href: match[0], target: "_blank", rel: "noopener noreferrer" }, match[0]));
    from = match.index + match[0].length;
  }
  parts.push(text.slice(from));
  return parts.filter((part) => part !== "");
}

const clock = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });
const weekday = new Intl.DateTimeFormat(undefined, { weekday: "long" });
const shortDay = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const longDay = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long", year: "numeric" });
const whole = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });

export const clockTime = (time) => clock.format(time);
export const wholeTime = (time) => whole.format(time);

/** How many midnights lie between two times. */
function daysApart(earlier, later) {
  const day = (time) => new Date(time).setHours(0, 0, 0, 0);
  return Math.round((day(later) - day(earlier)) / 86_400_000);
}

export const sameDay = (a, b) => daysApart(a, b) === 0;

/** For a row of the list: the time today, the day before that. */
export function listTime(time, now) {
  const days = daysApart(time, now);
  if (days <= 0) return clockTime(time);
  if (days === 1) return "Yesterday";
  return days < 7 ? weekday.format(time) : shortDay.format(time);
}

/** For a line between the messages of two days. */
export function dayName(time, now) {
  const days = daysApart(time, now);
  if (days === 0) return "Today";
  return days === 1 ? "Yesterday" : longDay.format(time);
}
