/* What a model may write, read by the pipeline of the page, without a browser; `test_texts.py` runs it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import katex from "katex";
import { answerBlocks, sources } from "./answer_blocks.js";
import { answerTree } from "./answer_tree.js";
import { typeset } from "./katex.js";
import { closedTail } from "./unfinished.js";

const tag = (node) => node.tagName + (node.properties.dataDisplay === undefined ? "" : "!");

/** A tree in short: text, and elements as name[…]; a displayed one has a mark of exclamation. */
function short(node) {
  if (node.type === "text") return node.value;
  const within = node.children.map(short).join("");
  return node.type === "root" ? within.trim() : `${tag(node)}[${within.trim()}]`;
}

const read = (text, options) => short(answerTree(text, options)).replace(/\n+/g, " ");
const plain = (node) => (node.type === "text" ? node.value : (node.children ?? []).map(plain).join(""));
const text = (source, options) => plain(answerTree(source, options)).trim();

function formulas(source, options) {
  const found = [];
  const visit = (node) => {
    if (node.tagName === "tex-formula") found.push((node.properties.dataDisplay === undefined ? "" : "!") + plain(node).replace(/\s+/g, " "));
    else node.children?.forEach(visit);
  };
  visit(answerTree(source, options));
  return found;
}

test("what is no known element is shown as it was written", async (t) => {
  for (const source of [
    "Write <your-name> here",
    "Promise<void> and Map<String, List<Integer>>",
    "Vec<u8>, Option<T>, Result<Vec<b>, E>",
    "List<a> and Set<i> and Box<B>",
    "<placeholder>",
    "<YOUR_API_KEY>",
    "std::vector<int> v; x < y && y > z",
    "<Button onClick> and <Link> and </Link>",
    "<title>, <body>, <form>, <input type=text>",
    "<script>alert(1)</script>",
    "<style>p {}</style>",
    "<iframe src=x></iframe>",
    "<!-- a comment --> stays",
    "<?php echo 1 ?>",
    "useState<string | null>(null)",
    "an open <b> and <i> tag",
    "a stray </div> tag",
  ]) {
    await t.test(source, () => {
      assert.equal(text(source), source);
      assert.equal(text(`# ${source}`), source);
      assert.equal(text(`- ${source}\n- x`).split("\n")[0], source);
      if (!source.includes("|")) assert.ok(text(`| a |\n|---|\n| ${source} |`).includes(source));
      assert.equal(text(`**b** ${source}`), `b ${source}`);
    });
  }
  await t.test("while it grows", () => {
    for (const source of ["Promise<vo", "Write <your-na", "List<b", "a <T"]) {
      assert.equal(text(closedTail(source), { growing: true }), source);
    }
    assert.equal(text(closedTail("some <su"), { growing: true }), "some");
    assert.equal(text("List<b> grows", { growing: true }), "List<b> grows");
    assert.equal(read(closedTail("H<sub>2</su"), { growing: true }), "p[Hsub[2]]");
    assert.equal(read("<b>bold grows", { growing: true }), "p[b[bold grows]]");
  });
});

test("harmless elements are elements", async (t) => {
  for (const [source, expected] of [
    ["H<sub>2</sub>O", "p[Hsub[2]O]"],
    ["a<br>b<br/>c", "p[abr[]bbr[]c]"],
    ["<b>bold</b> <i>it</i> <kbd>x</kbd> <mark>m</mark> <u>u</u>", "p[b[bold] i[it] kbd[x] mark[m] u[u]]"],
    ["<details>\n<summary>S</summary>\n\n**in**\n\n</details>", "details[summary[S] p[strong[in]]]"],
    ["<div><your-name> <b>x</b></div>", "div[<your-name> b[x]]"],
    ["<a href='javascript:x'>a</a>", "p[a[a]]"],
  ]) {
    await t.test(source, () => assert.equal(read(source), expected));
  }
});

