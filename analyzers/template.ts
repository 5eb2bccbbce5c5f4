/**
 * Flagger's query templates: `{{ namespace }}` and the like are replaced, and nothing else is a language. A name that
 * does not exist, or an opening that is never closed, is an error that names it.
 */
import type { QueryVariables } from './analyzer.ts';

export type Rendered = { ok: true; query: string } | { ok: false; message: string };

export function renderQuery(template: string, variables: QueryVariables): Rendered {
  const { variables: own, ...named } = variables;
  // Without a prototype `constructor` and its like are names that do not exist.
  const known: Record<string, string> = Object.assign(Object.create(null), named);
  for (const [name, value] of Object.entries(own)) known[`variables.${name}`] = value;
  const missing: string[] = [];
  const query = template.replace(/\{\{-?\s*([A-Za-z0-9_.-]*?)\s*-?\}\}/g, (_whole, name: string) => {
    const value = known[name];
    if (value === undefined) missing.push(name);
    return value ?? '';
  });
  if (missing.length > 0)
    return {
      ok: false,
      message: `the query names {{ ${missing[0]} }}; known are ${Object.keys(known).join(', ')}`,
    };
  if (query.includes('{{'))
    return { ok: false, message: 'the query has a {{ that is not closed, or that holds more than a name' };
  return { ok: true, query };
}

/** Whole seconds or milliseconds, as Prometheus reads durations. */
export function prometheusDuration(ms: number): string {
  return ms % 1_000 === 0 ? `${ms / 1_000}s` : `${Math.max(1, Math.round(ms))}ms`;
}
