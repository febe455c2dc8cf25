/** The options of the overlay, in the query of its address. */

const HEX = /^([0-9a-f]{3,4}|[0-9a-f]{6}|[0-9a-f]{8})$/i;

/** Each: what is expected, for people; how the text is read, undefined where it cannot be; the default. */
const OPTIONS = {
  stream: option("the name of a stream", (text) => text, null),
  size: option("a number of pixels from 8 to 300", number(8, 300), 48),
  align: choice("center", "left", "right"),
  position: choice("bottom", "middle", "top"),
  font: option("the name of a font", (text) => (/^[\p{L}\p{N} _-]+$/u.test(text) ? text : undefined), null),
  color: option("a color in hex, such as ffffff", color, "#ffffff"),
  background: option("a color in hex, such as 00000080", color, null),
  words: choice("on", "off"),
  confidence: choice("off", "on"),
  interim: choice("on", "off"),
  unsure: choice("mark", "hide", "show"),
  hold: option("a number of seconds from 0 to 3600", number(0, 3_600), 8),
};

/**
 * @typedef {{stream: string | null, size: number, align: "center" | "left" | "right",
 *   position: "bottom" | "middle" | "top", font: string | null, color: string, background: string | null,
 *   words: "on" | "off", confidence: "on" | "off", interim: "on" | "off", unsure: "mark" | "hide" | "show",
 *   hold: number}} Options
 *
 * @param {string} query  Of the address, with or without the question mark.
 * @returns {{options: Options, problem: string | null}} problem: the first value that cannot be used, in one line;
 *   the default stands in its place.
 */
export function readOptions(query) {
  const options = Object.fromEntries(Object.entries(OPTIONS).map(([name, { initial }]) => [name, initial]));
  let problem = null;
  for (const [name, text] of new URLSearchParams(query)) {
    if (!Object.hasOwn(OPTIONS, name)) {
      problem ??= `expected one of ${Object.keys(OPTIONS).join(", ")}, got ${shown(name)}; correct the address`;
      continue;
    }
    const { expected, read } = OPTIONS[name];
    const value = read(text);
    if (value === undefined || text === "") problem ??= `expected ${name} to be ${expected}, got ${shown(text)}; correct the address`;
    else options[name] = value;
  }
  return { options, problem };
}

function option(expected, read, initial) {
  return { expected, read, initial };
}

/** The first is the default. */
function choice(...values) {
  return option(`one of ${values.join(", ")}`, (text) => (values.includes(text) ? text : undefined), values[0]);
}

function number(least, most) {
  return (text) => {
    const value = /^\d{1,5}(\.\d{1,3})?$/.test(text) ? Number(text) : NaN;
    return value >= least && value <= most ? value : undefined;
  };
}

function color(text) {
  const digits = text.replace(/^#/, "");
  return HEX.test(digits) ? `#${digits}` : undefined;
}

function shown(text) {
  return `"${text.length > 40 ? `${text.slice(0, 40)}…` : text}"`;
}
