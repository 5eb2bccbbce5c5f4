/** Decodes the body of a watch: JSON objects, one a line, in chunks cut anywhere. Knows nothing of requests or retries. */
import { errorFromStatus, type Status } from './apiError.ts';
import { ApiError, type KubernetesObject, type WatchEvent } from './types.ts';

/** An object in etcd is at most 1.5 MiB; a longer line is not a watch event. */
const LONGEST_LINE_CHARACTERS = 8 * 1024 * 1024;

/**
 * Yields the events of a stream until it ends. An unfinished last line is dropped: the next watch delivers it again.
 * Throws ApiError: `gone` and others for an ERROR event, `server` for a line that is not an event.
 */
export async function* decodeWatch(
  next: () => Promise<IteratorResult<string>>,
): AsyncGenerator<WatchEvent, void, void> {
  let parts: string[] = [];
  let heldCharacters = 0;
  for (;;) {
    const result = await next();
    if (result.done) return;
    const chunk = result.value;
    let start = 0;
    for (let end = chunk.indexOf('\n'); end !== -1; end = chunk.indexOf('\n', start)) {
      parts.push(chunk.slice(start, end));
      const line = parts.length === 1 ? parts[0]! : parts.join('');
      parts = [];
      heldCharacters = 0;
      start = end + 1;
      if (line.trim() !== '') yield decodeLine(line);
    }
    if (start < chunk.length) {
      parts.push(chunk.slice(start));
      heldCharacters += chunk.length - start;
      if (heldCharacters > LONGEST_LINE_CHARACTERS) {
        throw new ApiError('server', `a watch event is longer than ${LONGEST_LINE_CHARACTERS} characters`);
      }
    }
  }
}

function decodeLine(line: string): WatchEvent {
  let event: { type?: unknown; object?: any };
  try {
    event = JSON.parse(line);
  } catch {
    throw new ApiError('server', 'a line of the watch is not JSON');
  }
  switch (event?.type) {
    case 'ADDED':
    case 'MODIFIED':
    case 'DELETED':
      if (typeof event.object?.metadata?.name !== 'string') break;
      return { type: event.type, object: event.object as KubernetesObject };
    case 'BOOKMARK':
      if (typeof event.object?.metadata?.resourceVersion !== 'string') break;
      return { type: 'BOOKMARK', resourceVersion: event.object.metadata.resourceVersion };
    case 'ERROR': {
      const status = (event.object ?? {}) as Status;
      throw errorFromStatus(status, typeof status.code === 'number' ? status.code : 500);
    }
    default:
  }
  throw new ApiError(
    'server',
    `a line of the watch is not an event: type ${String(event?.type).slice(0, 40)}`,
  );
}
