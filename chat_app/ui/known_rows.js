/* The rows of a transcript as React knows them. */

let known = new Map();

/** The rows, each the object that it was before where nothing in it has changed: a list that grows is sent whole, and
    only what is new of it is to be drawn. */
export function knownRows(rows) {
  const before = known;
  known = new Map(rows.map((row) => [row.id, same(before.get(row.id), row)]));
  return [...known.values()];
}

function same(before, row) {
  const unchanged = before && Object.keys(row).every((name) => before[name] === row[name]);
  return unchanged ? before : row;
}
