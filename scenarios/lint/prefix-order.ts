// A prefix cache matches from the left: what changes often, in front of what does not, makes all behind it miss.
import type { PrefixFile } from '../formats/scenario.ts';
import type { Segment, Workflow } from '../workflows/program.ts';
import { eachStep } from '../workflows/program.ts';
import { expectedAmount } from './expected.ts';
import { defineLint, type Finding, quoted, shortCount } from './lint.ts';

/** How few calls share a segment: a higher number is shared by fewer. */
const SCOPE_RANK: Record<Segment['scope'], number> = {
  global: 0,
  workflow: 1,
  tenant: 1,
  user: 2,
  session: 3,
  task: 4,
};
const SHARED_BY: Record<Segment['scope'], string> = {
  global: 'all calls',
  workflow: 'all calls of the workflow',
  tenant: 'all calls of a tenant',
  user: 'all calls of a user',
  session: 'all calls of a session',
  task: 'all calls of a task',
};

export const prefixOrder = defineLint('WT2001', function* ({ file, workflows }): Generator<Finding> {
  const prefixes = file.prefixes ?? {};
  for (const workflow of workflows.values()) {
    yield* misordered(workflow.prefix, ['workflows', workflow.name, 'prefix'], prefixes, workflow);
    const lists: { segments: readonly Segment[]; path: Finding['path'] }[] = [];
    eachStep(workflow.steps, step => {
      if (step.verb === 'llm' && step.prefix !== null)
        lists.push({ segments: step.prefix, path: [...step.at, 'prefix'] });
    });
    for (const { segments, path } of lists) yield* misordered(segments, path, prefixes, workflow);
  }
});

/** The first segment of a list that stands in front of one that more calls share. */
function* misordered(
  segments: readonly Segment[],
  path: Finding['path'],
  prefixes: Readonly<Record<string, PrefixFile>>,
  { params }: Workflow,
): Generator<Finding> {
  // What is not worth keeping after the call is as good as new in the next session.
  const rank = (segment: Segment): number =>
    Math.max(
      SCOPE_RANK[segment.scope],
      prefixes[segment.name]?.retention === 'ephemeral' ? SCOPE_RANK.session : 0,
    );
  for (const [index, volatile] of segments.entries()) {
    const behind = segments.slice(index + 1).filter(each => rank(each) < rank(volatile));
    if (behind.length === 0) continue;
    const lost = behind.reduce((sum, each) => sum + (expectedAmount(each.tokens, true, params) ?? 0), 0);
    const sorted = segments.toSorted((a, b) => rank(a) - rank(b)).map(each => each.name);
    const widest = behind.toSorted((a, b) => rank(a) - rank(b))[0] as Segment;
    const kind = prefixes[volatile.name]?.retention === 'ephemeral' ? 'ephemeral' : `scope ${volatile.scope}`;
    yield {
      path: [...path, index],
      message:
        `"${volatile.name}" (${kind}) stands in front of ${quoted(behind.map(each => each.name))}, which ` +
        `${SHARED_BY[widest.scope]} could share: up to ${shortCount(lost)} tokens of a call miss the cache`,
      hint: `put what is shared most in front: prefix: [${sorted.join(', ')}]`,
    };
    return;
  }
}
