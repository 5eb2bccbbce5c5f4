/**
 * The look of a report and of its charts, in light and dark. One text, so that the header that allows it can name its hash;
 * colours are chosen to be told apart without red and green, and to be read on both grounds (contrast of at least 4.5).
 */

const COLOURS = `:root{color-scheme:light dark;--ground:#faf9f6;--card:#fff;--ink:#1d1f24;--soft:#5b6068;--line:#e6e3dc;--canary:#966100;--primary:#2867ad;--harm:#b93129;--shown:#1a7558}
@media(prefers-color-scheme:dark){:root{--ground:#131519;--card:#1a1d23;--ink:#e9e7e2;--soft:#a3a8b1;--line:#2d3139;--canary:#f0b429;--primary:#82b4ee;--harm:#ff8a80;--shown:#5fcf9f}}`;

/** Classes of `reportChart.ts`; they need COLOURS beside them. */
const CHART = `.chart{display:block;width:100%;height:auto;font:13px/1.4 system-ui,-apple-system,"Segoe UI",Roboto,"Liberation Sans",sans-serif;font-variant-numeric:tabular-nums}
.chart text{fill:var(--ink)}
.chart .tick{fill:var(--soft);font-size:12px}
.chart .panel{font-weight:600}
.chart .grid{stroke:var(--line);fill:none}
.chart .axis{stroke:var(--soft);stroke-opacity:.5;fill:none}
.chart .line{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}
.chart .canary.line{stroke:var(--canary)}
.chart .primary.line{stroke:var(--primary);stroke-dasharray:7 3}
.chart .harm.line{stroke:var(--harm)}
.chart .shown.line{stroke:var(--shown);stroke-dasharray:2 4}
.chart .each{fill:none;stroke-width:4;stroke-linecap:round;stroke-opacity:.5}
.chart .canary.each{stroke:var(--canary)}
.chart .primary.each{stroke:var(--primary)}
.chart .band{stroke:none;fill-opacity:.16}
.chart .canary.band,.chart .weight{fill:var(--canary)}
.chart .primary.band{fill:var(--primary)}
.chart .weight{fill-opacity:.16}
.chart .bound{stroke:var(--soft);stroke-dasharray:1 3;fill:none}
.chart .enough{fill:none;stroke-opacity:.55}
.chart .harm.enough{stroke:var(--harm)}
.chart .shown.enough{stroke:var(--shown)}
.chart .canary.dot{fill:var(--canary)}
.chart .primary.dot{fill:var(--primary)}
.chart .harm.dot{fill:var(--harm)}
.chart .shown.dot{fill:var(--shown)}
.chart .goal{font-size:12px}
.chart .label{font-weight:600}
.chart text.canary{fill:var(--canary)}
.chart text.primary{fill:var(--primary)}
.chart text.harm{fill:var(--harm)}
.chart text.shown{fill:var(--shown)}
.chart path.end{stroke:var(--ink);fill:none}
.chart text.end{font-weight:600}`;

/** For a picture that stands alone: a file that is shown where no page gives it colours. */
export const CHART_STYLE = `${COLOURS}\n${CHART}`;

const PAGE = `*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Liberation Sans",sans-serif}
main{max-width:1000px;margin:0 auto;padding:56px 24px 96px}
.what{margin:0;color:var(--soft);font-size:15px}
.what b{color:var(--ink);font-weight:600}
h1{margin:4px 0 0;font-size:40px;line-height:1.15;font-weight:700;letter-spacing:-.02em}
h1 .mark{display:inline-block;width:.62em;height:.62em;margin-right:.34em;border-radius:50%;background:var(--soft)}
h1 .good{background:var(--shown)}
h1 .bad{background:var(--harm);border-radius:2px}
h1 .open{background:none;border:.14em solid var(--canary)}
.lead{max-width:66ch;margin:18px 0 0;font-size:18px;line-height:1.5}
.lead::first-letter{text-transform:uppercase}
.facts{display:flex;flex-wrap:wrap;gap:20px 40px;margin:32px 0 0;padding:22px 0;border:solid var(--line);border-width:1px 0}
.facts div{min-width:0}
dt{color:var(--soft);font-size:13px}
dd{margin:2px 0 0;font-weight:600;font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
h2{margin:52px 0 14px;font-size:20px;font-weight:650;letter-spacing:-.01em}
.card{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:24px 20px 12px}
.wide{overflow-x:auto}
.wide .chart{min-width:700px}
.note{max-width:72ch;margin:14px 0 0;color:var(--soft);font-size:14px}
table{width:100%;border-collapse:collapse;font-size:14px;font-variant-numeric:tabular-nums}
caption{text-align:left;color:var(--soft);font-size:14px;padding:0 0 8px}
th,td{padding:9px 18px 9px 0;text-align:left;vertical-align:top;border-bottom:1px solid var(--line)}
th{color:var(--soft);font-weight:500;white-space:nowrap}
tbody th{color:var(--ink);font-weight:600}
.n{text-align:right;white-space:nowrap}
.soft,.below{color:var(--soft)}
.below{display:block;font-size:13px;white-space:nowrap}
.warn{color:var(--canary);font-weight:600}
.error{color:var(--harm);font-weight:600}
details{margin:18px 0 0}
summary{cursor:pointer;color:var(--soft);font-size:14px}
summary:focus-visible{outline:2px solid var(--primary);outline-offset:3px;border-radius:3px}
details .wide{margin-top:14px}
footer{margin-top:64px;color:var(--soft);font-size:13px}
@media(max-width:600px){main{padding:32px 16px 64px}h1{font-size:30px}.lead{font-size:17px}.facts{gap:16px 28px}.card{padding:16px 10px 8px}}
@media print{main{padding:0}.card{border:0;padding:0}details::details-content{content-visibility:visible}}`;

export const PAGE_STYLE = `${COLOURS}\n${CHART}\n${PAGE}`;
