/**
 * Reads one file out of a zip archive that is in memory, by its central directory. Only what the archives of the rig
 * use: stored or deflated files below 4 GiB, no encryption; anything else is an error.
 */
import { crc32, inflateRawSync } from 'node:zlib';

const END_SIGNATURE = 0x06054b50;
const ENTRY_SIGNATURE = 0x02014b50;
const END_BYTES = 22;
const COMMENT_BYTES_MAX = 0xffff;
const STORED = 0;
const DEFLATED = 8;
/** Far above the largest program that is unpacked here (63 MB). */
const FILE_BYTES_MAX = 512 * 1024 * 1024;

/** The content of the file `name`, checked against its CRC. */
export function fileInZip(archive: Buffer, name: string): Buffer {
  const end = endOf(archive);
  let at = archive.readUInt32LE(end + 16);
  for (let left = archive.readUInt16LE(end + 10); left > 0; left--) {
    if (archive.readUInt32LE(at) !== ENTRY_SIGNATURE) throw new Error('the archive is damaged');
    const nameBytes = archive.readUInt16LE(at + 28);
    if (archive.toString('utf8', at + 46, at + 46 + nameBytes) === name) return contentOf(archive, at, name);
    at += 46 + nameBytes + archive.readUInt16LE(at + 30) + archive.readUInt16LE(at + 32);
  }
  throw new Error(`the archive holds no ${name}`);
}

function endOf(archive: Buffer): number {
  const lowest = Math.max(0, archive.length - END_BYTES - COMMENT_BYTES_MAX);
  for (let at = archive.length - END_BYTES; at >= lowest; at--) {
    if (archive.readUInt32LE(at) === END_SIGNATURE) return at;
  }
  throw new Error('this is no zip archive');
}

function contentOf(archive: Buffer, entry: number, name: string): Buffer {
  const method = archive.readUInt16LE(entry + 10);
  const packedBytes = archive.readUInt32LE(entry + 20);
  const header = archive.readUInt32LE(entry + 42);
  const start = header + 30 + archive.readUInt16LE(header + 26) + archive.readUInt16LE(header + 28);
  const packed = archive.subarray(start, start + packedBytes);
  if (method !== STORED && method !== DEFLATED) throw new Error(`${name}: unknown compression ${method}`);
  const content = method === STORED ? packed : inflateRawSync(packed, { maxOutputLength: FILE_BYTES_MAX });
  if (crc32(content) !== archive.readUInt32LE(entry + 16)) throw new Error(`${name}: wrong checksum`);
  return content;
}