test("code, link targets and escapes are not changed", async (t) => {
  for (const [source, expected] of [
    ["`\\(x\\)` and ``\\[y\\]``", "p[code[\\(x\\)] and code[\\[y\\]]]"],
    ["costs $5 and `$x$`", "p[costs $5 and code[$x$]]"],
    ["\\(a and `\\)` end", "p[(a and code[\\)] end]"],
    ["    \\[x^2\\]\n", "pre[code[\\[x^2\\]]]"],
    ["```\n\\[x\\]\n$$y$$\n```", "pre[code[\\[x\\] $$y$$]]"],
    ["1. a\n\n   ```\n   \\(x\\)\n   ```", "ol[li[p[a] pre[code[\\(x\\)]]]]"],
    ["\\[sic\\] \\[see note 3\\] \\[注\\] \\[1\\] \\[1, 2\\] \\(see below\\)", "p[[sic] [see note 3] [注] [1] [1, 2] (see below)]"],
    ["- \\[ \\] todo\n- \\[x\\] done", "ul[li[[ ] todo] li[[x] done]]"],
    ["\\\\(x\\\\) and \\*a\\* and a\\[i\\]", "p[\\(x\\) and *a* and a[i]]"],
    ["\\[text\\](https://e.org)", "p[[text](a[https://e.org])]"],
  ]) {
    await t.test(source, () => assert.equal(read(source), expected));
  }
  const target = (source) => answerTree(source).children[0].children.find(({ tagName }) => tagName === "a").properties.href;
  for (const [source, href] of [
    ["[a](https://e.org/$x$/_b_/~c~)", "https://e.org/$x$/_b_/~c~"],
    ["[a](https://e.org/?q=\\[1\\]&r=$5)", "https://e.org/?q=%5B1%5D&r=$5"],
    ["<https://e.org/$a$b$>", "https://e.org/$a$b$"],
    ["costs $5, see https://e.org/?a=$b", "https://e.org/?a=$b"],
    ["https://e.org/a_b_c~d~e", "https://e.org/a_b_c~d~e"],
  ]) {
    await t.test(source, () => assert.equal(target(source), href));
  }
});

