// The workflow files that `init --ci` writes: the shape on every push, the simulation against its baseline, a comment.
import { version } from './version.ts';

export interface CiInput {
  /** As the commands take them, seen from the root of the repository. */
  readonly scenario: string;
  readonly deployment: string;
  /** Name of the baseline. */
  readonly name: string;
}

interface CiFile {
  readonly path: string;
  readonly text: string;
}

const PACKAGE = `agent-windtunnel@${version}`;

/** A name in a shell: our own files have none that needs quotes, a user's may. */
const quoted = (text: string): string =>
  /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replace(/'/g, `'\\''`)}'`;

const commandsOf = ({ scenario, deployment, name }: CiInput) => {
  const [file, on] = [quoted(scenario), quoted(deployment)];
  return {
    check: `npx --yes ${PACKAGE} check ${file} -d ${on} --gate --name ${name}`,
    simulate: `npx --yes ${PACKAGE} simulate ${file} -d ${on} --out windtunnel-runs/ci`,
    gate: `npx --yes ${PACKAGE} compare windtunnel-runs/ci --gate --baseline ${name}`,
  };
};

function github(input: CiInput): CiFile {
  const { check, simulate, gate } = commandsOf(input);
  const text = `# Did this change make the agents slower or dearer? Written by \`windtunnel init --ci github\`; change it as you like.
# The baselines are files: windtunnel baseline save RUN --name ${input.name}, and commit .windtunnel/baselines.
name: windtunnel
on:
  pull_request:
  push:
    branches: [main]
permissions:
  contents: read
  pull-requests: write
jobs:
  gate:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-node@v4
        with:
          node-version: 24
      - name: The shape, before anything runs
        run: ${check}
      - name: The simulation
        # An assertion that fails (99) is told by the gate, with everything else.
        run: ${simulate} || test $? -eq 99
      - name: The gate
        run: ${gate} --reporter junit=windtunnel-runs/junit.xml --reporter markdown=windtunnel-runs/gate.md
      - name: The comment
        if: always() && github.event_name == 'pull_request' && hashFiles('windtunnel-runs/gate.md') != ''
        env:
          GH_TOKEN: \${{ github.token }}
        run: gh pr comment \${{ github.event.number }} --edit-last --create-if-none --body-file windtunnel-runs/gate.md
      - uses: actions/upload-artifact@v4
        if: always()
        with:
          name: windtunnel
          path: windtunnel-runs
`;
  return { path: '.github/workflows/windtunnel.yml', text };
}

function gitlab(input: CiInput): CiFile {
  const { check, simulate, gate } = commandsOf(input);
  const text = `# Did this change make the agents slower or dearer? Written by \`windtunnel init --ci gitlab\`; change it as you like.
# Include it: add \`include: windtunnel.gitlab-ci.yml\` to .gitlab-ci.yml.
# The baselines are files: windtunnel baseline save RUN --name ${input.name}, and commit .windtunnel/baselines.
windtunnel:
  image: node:24
  script:
    - ${check}
    - ${simulate} || test $? -eq 99
    - ${gate} --reporter junit=windtunnel-runs/junit.xml --reporter openmetrics=windtunnel-runs/metrics.txt
  artifacts:
    when: always
    paths: [windtunnel-runs]
    reports:
      junit: windtunnel-runs/junit.xml
      metrics: windtunnel-runs/metrics.txt
`;
  return { path: 'windtunnel.gitlab-ci.yml', text };
}

/** Services whose workflow file can be written. */
export const CI_FILES = { github, gitlab } as const satisfies Record<string, (input: CiInput) => CiFile>;
export type CiService = keyof typeof CI_FILES;
