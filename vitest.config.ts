import { defineConfig } from 'vitest/config';

// `unit` needs nothing but Node; `e2e` and `chaos` are started by e2e/harness inside a network namespace with real parts.
export default defineConfig({
  test: {
    // Scenarios of the end-to-end tests wait far more than they work; each has a namespace of its own.
    maxConcurrency: 6,
    projects: [
      {
        test: {
          name: 'unit',
          include: ['{engine,analyzers,steppers,simulator,bench,cli}/**/*.test.ts'],
          testTimeout: 30_000,
        },
      },
      {
        test: {
          name: 'e2e',
          include: ['e2e/**/*.test.ts'],
          exclude: ['e2e/chaos.test.ts'],
          testTimeout: 240_000,
          hookTimeout: 240_000,
          fileParallelism: false,
          pool: 'forks',
        },
      },
      {
        test: {
          name: 'chaos',
          include: ['e2e/chaos.test.ts'],
          testTimeout: 240_000,
          hookTimeout: 240_000,
          fileParallelism: false,
          pool: 'forks',
        },
      },
    ],
  },
});
