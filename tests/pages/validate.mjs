// Reads one JSON object a line, {html}, and answers each with the list of what is wrong with it, one line.
// Usage: node validate.mjs NODE_MODULES
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { join } from "node:path";

const { HtmlValidate, StaticConfigLoader } = createRequire(join(process.argv[2], "index.js"))("html-validate");
const validator = new HtmlValidate(
  new StaticConfigLoader({
    extends: ["html-validate:standard", "html-validate:document", "html-validate:a11y"],
    elements: ["html5"],
    rules: {
      "require-sri": ["error", { target: "crossorigin" }], // our own files come from where the page does
      "aria-label-misuse": ["error", { allowAnyNamable: true }], // a list may have a name
      "no-implicit-button-type": "off", // advice: a button without a type submits, and these are to
      "prefer-native-element": "off", // advice: a div with role region is one
    },
  }),
);
for await (const line of createInterface({ input: process.stdin })) {
  const { html } = JSON.parse(line);
  const report = await validator.validateString(html);
  const messages = report.results.flatMap((result) => result.messages);
  const found = messages.map((one) => `${one.ruleId} at ${one.line}:${one.column}: ${one.message}`);
  process.stdout.write(JSON.stringify(found) + "\n");
}
