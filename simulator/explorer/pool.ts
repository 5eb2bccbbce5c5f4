/**
 * Compact storage for the search: values that occur in many states are kept once and spoken of by number, and states
 * are rows of such numbers in one flat array behind an open-addressing hash table. Exact: two states are one only if
 * every word is equal, so no state is ever lost to a hash collision.
 */

export interface Pool<T> {
  intern(value: T): number;
  get(id: number): T;
  size(): number;
}

/** Number 0 is `undefined`. Values must be built with their keys in one order: equality is equality of their JSON. */
export function createPool<T>(): Pool<T> {
  const ids = new Map<string, number>();
  const values: (T | undefined)[] = [undefined];
  return {
    intern(value) {
      const key = JSON.stringify(value);
      const known = ids.get(key);
      if (known !== undefined) return known;
      ids.set(key, values.length);
      values.push(value);
      return values.length - 1;
    },
    get(id) {
      const value = values[id];
      if (value === undefined) throw new Error(`nothing has the number ${id}`);
      return value;
    },
    size: () => values.length,
  };
}

export interface StateTable {
  /** The index of the state, and whether it is new. */
  add(words: readonly number[], parent: number, move: number): { index: number; isNew: boolean };
  read(index: number): number[];
  parentOf(index: number): number;
  moveOf(index: number): number;
  size(): number;
}

const FIRST_CAPACITY = 1 << 12;

/** Rows of `width` words, with the row that each was first reached from and the number of the move. */
export function createStateTable(width: number): StateTable {
  let capacity = FIRST_CAPACITY;
  let rows = new Int32Array(capacity * width);
  let parents = new Int32Array(capacity);
  let moves = new Uint16Array(capacity);
  let slots = new Int32Array(capacity * 2);
  let count = 0;
  const result = { index: 0, isNew: false };

  function hashOf(words: readonly number[] | Int32Array, offset: number): number {
    let hash = 0x811c9dc5;
    for (let i = 0; i < width; i++) {
      hash = Math.imul(hash ^ (words[offset + i] as number), 0x01000193);
      hash ^= hash >>> 15;
    }
    hash = Math.imul(hash ^ (hash >>> 13), 0x5bd1e995);
    return (hash ^ (hash >>> 16)) >>> 0;
  }

  function grow(): void {
    capacity *= 2;
    const grown = new Int32Array(capacity * width);
    grown.set(rows);
    rows = grown;
    const grownParents = new Int32Array(capacity);
    grownParents.set(parents);
    parents = grownParents;
    const grownMoves = new Uint16Array(capacity);
    grownMoves.set(moves);
    moves = grownMoves;
    slots = new Int32Array(capacity * 2);
    const mask = slots.length - 1;
    for (let index = 0; index < count; index++) {
      let slot = hashOf(rows, index * width) & mask;
      while (slots[slot] !== 0) slot = (slot + 1) & mask;
      slots[slot] = index + 1;
    }
  }

  function isRow(index: number, words: readonly number[]): boolean {
    const offset = index * width;
    for (let i = 0; i < width; i++) if (rows[offset + i] !== words[i]) return false;
    return true;
  }

  return {
    add(words, parent, move) {
      if (count === capacity) grow();
      const mask = slots.length - 1;
      let slot = hashOf(words, 0) & mask;
      for (let entry = slots[slot]; entry !== 0; entry = slots[slot]) {
        if (isRow((entry as number) - 1, words)) {
          result.index = (entry as number) - 1;
          result.isNew = false;
          return result;
        }
        slot = (slot + 1) & mask;
      }
      slots[slot] = count + 1;
      for (let i = 0; i < width; i++) rows[count * width + i] = words[i] as number;
      parents[count] = parent;
      moves[count] = move;
      result.index = count++;
      result.isNew = true;
      return result;
    },
    read: index => Array.from(rows.subarray(index * width, (index + 1) * width)),
    parentOf: index => parents[index] as number,
    moveOf: index => moves[index] as number,
    size: () => count,
  };
}
