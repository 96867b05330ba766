// Manifests that run our own queue on Kubernetes: workers as a Deployment, the command that asks as a Job with a volume
// for its results, the two input files in a ConfigMap, and a NetworkPolicy. Secrets are named, never written.
import { dnsName, heading, yamlFile } from '../../engines/operators/operator-file.ts';
import { UserError } from '../../scenarios/base/errors.ts';

export interface Distributed {
  /** Base of every name. */
  readonly name: string;
  readonly namespace: string | null;
  /** Address of Redis, without credentials. */
  readonly queue: string;
  /** With this very version in it. */
  readonly image: string;
  readonly workers: number;
  /** Words of the command and its own options: sweep, --vary, … */
  readonly run: readonly string[];
  /** The files, by the names they are mounted under. */
  readonly files: Readonly<Record<string, string>>;
  /** Base URLs that a replay sends to. */
  readonly endpoints: readonly string[];
}

/** Commands that take `--queue`. */
const RUNS = ['sweep', 'size', 'replay'];
/** A ConfigMap holds no more than 1 MiB. */
const CONFIG_MAP_BYTES = 1_000_000;
/** What a worker finishes before its pod goes: cases are packed to a few seconds, a long one takes longer. */
const GRACE_SEC = 120;
/** A user of no account; what it writes belongs to its group. */
const USER_ID = 10_001;

const SECRET = 'windtunnel-queue';
const CA_PATH = '/queue/ca.crt';

type Fields = Record<string, unknown>;

/** The manifests as one file; a UserError where they could not run. */
export function distributedManifests(parts: Distributed): { text: string; needs: readonly string[] } {
  const redis = addressOf(parts.queue);
  const [command = ''] = parts.run;
  if (!RUNS.includes(command))
    throw new UserError(`--run ${command}: the queue runs ${RUNS.join(', ')}`, {
      hint: `e.g. --run 'sweep --vary pools.main.replicas=1..8'`,
    });
  const bytes = Object.values(parts.files).reduce((sum, text) => sum + text.length, 0);
  if (bytes > CONFIG_MAP_BYTES)
    throw new UserError(`the files have ${Math.ceil(bytes / 1e6)} MB, and a ConfigMap holds 1`, {
      hint: 'put them into the image, or on a volume',
    });
  const base = dnsName(`windtunnel-${parts.name}`, 40);
  const isTls = parts.queue.startsWith('rediss:');
  const metadata = (role: string): Fields => ({
    name: role === '' ? base : `${base}-${role}`,
    ...(parts.namespace === null ? {} : { namespace: parts.namespace }),
    labels: labelsOf(base, role),
  });
  const common = { base, isTls, image: parts.image };
  const manifests = [
    { apiVersion: 'v1', kind: 'ConfigMap', metadata: metadata('inputs'), data: parts.files },
    {
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      metadata: metadata('results'),
      spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '5Gi' } } },
    },
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: metadata('worker'),
      spec: {
        replicas: parts.workers,
        selector: { matchLabels: labelsOf(base, 'worker') },
        template: {
          metadata: { labels: labelsOf(base, 'worker') },
          spec: {
            ...podOf(common, ['worker', '--queue', parts.queue], []),
            terminationGracePeriodSeconds: GRACE_SEC,
            topologySpreadConstraints: [
              {
                maxSkew: 1,
                topologyKey: 'kubernetes.io/hostname',
                whenUnsatisfiable: 'ScheduleAnyway',
                labelSelector: { matchLabels: labelsOf(base, 'worker') },
              },
            ],
          },
        },
      },
    },
    {
      apiVersion: 'batch/v1',
      kind: 'Job',
      metadata: metadata('coordinator'),
      spec: {
        backoffLimit: 3,
        template: {
          metadata: { labels: labelsOf(base, 'coordinator') },
          spec: { ...podOf(common, coordinatorWords(parts), [INPUTS, RESULTS]), restartPolicy: 'Never' },
        },
      },
    },
    {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: metadata(''),
      spec: {
        podSelector: { matchLabels: { 'app.kubernetes.io/instance': base } },
        policyTypes: ['Ingress', 'Egress'],
        // Nothing comes in.
        ingress: [],
        egress: [DNS, ...unique([redis, ...endpointAddresses(parts)]).map(egressTo)],
      },
    },
  ];
  const secret = `--from-file=password=FILE --from-file=user=FILE --from-file=key=FILE${isTls ? ' --from-file=ca.crt=FILE' : ''}`;
  const inNamespace = parts.namespace === null ? '' : ` -n ${parts.namespace}`;
  const needs = [
    `the Secret ${SECRET}: kubectl create secret generic ${SECRET} ${secret}${inNamespace}`,
    'of it, `password` and `user` where Redis asks for them, `key` to sign what workers are sent',
    ...(isTls
      ? ['`ca.crt` as well; where a public authority signed for Redis, take WINDTUNNEL_QUEUE_CA out']
      : []),
    `the image ${parts.image}, of the version that wrote this file`,
    'a network plugin that keeps NetworkPolicies',
  ];
  const title = `${parts.name}: \`windtunnel ${parts.run.join(' ')}\` on ${parts.workers} workers. Written by \`windtunnel export k8s\`. kubectl apply -f FILE`;
  return { text: yamlFile(heading(title, needs, []), manifests), needs };
}

const labelsOf = (base: string, role: string): Fields => ({
  'app.kubernetes.io/name': 'windtunnel',
  'app.kubernetes.io/instance': base,
  ...(role === '' ? {} : { 'app.kubernetes.io/component': role }),
});

