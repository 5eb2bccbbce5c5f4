/**
 * Random valid specs of Canaries, drawn from the schema's own fields: a field that is added to the schema, or whose
 * refusal is deleted from `engine/api/unsupported.ts`, is drawn from then on. What the schema cannot know (names of
 * objects that exist, times short enough to wait for) is said by path; what is refused is left out again.
 */
import { canarySpecSchema } from '../../engine/api/canary.ts';
import { decodeCanary } from '../../engine/api/decode.ts';
import { type JsonSchema, structuralSchema } from '../../engine/api/schemaOf.ts';
import type { Json } from '../api/json.ts';
import type { Chance } from './chance.ts';
import { RECEIVER_NAME } from './receivers.ts';

export interface SpecNames {
  namespace: string;
  name: string;
  target: string;
  apex: string;
}

/** MetricTemplate that exists in every namespace of a simulation. */
export const TEMPLATE_NAME = 'errors';
export const TEMPLATE_QUERY = `error_percent{namespace="{{ namespace }}",deployment="{{ target }}"}[{{ interval }}]`;

const schema = structuralSchema(canarySpecSchema, 'spec');
/** How likely an optional field is there, unless said otherwise below. */
const DEFAULT_LIKELIHOOD = 0.15;
/** Rounds in which refused fields are taken out; what is left then is the smallest spec. */
const REPAIRS_MAX = 12;

type Draw = (chance: Chance, names: SpecNames) => Json;
interface Hint {
  likelihood?: number;
  draw?: Draw;
}

const seconds =
  (least: number, most: number): Draw =>
  chance =>
    `${chance.spread(least, most)}s`;
const whole =
  (least: number, most: number): Draw =>
  chance =>
    chance.whole(least, most);

/** Percent, or a probability: small ones are as likely as large ones. */
const small =
  (least: number, most: number): Draw =>
  chance =>
    Number((least * (most / least) ** chance.next()).toPrecision(2));

const HINTS: Readonly<Record<string, Hint>> = {
  'spec.provider': { draw: () => 'smi:v1alpha2' },
  'spec.targetRef': {
    draw: (_chance, { target }) => ({ apiVersion: 'apps/v1', kind: 'Deployment', name: target }),
  },
  'spec.service.name': { likelihood: 1, draw: (_chance, { apex }) => apex },
  'spec.service.port': { draw: () => 80 },
  'spec.service.targetPort': { likelihood: 1, draw: chance => chance.pick<Json>([8080, 'http']) },
  'spec.service.portName': { draw: chance => chance.pick(['http', 'web']) },
  'spec.service.appProtocol': { draw: () => 'http' },
  'spec.progressDeadlineSeconds': { likelihood: 0.9, draw: whole(20, 120) },
  'spec.skipAnalysis': { likelihood: 0.08, draw: () => true },
  // People set it while a simulation runs.
  'spec.suspend': { likelihood: 0 },
  // Short ones meet more: answers that take longer than them, and each other.
  'spec.analysis.interval': {
    likelihood: 1,
    draw: chance => `${chance.happens(0.4) ? chance.whole(2, 5) : chance.spread(2, 30)}s`,
  },
  'spec.analysis.bake': { likelihood: 0.3, draw: seconds(2, 60) },
  'spec.analysis.threshold': { likelihood: 0.8, draw: whole(0, 4) },
  'spec.analysis.stepWeight': { draw: whole(8, 60) },
  'spec.analysis.stepWeights': {
    draw: chance =>
      [...new Set(Array.from({ length: chance.whole(1, 5) }, () => chance.whole(1, 100)))].sort(
        (a, b) => a - b,
      ),
  },
  'spec.analysis.iterations': { draw: whole(1, 5) },
  'spec.analysis.maxWeight': { likelihood: 0.4, draw: whole(20, 100) },
  'spec.analysis.stepWeightPromotion': { likelihood: 0.4, draw: chance => chance.pick([0, 15, 30, 50]) },
  'spec.analysis.noDataBudget': { likelihood: 0.8, draw: whole(1, 5) },
  'spec.analysis.errorBudget': { likelihood: 0.8, draw: whole(1, 5) },
  'spec.analysis.onNoData': { likelihood: 0.5 },
  'spec.analysis.onError': { likelihood: 0.5 },
  'spec.analysis.onStalled': { likelihood: 0.5 },
  'spec.analysis.metrics': { likelihood: 0.9, draw: metrics },
  'spec.analysis.alerts[].providerRef': { draw: () => ({ name: RECEIVER_NAME }) },
  'spec.analysis.judge': { likelihood: 0.6 },
  'spec.analysis.judge.mode': { likelihood: 0.9 },
  'spec.analysis.judge.alpha': { likelihood: 0.4, draw: small(1e-6, 0.2) },
  'spec.analysis.judge.beta': { likelihood: 0.4, draw: small(1e-3, 0.2) },
  'spec.analysis.judge.regression': { likelihood: 0.3, draw: chance => chance.pick([0, 0.1, 1, 5]) },
  'spec.analysis.judge.promotionMargin': { likelihood: 0.6, draw: small(0.5, 20) },
  'spec.analysis.judge.budget': { likelihood: 0.3, draw: small(0.2, 20) },
  // The rest is too long to wait for: a minute, an hour, five minutes.
  'spec.analysis.judge.minDwell': { likelihood: 0.9, draw: seconds(1, 30) },
  'spec.analysis.judge.deadline': { likelihood: 1, draw: seconds(10, 400) },
  'spec.analysis.judge.onDeadline': { likelihood: 0.7 },
  'spec.analysis.judge.warmUp': { likelihood: 0.8, draw: seconds(1, 20) },
  'spec.analysis.judge.noTrafficTimeout': { likelihood: 0.9, draw: seconds(10, 200) },
  'spec.analysis.judge.guard': { likelihood: 0.4 },
  'spec.analysis.judge.guard.alpha': { likelihood: 0.4, draw: small(1e-6, 0.1) },
  'spec.analysis.judge.guard.requests': { likelihood: 0.5, draw: whole(1, 60) },
  'spec.analysis.judge.guard.evaluations': { likelihood: 0.5, draw: whole(1, 4) },
  'spec.analysis.primaryReadyThreshold': { draw: whole(0, 100) },
  'spec.analysis.canaryReadyThreshold': { draw: whole(0, 100) },
};

