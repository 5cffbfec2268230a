// Says what the published models of cert-manager and trust-manager refuse in manifests: the values by their validators,
// the fields by their types, since a validator looks away from a field that it does not know.
// Usage: node judge.mjs FILE.json, beside a node_modules; prints a JSON list of texts for each manifest.
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import * as certManager from "@kubernetes-models/cert-manager/cert-manager.io/v1";
import * as trustManager from "@kubernetes-models/cert-manager/trust.cert-manager.io/v1alpha1";
import ts from "typescript";

const MODELS = {
  "cert-manager.io/v1": certManager,
  "trust.cert-manager.io/v1alpha1": trustManager,
};
const file = process.argv[2];
const manifests = JSON.parse(readFileSync(file, "utf8"));
const faults = manifests.map(() => []);

const lines = [];
manifests.forEach((manifest, index) => {
  const models = MODELS[manifest.apiVersion] ?? {};
  const model = Object.hasOwn(models, manifest.kind) ? models[manifest.kind] : undefined;
  if (model === undefined) {
    faults[index].push(`there is no ${manifest.kind} in ${manifest.apiVersion}`);
    lines.push("");
    return;
  }
  try {
    new model(manifest).validate();
  } catch (reason) {
    faults[index].push(reason.message);
  }
  const type = `import("@kubernetes-models/cert-manager/${manifest.apiVersion}").I${manifest.kind}`;
  lines.push(`export const m${index}: ${type} = ${JSON.stringify(manifest)};`);
});

const source = join(dirname(file), "manifests.ts");
writeFileSync(source, lines.join("\n"));
const program = ts.createProgram([source], {
  noEmit: true,
  strict: true,
  skipLibCheck: true,
  types: [],
  target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
});
for (const found of ts.getPreEmitDiagnostics(program)) {
  const text = ts.flattenDiagnosticMessageText(found.messageText, "\n");
  if (found.file?.fileName !== source || found.start === undefined) {
    throw new Error(text);
  }
  faults[found.file.getLineAndCharacterOfPosition(found.start).line].push(text);
}
console.log(JSON.stringify(faults));