function coordinatorWords({ run: [command = '', ...own], files, queue }: Distributed): string[] {
  const [scenario, deployment] = Object.keys(files);
  return [
    command,
    `/inputs/${scenario}`,
    ...(deployment === undefined ? [] : ['-d', `/inputs/${deployment}`]),
    ...own,
    '--queue',
    queue,
    '--out',
    `/results/${command}`,
  ];
}

// ---- pods -------------------------------------------------------------------------------------------------------

interface Volume {
  readonly volume: (base: string) => Fields;
  readonly mount: Fields;
}

const INPUTS: Volume = {
  volume: base => ({ name: 'inputs', configMap: { name: `${base}-inputs` } }),
  mount: { name: 'inputs', mountPath: '/inputs', readOnly: true },
};
const RESULTS: Volume = {
  volume: base => ({ name: 'results', persistentVolumeClaim: { claimName: `${base}-results` } }),
  mount: { name: 'results', mountPath: '/results' },
};
/** The root is read-only: workers unpack inputs into /tmp. */
const SCRATCH: Volume = {
  volume: () => ({ name: 'scratch', emptyDir: { sizeLimit: '10Gi' } }),
  mount: { name: 'scratch', mountPath: '/tmp' },
};
const CA: Volume = {
  volume: () => ({
    name: 'queue-ca',
    secret: { secretName: SECRET, items: [{ key: 'ca.crt', path: 'ca.crt' }] },
  }),
  mount: { name: 'queue-ca', mountPath: '/queue', readOnly: true },
};

function podOf(
  { base, isTls, image }: { base: string; isTls: boolean; image: string },
  args: readonly string[],
  more: readonly Volume[],
): Fields {
  const volumes = [SCRATCH, ...more, ...(isTls ? [CA] : [])];
  const fromSecret = (name: string, key: string): Fields => ({
    name,
    valueFrom: { secretKeyRef: { name: SECRET, key, optional: true } },
  });
  return {
    automountServiceAccountToken: false,
    securityContext: {
      runAsNonRoot: true,
      runAsUser: USER_ID,
      runAsGroup: USER_ID,
      fsGroup: USER_ID,
      seccompProfile: { type: 'RuntimeDefault' },
    },
    containers: [
      {
        name: 'windtunnel',
        image,
        command: ['windtunnel'],
        args,
        workingDir: '/tmp',
        env: [
          { name: 'HOME', value: '/tmp' },
          fromSecret('WINDTUNNEL_QUEUE_PASSWORD', 'password'),
          fromSecret('WINDTUNNEL_QUEUE_USER', 'user'),
          fromSecret('WINDTUNNEL_QUEUE_KEY', 'key'),
          ...(isTls ? [{ name: 'WINDTUNNEL_QUEUE_CA', value: CA_PATH }] : []),
        ],
        resources: { requests: { cpu: '2', memory: '2Gi' }, limits: { memory: '4Gi' } },
        securityContext: {
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ['ALL'] },
        },
        volumeMounts: volumes.map(({ mount }) => mount),
      },
    ],
    volumes: volumes.map(({ volume }) => volume(base)),
  };
}

// ---- who may be reached -----------------------------------------------------------------------------------------

interface Address {
  readonly host: string;
  readonly port: number;
}

function addressOf(queue: string): Address {
  const url = URL.parse(queue);
  if (url === null || !/^rediss?:$/.test(url.protocol) || url.hostname === '')
    throw new UserError(`--queue ${queue.replace(/\/\/[^@/]*@/, '//')}: expected the address of Redis`, {
      hint: 'e.g. --queue rediss://redis.data.svc:6380',
    });
  if (url.username !== '' || url.password !== '')
    throw new UserError('--queue has a user or a password in it', {
      hint: `they stand in the Secret ${SECRET}: give the address alone`,
    });
  return { host: url.hostname, port: Number(url.port || 6379) };
}

const endpointAddresses = ({ run, endpoints }: Distributed): Address[] =>
  run[0] !== 'replay'
    ? []
    : endpoints.flatMap(text => {
        const url = URL.parse(text);
        if (url === null) return [];
        return [{ host: url.hostname, port: Number(url.port || (url.protocol === 'https:' ? 443 : 80)) }];
      });

const unique = (addresses: readonly Address[]): Address[] => [
  ...new Map(addresses.map(each => [`${each.host}:${each.port}`, each])).values(),
];

const DNS = {
  to: [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'kube-system' } } }],
  ports: [
    { protocol: 'UDP', port: 53 },
    { protocol: 'TCP', port: 53 },
  ],
};

/** As narrow as a name allows: a Service's namespace, an address, or any host at that port. */
function egressTo({ host, port }: Address): Fields {
  const ports = [{ protocol: 'TCP', port }];
  const isIp = /^\d+\.\d+\.\d+\.\d+$/.test(host);
  if (isIp) return { to: [{ ipBlock: { cidr: `${host}/32` } }], ports };
  if (!host.includes('.') && !host.startsWith('[')) return { to: [{ podSelector: {} }], ports };
  const namespace = /^[a-z0-9-]+\.([a-z0-9-]+)(\.svc(\..*)?)?$/.exec(host)?.[1];
  const isService = namespace !== undefined && (host.includes('.svc') || host.split('.').length === 2);
  if (!isService) return { ports };
  return {
    to: [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': namespace } } }],
    ports,
  };
}
