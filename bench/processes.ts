/** What the kernel says about processes: memory, and the CPU time of this process and of the programs that it started. Linux only. */
import { readdirSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';

export interface Memory {
  residentMb: number;
  /** Without pages of files, which are shared with every other Node on the machine. */
  anonymousMb: number;
  peakMb: number;
}

const CLOCK_TICKS_PER_SECOND = 100;

export function memoryOf(pid: number): Memory {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const megabytes = (field: string) =>
    Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? Number.NaN) / 1024;
  return {
    residentMb: megabytes('VmRSS'),
    anonymousMb: megabytes('RssAnon'),
    peakMb: megabytes('VmHWM'),
  };
}

/** CPU seconds by program: this process as `bench`, each child by the name of its executable or script. */
export function cpuSeconds(): Record<string, number> {
  const seconds: Record<string, number> = { bench: cpuOf(process.pid) };
  for (const pid of childrenOf(process.pid)) {
    const name = nameOf(pid);
    seconds[name] = (seconds[name] ?? 0) + cpuOf(pid);
  }
  return seconds;
}

/** What was used between two answers of `cpuSeconds`, e.g. `engine 3.2 s, etcd 1.0 s`. */
export function cpuBetween(before: Record<string, number>, after: Record<string, number>): string {
  return Object.entries(after)
    .map(([name, seconds]) => ({ name, seconds: seconds - (before[name] ?? 0) }))
    .sort((a, b) => b.seconds - a.seconds)
    .filter(({ seconds }) => seconds >= 0.05)
    .map(({ name, seconds }) => `${name} ${seconds.toFixed(1)} s`)
    .join(', ');
}

function cpuOf(pid: number): number {
  try {
    // The program's name is in parentheses and may hold spaces.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
    return (Number(fields[11]) + Number(fields[12])) / CLOCK_TICKS_PER_SECOND;
  } catch {
    return 0;
  }
}

function childrenOf(pid: number): number[] {
  return readdirSync(`/proc/${pid}/task`).flatMap(task =>
    readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').split(' ').filter(Boolean).map(Number),
  );
}

function nameOf(pid: number): string {
  try {
    const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
    return words.some(word => word.endsWith('engine/main.ts')) ? 'engine' : basename(words[0] ?? '');
  } catch {
    return 'ended';
  }
}

/** Load average of the last minute: beside a time it says whether the machine was busy with something else. */
export function loadAverage(): string {
  return readFileSync('/proc/loadavg', 'utf8').split(' ')[0] ?? '';
}
