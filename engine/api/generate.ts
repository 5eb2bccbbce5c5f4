/**
 * A program: `node engine/api/generate.ts` writes the CRDs of group serin.dev into the chart, and
 * `node engine/api/generate.ts --api-group flagger.app` prints those of that group. It reads nothing but the schemas.
 */
// oxlint-disable no-restricted-imports, no-restricted-globals -- the one file of this folder that is a program
import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { stringify } from 'yaml';
import { type CustomResourceDefinition, FLAGGER_GROUP, generateCrds, GROUP } from './crd.ts';

/** Where the chart keeps the CRDs. */
export const CRD_FOLDER = fileURLToPath(new URL('../../charts/serin/crds/', import.meta.url));

const NOTICE = '# Generated from engine/api by `node engine/api/generate.ts`. Do not edit.\n';

/** A definition as YAML; equal definitions give equal text. */
export function renderCrd(crd: CustomResourceDefinition): string {
  return NOTICE + stringify(crd, { lineWidth: 120, aliasDuplicateObjects: false });
}

export function fileNameOf(crd: CustomResourceDefinition): string {
  return `${crd.spec.names.plural}.yaml`;
}

function main(): void {
  const { values } = parseArgs({ options: { 'api-group': { type: 'string' } } });
  const group = values['api-group'];
  if (group !== undefined) {
    if (group !== GROUP && group !== FLAGGER_GROUP)
      throw new Error(`--api-group: expected one of ${GROUP}, ${FLAGGER_GROUP}`);
    process.stdout.write(generateCrds({ group }).map(renderCrd).join('---\n'));
    return;
  }
  mkdirSync(CRD_FOLDER, { recursive: true });
  for (const crd of generateCrds({ group: GROUP }))
    writeFileSync(CRD_FOLDER + fileNameOf(crd), renderCrd(crd));
}

if (import.meta.main) {
  try {
    main();
  } catch (error) {
    process.stderr.write(`generate: ${(error as Error).message}\n`);
    process.exitCode = 2;
  }
}
