/**
 * The building blocks of the schemas: bounded texts and numbers, durations, references, and rules that hold across
 * fields. A rule is written twice, as a predicate for the engine and as CEL for the API server, and says one sentence.
 */
import { z } from 'zod';
import { DURATION_CHARACTERS_MAX, DURATION_PATTERN, durationMs } from './duration.ts';

export interface Rule<Value> {
  /** Kubernetes CEL over `self`; true means valid. */
  cel: string;
  /** The field of `self` that the sentence is about; absent: `self` itself. */
  at?: keyof Value & string;
  /** What is expected, in a sentence without the field's name. */
  message: string;
  holds: (value: Value) => boolean;
}

/** Attaches rules to a schema: checked by zod here, and by the API server through the generated CRD. */
export function withRules<Schema extends z.ZodType>(schema: Schema, rules: Rule<z.output<Schema>>[]): Schema {
  const checked = schema.superRefine((value, context) => {
    for (const rule of rules) {
      if (rule.holds(value as z.output<Schema>)) continue;
      const path = rule.at === undefined ? [] : [rule.at];
      context.addIssue({ code: 'custom', message: rule.message, path });
    }
  });
  return checked.meta({
    'x-kubernetes-validations': rules.map(({ cel, message, at }) => ({
      rule: cel,
      message,
      ...(at === undefined ? {} : { fieldPath: `.${at}` }),
    })),
  });
}

/** A text of `min` to `max` characters. */
export function text(max: number, min = 0) {
  return min > 0 ? z.string().min(min).max(max) : z.string().max(max);
}

/** A whole number within inclusive bounds. */
export function whole(min: number, max: number) {
  return z.int().min(min).max(max);
}

/** Names of Kubernetes objects have at most this many characters. */
export const NAME_CHARACTERS_MAX = 253;

export function objectName() {
  return text(NAME_CHARACTERS_MAX, 1);
}

/** An address that can be asked over HTTP. A host without a scheme is the usual slip. */
export const WEB_ADDRESS_PATTERN = '^https?://[^/?# ]+';

const webAddressPattern = new RegExp(WEB_ADDRESS_PATTERN);

export function isWebAddress(address: string): boolean {
  return webAddressPattern.test(address) && URL.canParse(address);
}

export function webAddress() {
  return withRules(text(2048, 1), [
    {
      cel: `self.matches('${WEB_ADDRESS_PATTERN}')`,
      message: 'must be an http or https URL, such as http://prometheus.monitoring:9090',
      holds: isWebAddress,
    },
  ]);
}

/** A Go duration within inclusive bounds, both given as Go durations. */
export function duration(least: string, most: string) {
  const leastMs = durationMs(least) ?? 0;
  const mostMs = durationMs(most) ?? 0;
  // The pattern stands in the rule, and not beside it, so that the API server answers with the sentence.
  return withRules(z.string().max(DURATION_CHARACTERS_MAX), [
    {
      cel: `self.matches(r'${DURATION_PATTERN}') && duration(self) >= duration('${least}') && duration(self) <= duration('${most}')`,
      message: `must be a duration from ${least} to ${most}, such as 30s, 1m or 1m30s`,
      holds: value => {
        const ms = durationMs(value);
        return ms !== undefined && ms >= leastMs && ms <= mostMs;
      },
    },
  ]);
}

/** Labels, annotations, and any other map from text to text, bounded. */
const ENTRIES_MAX = 64;

export function textMap(valueCharactersMax = 4096) {
  return z
    .record(z.string(), text(valueCharactersMax))
    .refine(map => Object.keys(map).length <= ENTRIES_MAX, `must have at most ${ENTRIES_MAX} entries`)
    .meta({ maxProperties: ENTRIES_MAX });
}

/** An object whose fields another API defines; it is kept as it is. */
export function opaque() {
  return z.record(z.string(), z.unknown()).meta({ 'x-kubernetes-preserve-unknown-fields': true });
}

/** A number or a name, as in a Service's targetPort. */
export function intOrText() {
  return z.union([whole(1, 65_535), text(63, 1)]).meta({ 'x-kubernetes-int-or-string': true });
}
