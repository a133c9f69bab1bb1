// Reads cases as JSON lines, {"format": "jsonc" | "toml", "text": ...}, and answers each with {"value": ...} or
// {"error": ...}, as wrangler 4.164 reads its files: jsonc-parser with trailing commas for .json and .jsonc, smol-toml
// for .toml, a byte order mark passed over.
import { createInterface } from "node:readline";
import { parse as parseJsonc, printParseErrorCode } from "jsonc-parser";
import { parse as parseToml } from "smol-toml";

function readJsonc(text) {
  const errors = [];
  const value = parseJsonc(text, errors, { allowTrailingComma: true });
  if (errors.length > 0) {
    throw new Error(printParseErrorCode(errors[0].error));
  }
  return value;
}

const READERS = { jsonc: readJsonc, toml: parseToml };

for await (const line of createInterface({ input: process.stdin })) {
  const { format, text } = JSON.parse(line);
  let answer;
  try {
    answer = { value: READERS[format](text.charCodeAt(0) === 0xfeff ? text.slice(1) : text) };
  } catch (error) {
    answer = { error: String(error.message) };
  }
  process.stdout.write(JSON.stringify(answer) + "\n");
}