/** Of these exactly one is drawn. */
const WAYS = ['stepWeight', 'stepWeights', 'iterations'] as const;

function metrics(chance: Chance): Json {
  const drawn: Json[] = [];
  const interval = () => (chance.happens(0.4) ? { interval: `${chance.spread(5, 60)}s` } : {});
  if (chance.happens(0.9))
    drawn.push({
      name: 'request-success-rate',
      ...interval(),
      ...chance.pick<Json>([{ thresholdRange: { min: 99 } }, { threshold: 95 }]),
    });
  if (chance.happens(0.4))
    drawn.push({ name: 'request-duration', ...interval(), thresholdRange: { max: 500 } });
  if (chance.happens(0.2))
    drawn.push({ name: 'errors', ...interval(), query: TEMPLATE_QUERY, thresholdRange: { max: 1 } });
  if (chance.happens(0.2))
    drawn.push({ name: 'template', templateRef: { name: TEMPLATE_NAME }, thresholdRange: { max: 2 } });
  return drawn;
}

function isDuration(node: JsonSchema): boolean {
  return JSON.stringify(node['x-kubernetes-validations'] ?? '').includes('duration(self)');
}

function drawNode(chance: Chance, names: SpecNames, node: JsonSchema, path: string): Json {
  const { draw } = HINTS[path] ?? {};
  if (draw) return draw(chance, names);
  const values = node['enum'] as Json[] | undefined;
  if (values) return chance.pick(values);
  if (node['x-kubernetes-int-or-string']) return chance.whole(1, 9_000);
  switch (node.type ?? 'string') {
    case 'object':
      return drawObject(chance, names, node, path);
    case 'array': {
      const most = Math.min(3, Number(node['maxItems'] ?? 3));
      const length = chance.whole(Math.max(1, Number(node['minItems'] ?? 0)), Math.max(1, most));
      return Array.from({ length }, () => drawNode(chance, names, node.items ?? {}, `${path}[]`));
    }
    case 'integer': {
      const least = Number(node['minimum'] ?? 0);
      return chance.whole(least, Math.min(Number(node['maximum'] ?? 100), least + 100));
    }
    case 'number': {
      const least = Number(node['minimum'] ?? 0);
      const most = Math.min(Number(node['maximum'] ?? 100), least + 100);
      return Math.max(least, Number((least + chance.next() * (most - least)).toPrecision(3)));
    }
    case 'boolean':
      return chance.happens(0.5);
    default:
      return isDuration(node) ? `${chance.spread(1, 30)}s` : chance.pick(['a', 'shop', 'x-1']);
  }
}

function drawObject(chance: Chance, names: SpecNames, node: JsonSchema, path: string): Json {
  if (!node.properties) return node.additionalProperties ? { team: chance.pick(['shop', 'pay']) } : {};
  const drawn: Record<string, Json> = {};
  const way: string = chance.pick(WAYS);
  for (const [name, child] of Object.entries(node.properties)) {
    const here = `${path}.${name}`;
    const isWay = path === 'spec.analysis' && (WAYS as readonly string[]).includes(name);
    const isRequired = node.required?.includes(name) ?? false;
    const likelihood = isWay
      ? Number(name === way)
      : isRequired
        ? 1
        : (HINTS[here]?.likelihood ?? DEFAULT_LIKELIHOOD);
    // Asked in any case, so that one field more in the schema changes as little as possible in what is drawn.
    const own = chance.fork(here);
    if (own.happens(likelihood)) drawn[name] = drawNode(own, names, child, here);
  }
  return drawn;
}

function decode(names: SpecNames, spec: Json) {
  return decodeCanary({ metadata: { namespace: names.namespace, name: names.name, uid: 'u' }, spec });
}

/** Takes out what stands at this path, e.g. `spec.service.hosts` or `spec.analysis.metrics[0].query`. */
function without(spec: Json, field: string): Json {
  const steps = field
    .replace(/\[(\d+)\].*$/, '')
    .split('.')
    .slice(1);
  const last = steps.pop();
  if (last === undefined) return undefined;
  const next = structuredClone(spec);
  let node = next;
  for (const step of steps) node = node?.[step];
  if (!node || !(last in node)) return undefined;
  delete node[last];
  return next;
}

/** A spec that the engine accepts. */
export function drawSpec(chance: Chance, names: SpecNames): Json {
  let spec = drawNode(chance, names, schema, 'spec');
  for (let round = 0; round < REPAIRS_MAX; round++) {
    const decoded = decode(names, spec);
    if (decoded.ok) return spec;
    for (const { field } of decoded.problems) spec = without(spec, field) ?? spec;
  }
  const smallest = {
    targetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: names.target },
    service: { name: names.apex, port: 80, targetPort: 8080 },
    analysis: { interval: '5s', threshold: 2, stepWeights: [20, 50], metrics: metrics(chance) },
  };
  if (!decode(names, smallest).ok) throw new Error('the smallest spec is not valid');
  return smallest;
}
