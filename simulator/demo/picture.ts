/** Draws what a terminal showed as an SVG: text on standard input, the picture on standard output. */
import { text } from 'node:stream/consumers';

const LINE_HEIGHT_PX = 18;
const CHARACTER_WIDTH_PX = 7.8;
const PADDING_PX = 16;

function escape(line: string): string {
  return line.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

function colour(line: string): string {
  if (line.includes('✖') || line.includes(' Failed ')) return '#ff7b72';
  if (line.includes('Succeeded')) return '#7ee787';
  if (line.startsWith('──')) return '#79c0ff';
  return '#c9d1d9';
}

const lines = (await text(process.stdin)).replace(/\n+$/, '').split('\n');
const width = Math.ceil(Math.max(...lines.map(line => line.length)) * CHARACTER_WIDTH_PX + 2 * PADDING_PX);
const height = lines.length * LINE_HEIGHT_PX + 2 * PADDING_PX;
const rows = lines.map((line, index) => {
  const y = PADDING_PX + (index + 1) * LINE_HEIGHT_PX - 5;
  return `<text x="${PADDING_PX}" y="${y}" fill="${colour(line)}" xml:space="preserve">${escape(line)}</text>`;
});
process.stdout.write(
  `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" font-family="ui-monospace, Menlo, Consolas, monospace" font-size="13">\n` +
    `<rect width="100%" height="100%" rx="8" fill="#0d1117"/>\n${rows.join('\n')}\n</svg>\n`,
);
