/**
 * One table of specs for both writings of every rule: the unit tests decode each of them, the end-to-end tests send
 * each of them to a real API server. A rule that is written in one language only fails one of the two.
 */
import type { Kind } from './schemaOf.ts';

export interface RuleCase {
  name: string;
  kind: Kind;
  /** JSON merge patch on the base spec of the kind; null removes a field. */
  patch: Record<string, unknown>;
  /** Absent: the spec is valid. */
  refused?: {
    /** The field that both name. */
    field: string;
    /** Words that the engine says. */
    engine: string;
    /** Words that the API server says, when it has a sentence of its own for plain bounds. */
    server?: string;
  };
}

/** Valid specs, each as small as can be. */
export const baseSpecs: Record<Kind, Record<string, unknown>> = {
  Canary: {
    targetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web' },
    service: { port: 80 },
    analysis: { interval: '10s', threshold: 5, stepWeight: 10 },
  },
  MetricTemplate: { provider: { type: 'prometheus', address: 'http://prometheus:9090' }, query: 'up' },
  AlertProvider: { type: 'slack', address: 'https://hooks.test/1' },
};

function analysis(
  name: string,
  patch: Record<string, unknown>,
  refused?: { at?: string; engine: string; server?: string },
): RuleCase {
  const base: RuleCase = { name, kind: 'Canary', patch: { analysis: patch } };
  if (!refused) return base;
  const { at, ...words } = refused;
  return { ...base, refused: { field: `spec.analysis${at ?? ''}`, ...words } };
}

const oneWay = { engine: 'must have exactly one of iterations, stepWeight and stepWeights' };
const rising = { at: '.stepWeights', engine: 'must rise strictly' };
const oneSource = { at: '.metrics[0]', engine: 'must be exactly one of: a built-in name' };
const interval = { at: '.interval', engine: 'must be a duration from 1s to 24h' };

const wayOfProgress: RuleCase[] = [
  analysis('stepWeight alone', {}),
  analysis('stepWeights alone', { stepWeight: null, stepWeights: [1, 10, 50] }),
  analysis('iterations alone', { stepWeight: null, iterations: 10 }),
  analysis('no way of progress', { stepWeight: null }, oneWay),
  analysis('stepWeight with stepWeights', { stepWeights: [1, 2] }, oneWay),
  analysis('stepWeight with iterations', { iterations: 3 }, oneWay),
  analysis('stepWeights with iterations', { stepWeight: null, stepWeights: [5], iterations: 3 }, oneWay),
];

const weights: RuleCase[] = [
  analysis(
    'H23 stepWeight of zero',
    { stepWeight: 0 },
    { at: '.stepWeight', engine: 'must be at least 1', server: 'greater than or equal to 1' },
  ),
  analysis(
    'stepWeight above 100',
    { stepWeight: 101 },
    { at: '.stepWeight', engine: 'must be at most 100', server: 'less than or equal to 100' },
  ),
  analysis(
    'stepWeight that is not whole',
    { stepWeight: 0.5 },
    { at: '.stepWeight', engine: 'must be a whole number', server: 'integer' },
  ),
  analysis('H23 stepWeights that fall', { stepWeight: null, stepWeights: [10, 5] }, rising),
  analysis('H23 stepWeights that stand still', { stepWeight: null, stepWeights: [10, 10, 20] }, rising),
  analysis(
    'stepWeights with a zero',
    { stepWeight: null, stepWeights: [0, 5] },
    { at: '.stepWeights[0]', engine: 'must be at least 1', server: 'greater than or equal to 1' },
  ),
  analysis(
    'stepWeights above 100',
    { stepWeight: null, stepWeights: [5, 101] },
    { at: '.stepWeights[1]', engine: 'must be at most 100', server: 'less than or equal to 100' },
  ),
  analysis(
    'stepWeights that are empty',
    { stepWeight: null, stepWeights: [] },
    { at: '.stepWeights', engine: 'must be at least 1 entries', server: 'at least 1 items' },
  ),
  analysis('stepWeights of one', { stepWeight: null, stepWeights: [100] }),
  analysis('maxWeight of zero, as absent', { maxWeight: 0 }),
  analysis(
    'maxWeight above 100',
    { maxWeight: 150 },
    { at: '.maxWeight', engine: 'must be at most 100', server: 'less than or equal to 100' },
  ),
  analysis('maxWeight of zero beside iterations', { stepWeight: null, iterations: 3, maxWeight: 0 }),
  analysis('maxWeight of 100 beside iterations', { stepWeight: null, iterations: 3, maxWeight: 100 }),
  analysis(
    'maxWeight below 100 beside iterations',
    { stepWeight: null, iterations: 3, maxWeight: 50 },
    { at: '.maxWeight', engine: 'must be absent, 0 or 100 beside iterations' },
  ),
  analysis('threshold of zero', { threshold: 0 }),
];

