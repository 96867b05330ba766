// A TestRun of the k6 operator: the script of an export on several pods, each with its share of the same sessions.

export interface TestRunParts {
  readonly name: string;
  readonly pods: number;
  /** Of all files. */
  readonly bytes: number;
  /** Environment variables that hold keys. */
  readonly keys: readonly string[];
  readonly sse: boolean;
}

/** A ConfigMap holds no more. */
const CONFIG_MAP_BYTES = 1_000_000;

export function testRun({ name, pods, bytes, keys, sse }: TestRunParts): string {
  const label = `windtunnel-${name.toLowerCase().replace(/[^a-z0-9]+/g, '-')}`
    .slice(0, 50)
    .replace(/-+$/, '');
  const fits = bytes <= CONFIG_MAP_BYTES;
  const source = fits
    ? ['    configMap:', `      name: ${label}`, '      file: script.ts']
    : ['    volumeClaim:', `      name: ${label}`, '      file: script.ts'];
  const how = fits
    ? `# kubectl create configmap ${label} --from-file=script.ts --from-file=plan.json --from-file=shared.txt`
    : `# The files are ${Math.ceil(bytes / 1e6)} MB, too large for a ConfigMap: copy them into the volume claim ${label}.`;
  return [
    `# The sessions of the plan on ${pods} pods: each runs its share, at the planned times. Written by \`windtunnel export k6\`.`,
    how,
    '# Thresholds are judged by every pod on its own sessions, and percentiles are those of one pod: k6 merges neither.',
    '# For figures of the whole run send the samples to one place (--out experimental-prometheus-rw or opentelemetry).',
    'apiVersion: k6.io/v1alpha1',
    'kind: TestRun',
    'metadata:',
    `  name: ${label}`,
    'spec:',
    `  parallelism: ${pods}`,
    '  script:',
    ...source,
    '  runner:',
    sse
      ? '    image: your-registry/k6-with-xk6-sse:latest # built with xk6: stock images have no k6/x/sse'
      : '    image: grafana/k6:1.8.1',
    ...(keys.length === 0 ? [] : ['    env:']),
    ...keys.flatMap(key => [
      `      - name: ${key}`,
      '        valueFrom:',
      '          secretKeyRef:',
      `            name: ${label}`,
      `            key: ${key}`,
    ]),
    '    resources:',
    '      requests: { cpu: "1", memory: 1Gi }',
    '',
  ].join('\n');
}
