/**
 * Structured logs: one JSON line for each entry. Whatever looks like a secret is removed here, in one place, so that no
 * caller has to remember it. It must never print a token, a password or the address of a receiver.
 */
import { type DestinationStream, pino } from 'pino';
import type { Log } from '../engine.ts';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

const REDACTED = '[redacted]';
/** Webhook addresses of receivers carry their secret in the path, so an address is one too. */
const SECRET_KEY = /^(proxy-)?authorization$|token$|password$|passwd$|secret$|api-?key$|^address$|^cookie$/i;
const BEARER = /\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}/gi;
const USER_INFO = /:\/\/[^/\s@]+@/g;
/** Deeper objects are not ours: they are cut, so that a cycle ends. */
const DEPTH_MAX = 6;
/** A line must stay smaller than what log collectors cut (16 KiB). */
const STRING_CHARACTERS_MAX = 4_096;
const ITEMS_MAX = 100;

/** JSON lines on standard output, or on `destination`. */
export function createLog(level: LogLevel, destination?: DestinationStream): Log {
  const options = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: {
      level: (label: string) => ({ level: label }),
      log: (fields: Record<string, unknown>) => redactFields(fields, 0),
    },
  };
  const logger = destination ? pino(options, destination) : pino(options);
  return {
    info: (fields, message) => logger.info(fields, redactText(message)),
    warn: (fields, message) => logger.warn(fields, redactText(message)),
    error: (fields, message) => logger.error(fields, redactText(message)),
  };
}

/** Text without credentials: bearer tokens, and user names and passwords in URLs. */
export function redactText(text: string): string {
  const clean = text.replace(BEARER, `$1 ${REDACTED}`).replace(USER_INFO, `://${REDACTED}@`);
  return clean.length > STRING_CHARACTERS_MAX ? `${clean.slice(0, STRING_CHARACTERS_MAX)}…` : clean;
}

function redactFields(fields: object, depth: number): Record<string, unknown> {
  const clean: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(fields).slice(0, ITEMS_MAX)) {
    clean[key] = SECRET_KEY.test(key) ? REDACTED : redactValue(value, depth + 1);
  }
  return clean;
}

function redactValue(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return redactText(value);
  if (value instanceof URL) return redactText(value.href);
  if (typeof value !== 'object' || value === null) return value;
  if (depth > DEPTH_MAX) return '[deeper]';
  if (value instanceof Error) return { name: value.name, message: redactText(value.message) };
  if (value instanceof Date) return value;
  if (Array.isArray(value)) return value.slice(0, ITEMS_MAX).map(item => redactValue(item, depth + 1));
  return redactFields(value, depth);
}