const durations: RuleCase[] = [
  analysis('interval of a second', { interval: '1s' }),
  analysis('interval in two units', { interval: '1m30s' }),
  analysis('interval with a fraction', { interval: '1.5m' }),
  analysis('interval of a day', { interval: '24h' }),
  analysis('no interval', { interval: null }),
  analysis('interval below a second', { interval: '500ms' }, interval),
  analysis('interval above a day', { interval: '25h' }, interval),
  analysis('interval without a unit', { interval: '60' }, interval),
  analysis('interval in days', { interval: '1d' }, interval),
  analysis('interval with words', { interval: '30sec' }, interval),
  analysis('interval that is negative', { interval: '-10s' }, interval),
  analysis('interval that is empty', { interval: '' }, interval),
  analysis('bake of ten minutes', { bake: '10m' }),
  analysis('bake of nothing', { bake: '0s' }, { at: '.bake', engine: 'must be a duration from 1s to 168h' }),
];

function metric(
  name: string,
  entry: Record<string, unknown>,
  refused?: { at?: string; engine: string; server?: string },
) {
  return analysis(name, { metrics: [entry] }, refused);
}

const metrics: RuleCase[] = [
  metric('built-in metric', { name: 'request-success-rate', thresholdRange: { min: 99 }, interval: '1m' }),
  metric('metric with a query', { name: 'errors', query: 'up', threshold: 1 }),
  metric('metric with a template', {
    name: 'errors',
    templateRef: { name: 'errors' },
    thresholdRange: { max: 1 },
  }),
  metric('metric without a source', { name: 'errors', threshold: 1 }, oneSource),
  metric(
    'metric with query and template',
    { name: 'errors', query: 'up', templateRef: { name: 'x' } },
    oneSource,
  ),
  metric('built-in metric with a query', { name: 'request-duration', query: 'up' }, oneSource),
  metric(
    'built-in metric with a template',
    { name: 'request-duration', templateRef: { name: 'x' } },
    oneSource,
  ),
  metric('range of one point', { name: 'x', query: 'up', thresholdRange: { min: 5, max: 5 } }),
  metric(
    'range upside down',
    { name: 'x', query: 'up', thresholdRange: { min: 5, max: 4.5 } },
    { at: '.metrics[0].thresholdRange', engine: 'must have a min that is not above max' },
  ),
];

const guardedMetric = { name: 'request-success-rate', thresholdRange: { min: 99 } };
const inSteps = (judge: object) => ({ stepWeight: null, stepWeights: [5, 50], judge });

const judging: RuleCase[] = [
  analysis('a judge of every mode: threshold', { judge: { mode: 'threshold' } }),
  analysis('a judge of every mode: compare', { judge: { mode: 'compare', regression: 0, deadline: '2h' } }),
  analysis('a judge of every mode: slo', { judge: { mode: 'slo' }, metrics: [guardedMetric] }),
  analysis('a guard that is off', { judge: { guard: { enabled: false } }, metrics: [guardedMetric] }),
  analysis('a threshold beside iterations', {
    stepWeight: null,
    iterations: 3,
    judge: { mode: 'threshold' },
  }),
  analysis(
    'compare beside iterations',
    { stepWeight: null, iterations: 3, judge: { mode: 'compare' } },
    { at: '.judge', engine: 'must have mode threshold beside iterations' },
  ),
  analysis(
    'slo without a bound',
    { judge: { mode: 'slo' }, metrics: [{ name: 'request-success-rate' }] },
    { at: '.metrics', engine: 'must have a built-in metric' },
  ),
  analysis(
    'slo of a query alone',
    { judge: { mode: 'slo' }, metrics: [{ name: 'mine', query: 'up', threshold: 1 }] },
    { at: '.metrics', engine: 'must have a built-in metric' },
  ),
  analysis(
    'compare with nothing but 100',
    { stepWeight: null, stepWeights: [100], judge: { mode: 'compare' } },
    { at: '.stepWeights', engine: 'must have a step below 100' },
  ),
  analysis('compare with 100 at the end', {
    stepWeight: null,
    stepWeights: [50, 100],
    judge: { mode: 'compare' },
  }),
  analysis(
    'a judge of an unknown mode',
    { judge: { mode: 'bayes' } },
    { at: '.judge.mode', engine: 'must be one of: threshold, compare, slo', server: 'supported values' },
  ),
  analysis('an alpha of one', inSteps({ alpha: 1 }), {
    at: '.judge.alpha',
    engine: 'must be at most 0.5',
    server: 'less than or equal to',
  }),
  analysis('a regression below zero', inSteps({ regression: -1 }), {
    at: '.judge.regression',
    engine: 'must be at least 0',
    server: 'greater than or equal to 0',
  }),
  analysis('a deadline without a unit', inSteps({ deadline: '60' }), {
    at: '.judge.deadline',
    engine: 'must be a duration from 10s to 168h',
  }),
  analysis('a guard that is no boolean', inSteps({ guard: { enabled: 'off' } }), {
    at: '.judge.guard.enabled',
    engine: 'must be true or false',
    server: 'boolean',
  }),
];

