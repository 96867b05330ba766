// The page, block by block, in the order that a planner reads: the answer, what it could be, how it went, why, what it
// costs, whether to believe it. A new section is a file beside this one and its name in a line here.
import { quoted, shellWords } from '../../scenarios/base/shell-words.ts';
import { type Html, html } from '../html.ts';
import { evidenceSection, trustSection } from './accuracy.ts';
import { errorSection, inputSection, methodSection } from './appendix.ts';
import { comparedSection, comparisonHeader } from './compare.ts';
import { frontierSection, loadSection } from './frontier.ts';
import { anomalySection, costSection, gatewaySection, goodputSection } from './governed-sections.ts';
import { clientSection, serverSection } from './measured-sections.ts';
import { breakEvenSection, hybridSection } from './money.ts';
import {
  countSection,
  distributionSection,
  partSection,
  provenanceSection,
  replicaSection,
  runHeader,
  timelineSection,
  tokenSection,
  waterfallSection,
  whereTimeGoesSection,
} from './run-sections.ts';
import { sweepSection } from './sweep.ts';
import {
  accuracySection,
  bothWorldsSection,
  sideBySideSection,
  validationSection,
} from './validation-sections.ts';
import type { Missing, Section, View } from './view.ts';
import { whySection } from './why-section.ts';

export interface Block {
  /** Anchor and deep link. */
  readonly id: string;
  readonly title: string;
  /** About all runs of the page, once. */
  readonly sections: readonly Section[];
  /** About one run, once for each: the selector says which is seen. */
  readonly runSections: readonly Section[];
  /** What is said where no section has anything to show. */
  readonly missing: (view: View) => Missing;
}

/** The command of the run, to add options to. */
const commandOf = ({ run }: View): string => run.header.command;

const isSimulated = ({ run }: View): boolean => run.header.world === 'sim';

export const BLOCKS: readonly Block[] = [
  {
    id: 'verdict',
    title: 'Verdict',
    sections: [validationSection, comparisonHeader],
    runSections: [runHeader, provenanceSection],
    missing: () => ({ why: 'the run has no verdict', command: null }),
  },
  {
    id: 'frontier',
    title: 'Frontier',
    sections: [frontierSection],
    runSections: [],
    missing: view => ({
      why: 'one run is one point; a frontier needs the same scenario on other deployments, on one page',
      command: `${commandOf(view)} --set pools.POOL.replicas=4 --out windtunnel-runs/four && windtunnel report RUN windtunnel-runs/four --out both.html`,
    }),
  },
  {
    id: 'load-curve',
    title: 'Load curve',
    sections: [loadSection],
    runSections: [],
    missing: view => ({
      why: 'one run is one load; a curve needs the same scenario at several rates',
      command: `windtunnel bench-policies ${scenarioOf(view)}`,
    }),
  },
  {
    id: 'distributions',
    title: 'Distributions',
    sections: [bothWorldsSection],
    runSections: [distributionSection, goodputSection],
    missing: view => ({
      why: 'no call and no workflow came back whole, so there is nothing to time',
      command: commandOf(view),
    }),
  },
  {
    id: 'timeline',
    title: 'Time line',
    sections: [],
    runSections: [timelineSection, replicaSection, gatewaySection],
    missing: view => ({ why: 'the run has no samples of the cluster', command: commandOf(view) }),
  },
  {
    id: 'explorer',
    title: 'Workflow explorer',
    sections: [],
    runSections: [waterfallSection],
    missing: view => ({ why: 'no workflow started', command: commandOf(view) }),
  },
  {
    id: 'where-time-goes',
    title: 'Where the time goes',
    sections: [],
    runSections: [whereTimeGoesSection, whySection, tokenSection, partSection],
    missing: view => ({ why: 'no workflow completed', command: commandOf(view) }),
  },
  {
    id: 'money',
    title: 'Money',
    sections: [hybridSection],
    runSections: [costSection, breakEvenSection],
    missing: view => ({
      why: 'no price is known of what served this run',
      command: `${commandOf(view)} --set pools.POOL.price=3.39/h`,
    }),
  },
  {
    id: 'sweep',
    title: 'Sweep',
    sections: [sweepSection],
    runSections: [],
    missing: view => ({
      why: 'fewer than three runs of this page differ in their settings; make some, then report them together',
      command: `${commandOf(view)} --set pools.POOL.replicas=2 --out windtunnel-runs/two`,
    }),
  },
  {
    id: 'accuracy',
    title: 'Accuracy',
    sections: [trustSection, accuracySection],
    runSections: [evidenceSection, clientSection, serverSection],
    missing: view => ({
      why: isSimulated(view)
        ? 'nothing was measured beside this simulation'
        : 'nothing was simulated beside this measurement',
      command: `windtunnel validate ${scenarioOf(view)}`,
    }),
  },
  {
    id: 'compare',
    title: 'Compare',
    sections: [comparedSection, sideBySideSection],
    runSections: [],
    missing: () => ({
      why: 'there is one run on this page',
      command: 'windtunnel compare BASELINE-RUN THIS-RUN',
    }),
  },
  {
    id: 'appendix',
    title: 'Errors and appendix',
    sections: [],
    runSections: [countSection, errorSection, anomalySection, inputSection, methodSection],
    missing: view => ({ why: 'no call ran', command: commandOf(view) }),
  },
];

/** The scenario and deployment of the run as its command names them: `job-scanner -d h100.yaml`. */
export function scenarioOf({ run }: View): string {
  const words = shellWords(run.header.command).slice(2).map(quoted);
  const firstOption = words.findIndex(word => word.startsWith('-') && !['-d', '--deployment'].includes(word));
  return (firstOption < 0 ? words : words.slice(0, firstOption)).join(' ');
}

const shownOf = (sections: readonly Section[], view: View): Html[] =>
  sections.map(section => section(view)).filter(section => section !== null);

const missingLine = ({ why, command }: Missing): Html =>
  html`<p class="absent">Nothing here: ${why}.${command !== null && html` Try <code>${command}</code>`}</p>`;

/** What a block says of all runs, and what of each, in order; never nothing. */
export function blockBody(
  block: Block,
  view: View,
  views: readonly View[],
): { overall: Html | null; each: (Html | null)[] } {
  const shown = shownOf(block.sections, view);
  const overall = shown.length > 0 ? html`${shown}` : null;
  if (block.runSections.length === 0) {
    return { overall: overall ?? missingLine(block.missing(view)), each: views.map(() => null) };
  }
  const each = views.map(own => {
    const sections = shownOf(block.runSections, own);
    if (sections.length > 0) return html`${sections}`;
    return overall === null ? missingLine(block.missing(own)) : null;
  });
  return { overall, each };
}
