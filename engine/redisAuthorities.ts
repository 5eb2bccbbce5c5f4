/** Reads the file of `--redis-ca-file`, once: a Redis is connected to for as long as the engine runs. */
import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';

/** The PEM certificates in a file. Throws an Error that names the file when it cannot be read or holds none. */
export async function redisAuthorities(path: string): Promise<string> {
  const pem = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new Error(`--redis-ca-file: ${path} cannot be read (${error.code})`);
  });
  try {
    new X509Certificate(pem);
  } catch {
    throw new Error(`--redis-ca-file: expected PEM certificates in ${path}`);
  }
  return pem;
}
