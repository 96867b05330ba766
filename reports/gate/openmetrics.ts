// OpenMetrics text, as GitLab's `metrics` report and Prometheus' textfile collector read it.
import type { GateReport } from './report.ts';

const escapeLabel = (text: string): string =>
  text.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n');

/** Base units of OpenMetrics: seconds and ratios. */
function inBaseUnit(value: number, unit: string): { value: number; unit: string } {
  if (unit === 'ms') return { value: value / 1000, unit: 'seconds' };
  return { value, unit };
}

export function openMetrics({ name, checks, status }: GateReport): string {
  const lines: string[] = ['# TYPE windtunnel_figure gauge', '# HELP windtunnel_figure A figure of a run.'];
  for (const check of checks) {
    if (check.value === null) continue;
    const { value, unit } = inBaseUnit(check.value, check.unit);
    const labels = { gate: name, figure: check.name, unit };
    const shown = Object.entries(labels).map(([key, label]) => `${key}="${escapeLabel(label)}"`);
    lines.push(`windtunnel_figure{${shown.join(',')}} ${value}`);
  }
  lines.push(
    '# TYPE windtunnel_gate_pass gauge',
    '# HELP windtunnel_gate_pass 1 where the gate holds.',
    `windtunnel_gate_pass{gate="${escapeLabel(name)}"} ${status === 'fail' ? 0 : 1}`,
    '# EOF',
    '',
  );
  return lines.join('\n');
}
