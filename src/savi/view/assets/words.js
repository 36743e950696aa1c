"use strict";
// Two texts with the words that changed.

var words = (() => {
  const { h } = savi;

  // Both texts as nodes, with the words marked that are in one of them alone (longest common subsequence).
  function changes(before, after) {
    const [a, b] = [before.split(/(\s+)/), after.split(/(\s+)/)];
    if (a.length * b.length > 400000) return [before, after];
    const common = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1));
    for (let i = a.length - 1; i >= 0; i--) {
      for (let j = b.length - 1; j >= 0; j--) {
        common[i][j] = a[i] === b[j] ? common[i + 1][j + 1] + 1 : Math.max(common[i + 1][j], common[i][j + 1]);
      }
    }
    const [left, right] = [[], []];
    const mark = (list, tag, word) => list.push(word.trim() ? h(tag, {}, word) : word);
    let [i, j] = [0, 0];
    while (i < a.length || j < b.length) {
      if (i < a.length && j < b.length && a[i] === b[j]) {
        left.push(a[i++]);
        right.push(b[j++]);
      } else if (j >= b.length || (i < a.length && common[i + 1][j] >= common[i][j + 1])) mark(left, "del", a[i++]);
      else mark(right, "ins", b[j++]);
    }
    return [left, right];
  }

  return { changes };
})();
