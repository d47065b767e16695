/** Remembers what was made from an object, for as long as there is the object. */

const known = new WeakMap<object, Map<unknown, unknown>>();

/** What `make` makes of `from`, made once. */
export function memo<K extends object, V>(make: (from: K) => V, from: K): V {
  let made = known.get(from);
  if (made === undefined) {
    made = new Map();
    known.set(from, made);
  }
  if (!made.has(make)) made.set(make, make(from));
  return made.get(make) as V;
}
