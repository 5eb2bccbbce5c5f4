/** The one table of reasons: constants that the API server accepts as a condition's reason, each with a sentence. */
import { expect, test } from 'vitest';
import { conditionTypes, reasons } from './reasons.ts';

test.each([...Object.entries(reasons), ...Object.entries(conditionTypes)])(
  '%s has a sentence',
  (name, sentence) => {
    expect(name).toMatch(/^[A-Z][A-Za-z]{1,63}$/);
    expect(sentence).toMatch(/^[A-Za-z].*\.$/s);
  },
);
