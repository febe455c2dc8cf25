/** The token, in this tab only, and never in the address, which histories and logs keep. */

const KEY = "emostream.token";

/** @returns {string | null} */
export function storedToken() {
  try {
    return sessionStorage.getItem(KEY);
  } catch {
    return null; // a browser may forbid it: the page then asks for the token after every reload
  }
}

/** @param {string | null} token */
export function storeToken(token) {
  try {
    if (token === null) sessionStorage.removeItem(KEY);
    else sessionStorage.setItem(KEY, token);
  } catch {
    // as above
  }
}