const others: RuleCase[] = [
  {
    name: 'target whose name cannot be a Service',
    kind: 'Canary',
    patch: { targetRef: { name: 'web.v2' } },
    refused: { field: 'spec', engine: 'must have service.name' },
  },
  {
    name: 'the same target with a Service named',
    kind: 'Canary',
    patch: { targetRef: { name: 'web.v2' }, service: { name: 'web' } },
  },
  {
    name: 'Service named too long',
    kind: 'Canary',
    patch: { service: { name: 'w'.repeat(56) } },
    refused: { field: 'spec.service.name', engine: 'must be at most 55 characters', server: '55' },
  },
  {
    name: 'Service named in capitals',
    kind: 'Canary',
    patch: { service: { name: 'Web' } },
    refused: { field: 'spec.service.name', engine: 'must be lower-case letters' },
  },
  {
    name: 'port zero',
    kind: 'Canary',
    patch: { service: { port: 0 } },
    refused: {
      field: 'spec.service.port',
      engine: 'must be at least 1',
      server: 'greater than or equal to 1',
    },
  },
  { name: 'targetPort as a number', kind: 'Canary', patch: { service: { targetPort: 8080 } } },
  { name: 'targetPort as a name', kind: 'Canary', patch: { service: { targetPort: 'http' } } },
  {
    name: 'unknown provider',
    kind: 'Canary',
    patch: { provider: 'nonesuch' },
    refused: { field: 'spec.provider', engine: 'must be one of', server: 'supported values' },
  },
  {
    name: 'unknown metric provider',
    kind: 'MetricTemplate',
    patch: { provider: { type: 'nonesuch' } },
    refused: { field: 'spec.provider.type', engine: 'must be one of', server: 'supported values' },
  },
  {
    name: 'metrics server without a scheme',
    kind: 'Canary',
    patch: { metricsServer: 'prometheus:9090' },
    refused: { field: 'spec.metricsServer', engine: 'must be an http or https URL' },
  },
  { name: 'metrics server', kind: 'Canary', patch: { metricsServer: 'http://prometheus.linkerd-viz:9090' } },
  {
    name: 'Prometheus without an address',
    kind: 'MetricTemplate',
    patch: { provider: { address: null } },
    refused: { field: 'spec.provider', engine: 'must have an address that is an http or https URL' },
  },
  {
    name: 'Prometheus at no URL',
    kind: 'MetricTemplate',
    patch: { provider: { address: 'prometheus:9090' } },
    refused: { field: 'spec.provider', engine: 'must have an address that is an http or https URL' },
  },
  {
    name: 'receiver at no URL',
    kind: 'AlertProvider',
    patch: { address: 'hooks.test/1' },
    refused: { field: 'spec.address', engine: 'must be an http or https URL' },
  },
  {
    name: 'receiver behind no proxy',
    kind: 'AlertProvider',
    patch: { proxy: 'proxy.corp:8080' },
    refused: { field: 'spec.proxy', engine: 'must be an http or https URL' },
  },
  { name: 'receiver behind a proxy', kind: 'AlertProvider', patch: { proxy: 'http://proxy.corp:8080' } },
  {
    name: 'metric headers',
    kind: 'MetricTemplate',
    patch: { provider: { headers: { 'X-Scope-OrgID': ['a'] } } },
  },
  { name: 'receiver with an address', kind: 'AlertProvider', patch: {} },
  {
    name: 'receiver with a Secret',
    kind: 'AlertProvider',
    patch: { address: null, secretRef: { name: 'slack' } },
  },
  {
    name: 'receiver without an address',
    kind: 'AlertProvider',
    patch: { address: null },
    refused: { field: 'spec', engine: 'must have address or secretRef' },
  },
];

export const ruleCases: readonly RuleCase[] = [
  ...judging,
  ...wayOfProgress,
  ...weights,
  ...durations,
  ...metrics,
  ...others,
];

function mergePatch(base: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch;
  const result: Record<string, unknown> =
    typeof base === 'object' && base !== null && !Array.isArray(base) ? { ...base } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else result[key] = mergePatch(result[key], value);
  }
  return result;
}

/** The spec of a case, whole. */
export function specOf(ruleCase: RuleCase): Record<string, unknown> {
  return mergePatch(baseSpecs[ruleCase.kind], ruleCase.patch) as Record<string, unknown>;
}
