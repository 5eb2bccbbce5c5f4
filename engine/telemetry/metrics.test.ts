/** The exposition text for given canaries: names, labels and values that dashboards rely on. */
import { describe, expect, it } from 'vitest';
import { systemClock } from '../clock.ts';
import type { KubernetesObject } from '../kubernetes/types.ts';
import { createMetrics } from './metrics.ts';

const STARTED_AT = Date.parse('2026-01-01T00:00:00Z');

function metrics() {
  const clock = { ...systemClock, now: () => STARTED_AT };
  return createMetrics({ clock, version: '1.2.3', meshProvider: 'linkerd' });
}

function canary(status: object, spec: object = {}): KubernetesObject {
  return {
    apiVersion: 'serin.dev/v1beta1',
    kind: 'Canary',
    metadata: { name: 'checkout-canary', namespace: 'shop' },
    spec: { targetRef: { kind: 'Deployment', name: 'checkout' }, ...spec },
    status,
  };
}

const rollout = (outcome: string, endedAt: string) => ({
  revision: 'v1-a',
  outcome,
  reason: 'x',
  startedAt: endedAt,
  endedAt,
});

describe('createMetrics', () => {
  it('shows state under the names that Flagger gives it', async () => {
    const { observe, text } = metrics();
    observe([
      canary({
        phase: 'Progressing',
        canaryWeight: 20,
        failedChecks: 2,
        checks: [{ metric: 'request-duration', outcome: 'pass', value: 120 }],
      }),
    ]);
    const shown = await text();
    expect(shown).toContain('flagger_info{version="1.2.3",mesh_provider="linkerd"} 1');
    expect(shown).toContain('flagger_canary_total{namespace="shop"} 1');
    expect(shown).toContain('flagger_canary_status{name="checkout",namespace="shop"} 0');
    expect(shown).toContain('flagger_canary_weight{workload="checkout",namespace="shop"} 20');
    expect(shown).toContain('flagger_canary_weight{workload="checkout-primary",namespace="shop"} 80');
    expect(shown).toContain(
      'flagger_canary_metric_analysis{name="checkout",namespace="shop",metric="request-duration"} 120',
    );
    expect(shown).toContain('serin_canary_phase{name="checkout",namespace="shop",phase="Progressing"} 1');
    expect(shown).toContain('serin_canary_failed_checks{name="checkout",namespace="shop"} 2');
  });

  it('shows how near the evidence of the run is to a rollback, as last written', async () => {
    const { observe, text } = metrics();
    const run = { id: 'r2.2', revision: 'r2', generation: 2, startedAt: '2026-01-01T00:00:00Z' };
    const judge = {
      run: 'r2.2',
      mode: 'compare' as const,
      at: '',
      verdict: 'NotShown',
      sentence: '',
      logEvidence: 2,
      logNeeded: 4,
      comparisons: [],
      timeline: [],
    };
    observe([canary({ phase: 'Progressing', run, judge })]);
    expect(await text()).toContain('serin_canary_evidence_ratio{name="checkout",namespace="shop"} 0.5');
    observe([canary({ phase: 'Progressing', run, judge: { ...judge, run: 'r1.1' } })]);
    expect(await text()).not.toContain('serin_canary_evidence_ratio{');
  });

  it('tells success from failure', async () => {
    const { observe, text } = metrics();
    observe([canary({ phase: 'Succeeded' })]);
    expect(await text()).toContain('flagger_canary_status{name="checkout",namespace="shop"} 1');
    observe([canary({ phase: 'Failed' })]);
    expect(await text()).toContain('flagger_canary_status{name="checkout",namespace="shop"} 2');
  });

  it('counts each rollout once, and none that ended before the start', async () => {
    const { observe, text } = metrics();
    const labels =
      'name="checkout",namespace="shop",deployment_strategy="canary",analysis_status="completed"';
    const old = rollout('Failed', '2025-12-31T00:00:00Z');
    observe([canary({ history: [old] })]);
    expect(await text()).toContain(`flagger_canary_failures_total{${labels}} 0`);
    const good = rollout('Succeeded', '2026-01-02T00:00:00Z');
    observe([canary({ history: [good, old] })]);
    observe([canary({ history: [rollout('Failed', '2026-01-03T00:00:00Z'), good, old] })]);
    const shown = await text();
    expect(shown).toContain(`flagger_canary_successes_total{${labels}} 1`);
    expect(shown).toContain(`flagger_canary_failures_total{${labels}} 1`);
  });

  it('removes every series of a canary that is gone', async () => {
    const { observe, text } = metrics();
    observe([canary({ phase: 'Failed', history: [rollout('Failed', '2026-01-02T00:00:00Z')] })]);
    expect(await text()).toContain('checkout');
    observe([]);
    expect(await text()).not.toContain('checkout');
  });

  it('names the strategy as Flagger does', async () => {
    const { observe, text } = metrics();
    observe([canary({}, { analysis: { iterations: 5 }, skipAnalysis: true })]);
    expect(await text()).toContain('deployment_strategy="blue-green",analysis_status="skipped"');
  });

  it('is not stopped by a canary without a target', async () => {
    const { observe, text } = metrics();
    observe([{ ...canary({}), spec: {} }]);
    expect(await text()).toContain('flagger_canary_total{namespace="shop"} 1');
  });

  it('counts requests to the API server', async () => {
    const { apiRequest, apiLimited, text } = metrics();
    apiRequest({ verb: 'patch', resource: 'canaries', code: 409, durationMs: 30 });
    apiLimited(1_500);
    const shown = await text();
    expect(shown).toContain('serin_api_requests_total{verb="patch",resource="canaries",code="409"} 1');
    expect(shown).toContain('serin_api_request_duration_seconds_sum{verb="patch"} 0.03');
    expect(shown).toContain('serin_api_limited_seconds_total 1.5');
  });

  it('counts how messages to receivers ended', async () => {
    const { notification, text } = metrics();
    expect(await text()).toContain('serin_notifications_total{outcome="givenUp"} 0');
    notification('givenUp');
    notification('delivered');
    notification('delivered');
    const shown = await text();
    expect(shown).toContain('serin_notifications_total{outcome="delivered"} 2');
    expect(shown).toContain('serin_notifications_total{outcome="givenUp"} 1');
    expect(shown).toContain('serin_notifications_total{outcome="dropped"} 0');
  });
});
