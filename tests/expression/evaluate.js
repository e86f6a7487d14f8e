// Evaluates batches for the tests: one JSON line in {trees, records, env}, one JSON line out [[verdict per record] per tree].
const { evaluate } = require(require("path").resolve(process.argv[2]));
const lines = require("readline").createInterface({ input: process.stdin });
lines.on("line", (line) => {
  const { trees, records, env } = JSON.parse(line);
  let answer;
  try {
    answer = trees.map((tree) => records.map((record) => evaluate(tree, record, env)));
  } catch (error) {
    answer = { error: String(error.stack) };
  }
  process.stdout.write(JSON.stringify(answer) + "\n");
});
