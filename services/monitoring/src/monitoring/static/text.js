// Numbers and names as the page writes them.

export const whole = new Intl.NumberFormat();
export const percent = (value, digits = 1) => `${(value * 100).toFixed(digits)} %`;
export const short = (digest) => digest.replace("sha256:", "").slice(0, 12);
export const PARTS = { digest: "Digest", revision: "Revision", arm: "Arm" };

/** A digest, a revision or an arm, short enough for a legend. */
export const named = (part, value) => (part === "arm" ? value.replace("/", ": ") : /^[0-9a-f]{40}$/.test(value) ? value.slice(0, 12) : short(value));
