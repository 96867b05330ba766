// Writes the page of a trace, where one is asked for. A rim: the only part of it that touches the disk.
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { UserError } from '../../scenarios/base/errors.ts';
import type { PublishTrace } from '../../scenarios/formats/trace-report.ts';
import { traceSummary } from './terminal.ts';

export const publishTrace: PublishTrace = async (trace, { page }) => {
  if (page !== null) {
    // Vega is heavy: loaded only to draw.
    const [{ tracePage }, { loadRuntime }] = await Promise.all([
      import('../trace-page.ts'),
      import('../runtime.ts'),
    ]);
    const text = tracePage(trace, await loadRuntime());
    try {
      await mkdir(dirname(page), { recursive: true });
      await writeFile(page, text);
    } catch (error) {
      throw new UserError(`cannot write ${page}: ${(error as Error).message}`, {
        hint: 'choose another --page',
      });
    }
  }
  return traceSummary(trace, { page });
};
