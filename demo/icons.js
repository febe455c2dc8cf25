/** One shape per emotion, so that colour is never needed: burst, circle, drop, square, diamond. */

const SVG = "http://www.w3.org/2000/svg";

const EYES = "M8.6 10.6v1.6M15.4 10.6v1.6";

/** body: filled; face: stroked on top of it; both in a box of 24 units. */
const SHAPES = {
  angry: {
    body:
      "M12.0 0.4L14.9 4.1L19.5 3.1L19.3 7.8L23.4 10.0L20.3 13.5L22.0 17.8L17.4 18.4L16.0 22.9L12.0 20.4L8.0 22.9L6.6 18.4L2.0 17.8L3.7 13.5L0.6 10.0L4.7 7.8L4.5 3.1L9.1 4.1z",
    face: "M7.6 9.2l2.6 1.5M16.4 9.2l-2.6 1.5M8.8 16.3c1.8-1.7 4.6-1.7 6.4 0",
  },
  happy: {
    body: "M12 1.5a10.5 10.5 0 1 0 0 21a10.5 10.5 0 1 0 0-21z",
    face: `${EYES}M7.6 14.6c2.1 3.2 6.7 3.2 8.8 0`,
  },
  sad: {
    body: "M12 .8c3.6 4.6 8 8.7 8 13.7a8 8 0 0 1-16 0C4 9.5 8.4 5.4 12 .8z",
    face: "M9.2 12.2v1.5M14.8 12.2v1.5M9 18.2c1.6-1.8 4.4-1.8 6 0",
  },
  neutral: {
    body: "M7 2h10a5 5 0 0 1 5 5v10a5 5 0 0 1-5 5H7a5 5 0 0 1-5-5V7a5 5 0 0 1 5-5z",
    face: `${EYES}M8.4 16h7.2`,
  },
};

const OTHER = { body: "M12 1l11 11-11 11L1 12z", face: "M9 12h6" };

/**
 * @param {string} label
 * @returns {{body: string, face: string}} Paths for a canvas.
 */
export function shapeOf(label) {
  return Object.hasOwn(SHAPES, label) ? SHAPES[label] : OTHER;
}

/**
 * @param {string} label
 * @returns {SVGSVGElement} Decorative: the label is always next to it as text.
 */
export function icon(label) {
  const { body, face } = shapeOf(label);
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  svg.append(path(body, "icon-body"), path(face, "icon-face"));
  return svg;
}

function path(d, name) {
  const element = document.createElementNS(SVG, "path");
  element.setAttribute("d", d);
  element.setAttribute("class", name);
  return element;
}