test("formulas", async (t) => {
  for (const [source, expected] of [
    ["The area $\\pi r^2$ and \\(x\\).", ["\\pi r^2", "x"]],
    ["$5 and $10", []],
    ["between $5 and 10$ each", []],
    ["It costs $20,000 (or 30$)", []],
    ["US$5-$10, $x$", ["x"]],
    ["$HOME and $PATH", []],
    ["\\$5 and $a\\$b$", ["a\\$b"]],
    ["echo $$", []],
    ["echo $$ && kill -9 $$", []],
    ["pid=$$; echo $$", []],
    ["so $$x^2$$ is", ["x^2"]],
    ["where $$ x = 1 $$ is", ["x = 1"]],
    ["$`a+b`$ is", ["a+b"]],
    ["\\[ x^2 \\]", ["!x^2"]],
    ["$$ a = b $$", ["!a = b"]],
    ["$$\nx\n$$", ["!x"]],
    ["$x^2$", ["!x^2"]],
    ["\\[\na\n- b\n+ c\n=\n> d\n\\]", ["!a - b + c = > d"]],
    ["so that\n\\[\na\n- b\n\\]\nholds", ["!a - b"]],
    ["we get \\[ x^2 \\] here", ["!x^2"]],
    ["and \\[y\\]", ["!y"]],
    ["\\[ x = 1 \\],", ["!x = 1,"]],
    ["\\(a\n\nb\\)", []],
    ["$$\nx\n\ny\n$$", []],
    ["\\[\nx\n\ny\n\\]", []],
    ["\\begin{align}\na &= b \\\\\n- c\n\\end{align}", ["!\\begin{align} a &= b \\\\ - c \\end{align}"]],
    ["\\begin{equation*}x\\end{equation*}", ["!\\begin{equation*}x\\end{equation*}"]],
    ["a \\begin{pmatrix}1\\end{pmatrix} b", ["\\begin{pmatrix}1\\end{pmatrix}"]],
    ["\\begin{itemize}\n\\item x\n\\end{itemize}", []],
    ["1. Do:\n\n   \\[\n   x\n   - 1\n   \\]\n", ["!x - 1"]],
    ["- $x$\n- $$y$$", ["x", "!y"]],
    ["> \\[\n> a\n> - b\n> \\]", ["!a - b"]],
    ["| a |\n|---|\n| $x$ \\(y\\) |", ["x", "y"]],
    ["# On $x^2$", ["x^2"]],
    ["**\\(a_1\\)** and *$b_2$*", ["a_1", "b_2"]],
    ["当\\(x\\)时，$y$是", ["x", "y"]],
    ["$\\ce{H2O}$ and \\(\\ce{CO2}\\)", ["\\ce{H2O}", "\\ce{CO2}"]],
    ["\\(a_1 + b_1\\) and \\(a_2 + b_2\\)", ["a_1 + b_1", "a_2 + b_2"]],
  ]) {
    await t.test(source, () => assert.deepEqual(formulas(source), expected));
  }
  await t.test("one that grows is a formula from its beginning on", () => {
    assert.deepEqual(formulas(closedTail("text\n\n\\[\nx = *"), { growing: true }), ["!x = *"]);
    assert.deepEqual(formulas(closedTail("so \\(x_1 + _"), { growing: true }), ["x_1 + _"]);
    assert.deepEqual(formulas("so \\(x_1"), []);
  });
  await t.test("it is set, within bounds", () => {
    assert.match(typeset("\\ce{H2O}", false), /katex/);
    assert.equal(typeset("\\frac{", false), null);
    assert.doesNotMatch(typeset("\\rule{5000em}{1em}", true), /width:5000em/);
    assert.doesNotMatch(typeset("\\href{https://e.org}{x}", true) ?? "", /href="/);
    assert.equal(typeset("{".repeat(9000), true), null);
    assert.equal(typeset("\\def\\a{\\a\\a}\\a", true), null);
    assert.match(typeset("\\begin{equation}\\label{eq}x\\end{equation}", true), /katex-display/);
    assert.ok(katex.version);
  });
});

test("Chinese, Japanese and Korean", async (t) => {
  for (const [source, expected] of [
    ["**「全角」**と", "p[strong[「全角」]と]"],
    ["中文**粗体。**后", "p[中文strong[粗体。]后]"],
    ["これは**重要！**です", "p[これはstrong[重要！]です]"],
    ["**한국어(괄호)**는", "p[strong[한국어(괄호)]는]"],
    ["3~5天，100~200元", "p[3~5天，100~200元]"],
    ["~~two~~ and ~one~", "p[del[two] and ~one~]"],
    ["见https://example.com/a。更多**粗**", "p[见a[https://example.com/a]。更多strong[粗]]"],
    ["（https://example.com/?a=1）と", "p[（a[https://example.com/?a=1]）と]"],
    ["访问https://example.com获取", "p[访问a[https://example.com]获取]"],
    ["www.example.com、次", "p[a[www.example.com]、次]"],
    ["https://zh.wikipedia.org/wiki/中文", "p[a[https://zh.wikipedia.org/wiki/中文]]"],
    ["[文](https://e.org/。)", "p[a[文]]"],
  ]) {
    await t.test(source, () => assert.equal(read(source), expected));
  }
});

test("ids and links within an answer are its own", () => {
  const ids = [];
  const visit = (node) => {
    for (const name of ["id", "name"]) if (node.properties?.[name]) ids.push(node.properties[name]);
    if (node.properties?.href?.startsWith("#")) ids.push(node.properties.href.slice(1));
    node.children?.forEach(visit);
  };
  visit(answerTree("a[^1] <a id=root name=body href=#root>x</a>\n\n[^1]: note", { prefix: "own-" }));
  assert.ok(ids.length >= 7);
  for (const id of ids) assert.match(id, /^own-/);
});

test("a text is cut into blocks that grow at its end only", async (t) => {
  const whole =
    "# A\n\npara **b**\nmore\n\n- a\n\n  x\n- b\n\n```js\ncode\n\nmore\n```\n\\[\nx\n- b\n\\]\nend\n\n" +
    "<details>\n<summary>s</summary>\n\nx\n\n</details>\n\n~~~\na\n\n> b\n~~~\n\n| a |\n|---|\n| b |\n\nlast [a]\n\n";
  const long = whole.repeat(30);
  const finished = answerBlocks(null, long, false);
  await t.test("none of the text is lost", () => {
    assert.equal(finished.blocks.map(({ source }) => source).join(""), long);
    assert.equal(finished.blocks.length, 30 * 10);
  });
  await t.test("in whatever pieces it comes", () => {
    for (const step of [1, 7, 100]) {
      let state = null;
      const text = whole.repeat(step === 1 ? 1 : 3);
      for (let end = step; end < text.length; end += step) state = answerBlocks(state, text.slice(0, end), true);
      state = answerBlocks(state, text, true);
      assert.deepEqual(state.blocks, answerBlocks(null, text, false).blocks);
    }
  });
  await t.test("definitions reach other blocks, notes make it one", () => {
    const linked = sources(answerBlocks(null, "See [a].\n\nNo link.\n\n[a]: https://e.org\n", false));
    assert.match(read(linked[0]), /a\[a\]/);
    assert.equal(linked[1], "No link.\n\n");
    assert.equal(sources(answerBlocks(null, "a[^1]\n\n[^1]: b\n", false)).length, 1);
    assert.equal(sources(answerBlocks(null, "a\n\n```\n[^1]: b\n```\n", false)).length, 2);
  });
});

// All of it is tried by the slow tests.
const SIZE = Number(process.env.SIZE ?? 1);
const HEAVY = {
  quotes: ">".repeat(3000 * SIZE),
  "quotes with spaces": "> ".repeat(3000 * SIZE),
  lists: "- ".repeat(2000 * SIZE),
  numbers: "1. ".repeat(5000 * SIZE),
  "opening marks": "*a ".repeat(5000 * SIZE),
  "marks both ways": "*a".repeat(20_000 * SIZE),
  "marks of two kinds": "*a_ ".repeat(10_000 * SIZE),
  "strong marks": "a** b".repeat(10_000 * SIZE),
  tildes: "~~a ".repeat(10_000 * SIZE),
  brackets: "[".repeat(20_000 * SIZE),
  "brackets both ways": "[a](".repeat(10_000 * SIZE),
  "closing brackets": "[a]".repeat(10_000 * SIZE),
  pictures: "![".repeat(20_000 * SIZE),
  "display brackets": "\\[".repeat(40_000 * SIZE),
  "display brackets on lines": "\\[\n".repeat(10_000 * SIZE),
  parentheses: "\\(".repeat(40_000 * SIZE),
  dollars: "$a ".repeat(20_000 * SIZE),
  "double dollars": "$$ ".repeat(20_000 * SIZE),
  environments: "\\begin{align} ".repeat(5000 * SIZE),
  backticks: "`a ``b ```c ".repeat(5000 * SIZE),
  "backticks of all lengths": Array.from({ length: 300 }, (_, n) => `${"`".repeat(n)}a`).join(" "),
  elements: "<b>".repeat(10_000 * SIZE),
  "elements in paragraphs": "<div>\n\n".repeat(2000 * SIZE),
  attributes: '<a href="'.repeat(10_000 * SIZE),
  comments: "<!-- ".repeat(10_000 * SIZE),
  cells: `${"|a".repeat(1000)}|\n${"|-".repeat(1000)}|\n${"|\n".repeat(1000)}`,
  addresses: "a.".repeat(40_000 * SIZE),
  mails: "a@a.".repeat(10_000 * SIZE),
  "underlined titles": "a\n=\n".repeat(3000 * SIZE),
  "nested list": Array.from({ length: 300 }, (_, n) => `${"  ".repeat(n)}- a`).join("\n"),
  notes: "[^1]: x\n\n".repeat(3000 * SIZE),
  definitions: "[a]: x\n".repeat(3000 * SIZE),
};
// Of the processor's time, on a slow machine; without the bounds they take from half a minute to hours, or overflow.
const MOST_MS = 8000;

test("no text takes long, overflows or is lost", async (t) => {
  for (const [name, source] of Object.entries(HEAVY)) {
    await t.test(name, () => {
      const began = process.cpuUsage();
      for (const block of sources(answerBlocks(null, source, false))) tried(block);
      const { user } = process.cpuUsage(began);
      assert.ok(user / 1000 < MOST_MS, `${user / 1000} ms`);
    });
  }
});

const EMPTY = /h[1-6]\[\]/;

test("a heading is there with its first word", () => {
  for (const marks of ["## ", "> ### ", "- # ", "1. a\n   ## ", "a\n\n# "]) {
    for (const first of ["Word", "**Bold**", "*One*", "`code`", "[link](https://a.b/c)", "![a](https://a.b/c)", "<b>b</b>", "<br>", "$x$", "&amp;", "# "]) {
      const source = `${marks}${first} and more`;
      for (let end = 1; end <= source.length; end += 1) {
        const begun = source.slice(0, end);
        assert.doesNotMatch(read(closedTail(begun), { growing: true }), EMPTY, begun);
      }
      assert.match(read(source), /h[1-6]\[.+and more\]/, source);
    }
  }
  assert.equal(read("##\n\ntext"), "p[text]");
  assert.equal(read("text\n\n<h2> </h2>"), "p[text]");
  assert.match(read("# ![a](https://a.b/c)"), /h1\[img/);
});

/** As on the page: what cannot be read within its bounds is shown as it is. */
function tried(block, options) {
  try {
    return answerTree(block, options);
  } catch (error) {
    assert.ok(error instanceof RangeError && /cells/.test(error.message), `${error.stack}\n${block.slice(0, 200)}`);
    return null;
  }
}

const PIECES = [
  "> ", "- ", "1. ", "  ", "    ", "\n", "\n\n", "*", "**", "_", "~~", "~", "`", "```", "~~~", "```js\n", "$", "$$", "\\[", "\\]", "\\(",
  "\\)", "\\begin{align}", "\\end{align}", "[", "]", "](", ")", "![", "[^1]", "[^1]: ", "[a]: x", "<b>", "</b>", "<T>", "<div>", "</div>",
  "<!--", "-->", "<br>", "|", "|---|", "| a | b |\n", "# ", "===", "---", "***", "\\", "&amp;", "&", "https://a.b/c", "www.a.b", "a@b.c",
  "「", "。", "word", "中文", "é", "\u{1f600}", "\ud800", "\0", "\t", " ", "  \n", "<a href=\"", "\"", ">", "<", "=", "+", "{", "}", "\r\n",
]; // prettier-ignore

function random(seed) {
  let state = seed;
  return (below) => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return Math.floor((state / 2_147_483_648) * below);
  };
}

test("random markdown", () => {
  const cases = Number(process.env.FUZZ_CASES ?? 300);
  for (let seed = 1; seed <= cases; seed += 1) {
    const pick = random(seed);
    const source = Array.from({ length: 1 + pick(60) }, () => PIECES[pick(PIECES.length)].repeat(pick(12) ? 1 : 1 + pick(60))).join("");
    const began = process.cpuUsage();
    const state = answerBlocks(answerBlocks(null, source.slice(0, pick(source.length)), true), source, true);
    if (source.trim()) assert.equal(state.blocks.map((block) => block.source).join(""), source, `seed ${seed}`);
    for (const block of sources(answerBlocks(null, source, false))) tried(block);
    tried(closedTail(sources(state).at(-1) ?? ""), { growing: true });
    assert.ok(process.cpuUsage(began).user / 1000 < MOST_MS, `seed ${seed}`);
  }
});
