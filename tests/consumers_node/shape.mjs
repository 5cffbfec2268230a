// Gives the syntax tree of each module in a folder, without the texts in it, by the parser that Node.js itself has.
// node --expose-internals shape.mjs FOLDER
import fs from 'node:fs';
import { createRequire } from 'node:module';

const { parse } = createRequire(import.meta.url)('internal/deps/acorn/acorn/dist/acorn');
const [, , folder] = process.argv;

function bare(key, value) {
  if (['start', 'end', 'raw', 'cooked'].includes(key)) {
    return undefined;
  }
  return key === 'value' && typeof value === 'string' ? '' : value;
}

for (const name of fs.readdirSync(folder).sort()) {
  const source = fs.readFileSync(`${folder}/${name}`, 'utf8');
  console.log(JSON.stringify(parse(source, { ecmaVersion: 'latest', sourceType: 'module' }), bare));
}
