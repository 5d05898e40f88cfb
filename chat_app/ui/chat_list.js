/* The side bar's list with what has changed since it was sent: [place, row], in the order of the places; a place below 0 is
   that of a chat that is gone. */
export function withChanges(chats, changes) {
  if (changes.length === 0) return chats;
  const changed = new Set(changes.map(([, row]) => row.id));
  const list = chats.filter(({ id }) => !changed.has(id));
  for (const [place, row] of changes) if (place >= 0) list.splice(place, 0, row);
  return list;
}
