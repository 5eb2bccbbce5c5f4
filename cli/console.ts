/** What a verb of the command line may touch: two streams, and files that are named to it. Tests put their own in its place. */
import { createReadStream } from 'node:fs';

export interface Console {
  /** The text of a file; `-` is the standard input. Rejects with a sentence for people. */
  read(path: string): Promise<string>;
  out(text: string): void;
  err(text: string): void;
}

/** A manifest of a hundred canaries is far below; an endless stream must not fill the memory. */
const BYTES_MAX = 4 * 1024 * 1024;

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EACCES: 'it may not be read',
  EISDIR: 'it is a folder, and a file is needed',
};

export const systemConsole: Console = {
  async read(path) {
    const chunks: Buffer[] = [];
    let bytes = 0;
    try {
      for await (const chunk of path === '-' ? process.stdin : createReadStream(path)) {
        bytes += chunk.length;
        if (bytes > BYTES_MAX) throw new Error(`it has more than ${BYTES_MAX} bytes`);
        chunks.push(chunk);
      }
    } catch (error) {
      const { code = '', message } = error as NodeJS.ErrnoException;
      throw new Error(`${path === '-' ? 'standard input' : path}: ${REASONS[code] ?? message}`);
    }
    return Buffer.concat(chunks).toString('utf8');
  },
  out: written => void process.stdout.write(written),
  err: written => void process.stderr.write(written),
};
