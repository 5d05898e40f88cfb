/* Who the chat at /embed is for, where visitors are let in: each request shows a token that the server has made for this
browser, or for the user whom the page around the chat names. A cookie would not come along in a frame of another site. */

const TOKEN = "embed:visitor";
const PLACE = "/embed/visitor";
const UNAUTHORIZED = 401;

/** Whom the page around names, signed; null where it names nobody. A link here names nobody: it might be anybody's. */
export function namedUser() {
  const given = new URLSearchParams(location.hash.slice(1));
  if (parent === window || !given.get("user")) return null;
  return Object.fromEntries(["user", "expires", "signature"].map((name) => [name, given.get(name) ?? ""]));
}

/** `fetch` says who asks, and `newest` gives the chat that a `user` had last, maybe in another browser. The token of a
    user is not kept: the next one at this machine may be somebody else. */
export function visitorOf(user) {
  let visit = null;

  async function ask() {
    const body = JSON.stringify(user ?? { token: localStorage.getItem(TOKEN) ?? "" });
    const headers = { "Content-Type": "application/json" };
    const response = await fetch(PLACE, { method: "POST", cache: "no-store", headers, body });
    if (!response.ok) return { refusal: response };
    const { token, chat_id: newest = null } = await response.json();
    // Without one it is somebody who has signed in here.
    if (token && !user) localStorage.setItem(TOKEN, token);
    return { newest, headers: token ? { Authorization: `Bearer ${token}` } : {} };
  }

  const known = () => {
    visit ??= alone(ask);
    visit.catch(() => (visit = null));
    return visit;
  };

  const newest = () => known().then((found) => found.newest ?? null, () => null);
  const fetchIt = async (url, request = {}) => {
    for (let again = false; ; again = true) {
      const { refusal, headers } = await known();
      if (refusal) visit = null;
      const response = refusal?.clone() ?? (await fetch(url, { ...request, headers: { ...request.headers, ...headers } }));
      if (refusal || response.status !== UNAUTHORIZED || again) return response;
      visit = null;
    }
  };
  return { fetch: fetchIt, newest };
}

/** One frame of the browser after the other, so that two that open at once are one visitor. */
async function alone(work) {
  let result = null;
  try {
    await navigator.locks.request(TOKEN, async () => {
      result = work();
      await result;
    });
  } catch {
    // There are no locks without TLS, or where site data is blocked.
  }
  return result ?? work();
}
