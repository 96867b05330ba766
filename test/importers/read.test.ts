// Reading traces from disk: files and folders, refusals, and the counts of the shared samples.
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { afterAll, describe, expect, test } from 'vitest';
import { UserError } from '../../scenarios/base/errors.ts';
import { emptyTally } from '../../scenarios/importers/importer.ts';
import { readTrace, traceSessions } from '../../scenarios/importers/read.ts';
import { isServegen } from '../../scenarios/importers/servegen/read.ts';

const root = new URL('../../', import.meta.url);
const at = (path: string): string => fileURLToPath(new URL(path, root)).replaceAll('\\', '/');
const fixture = (name: string): string => at(`test/fixtures/weka/${name}`);

function refusal(run: () => unknown): UserError {
  try {
    run();
  } catch (error) {
    if (error instanceof UserError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

describe('readTrace', () => {
  test('reads a folder by name, counts what is unreadable and renames repeated ids with their blocks', () => {
    const { sessions, report } = readTrace([at('test/fixtures/weka')]);
    expect(new Set(sessions.map(session => session.id)).size).toBe(sessions.length);
    const names = sessions.map(session => session.source.replace(/^.*\//, ''));
    expect(names).toEqual(names.toSorted());
    const again = sessions.filter(session => session.id.startsWith('first'));
    expect(again.map(session => session.blockScope)).toEqual(['weka/first', 'weka/first~2', 'weka/first~3']);
    expect(report.format).toBe('weka');
    expect(report.totals.sessions).toBe(sessions.length);
    expect(report.unreadable.map(part => part.where)).toContain(fixture('truncated.json'));
    expect(report.warnings.join('\n')).toMatch(/1 of 13 sessions are resumed.*--warm/);
  });

  test('refuses a missing path, a folder without traces and a trace with nothing readable', () => {
    expect(refusal(() => readTrace([at('nowhere.json')]))).toMatchObject({
      exitCode: 104,
      hint: expect.any(String),
    });
    expect(refusal(() => readTrace([at('test/importers')])).message).toMatch(/no \*\.json/);
    expect(refusal(() => readTrace([fixture('truncated.json')])).message).toMatch(
      /truncated\.json: not valid JSON/,
    );
    expect(refusal(() => readTrace([at('tsconfig.json')])).message).toMatch(/no importer recognises/);
  });

  test('with strict, the first unreadable part is an error that names file and row', () => {
    const error = refusal(() => readTrace([fixture('bad-rows.json')], { strict: true }));
    expect(error.message).toMatch(/bad-rows\.json, request 2: out is 0.*\(and 6 more\)/);
    expect(error.exitCode).toBe(104);
  });

  test('names formats that are known but not built', () => {
    const files = [fixture('resumed.json')];
    expect(refusal(() => readTrace(files, { format: 'blis' })).message).toBe(
      'format blis is known but its importer is not built yet',
    );
    expect(refusal(() => readTrace(files, { format: 'parchment' })).hint).toMatch(/weka/);
    expect(readTrace(files, { format: 'weka' }).sessions).toHaveLength(1);
  });

  test('reads the sample in the library', () => {
    const { report } = readTrace([at('scenarios/library/traces/claude-code-session.json')], { strict: true });
    expect(report.totals).toMatchObject({ sessions: 1, calls: 8, inputTokens: 251_667, outputTokens: 3535 });
  });
});

describe('streaming', () => {
  const folder = mkdtempSync(join(tmpdir(), 'windtunnel-read-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const written = (name: string, content: string | Uint8Array): string => {
    writeFileSync(join(folder, name), content);
    return join(folder, name);
  };
  const row = (id: string, input_length = 100): string =>
    JSON.stringify({ session_id: id, input_length, output_length: 1, hash_ids: [0] });

  test('characters that two chunks share, a byte order mark, CRLF and a last line without an end are read right', () => {
    // Ids of two-, three- and four-byte characters, so that every border of 1 MiB falls inside some.
    const ids = Array.from({ length: 40_000 }, (_, index) => `é${'日本𝛌'.repeat(index % 7)}${index}`);
    const text = `\uFEFF${ids.map(id => row(id)).join('\r\n')}`;
    const bytes = new TextEncoder().encode(text);
    expect(bytes.length).toBeGreaterThan(3 << 20);
    const { sessions, report } = readTrace([written('wide.jsonl', bytes)], { strict: true });
    expect(sessions.map(session => session.id)).toEqual(ids);
    expect(report.totals.calls).toBe(40_000);
  });

  test('lines are numbered as an editor numbers them, blank ones included', () => {
    const path = written('blank.jsonl', `\n${row('a')}\n\n   \n{"input_length": 0}\n${row('b')}\n`);
    const { sessions, report } = readTrace([path]);
    expect(sessions).toHaveLength(2);
    expect(report.unreadable.map(part => part.where)).toEqual([`${path}:5`]);
  });

  test('sessions come out as they complete, before the rest of the file is looked at', () => {
    const at = (timestamp: number, id: number): string =>
      JSON.stringify({ timestamp, input_length: 600, output_length: 1, hash_ids: [id, id + 1] });
    const path = written('idle.jsonl', [at(0, 0), at(1, 10), at(2_000_000, 20), '{cut'].join('\n'));
    const tally = emptyTally();
    const sessions = traceSessions([path], {}, tally);
    expect(sessions.next().value).toMatchObject({ id: 'idle:1' });
    expect(tally.totals.sessions).toBe(1);
    expect(tally.unreadable).toEqual([]);
    expect([...sessions].map(session => session.id)).toEqual(['idle:2', 'idle:3']);
    expect(tally.unreadable).toHaveLength(1);
  });

  test('a Weka JSONL is read a session at a time, whatever comes behind', () => {
    const [line = ''] = readFileSync(fixture('sessions.jsonl'), 'utf8').split('\n');
    const sessions = traceSessions([written('weka.jsonl', `${line}\n{"requests`)], {}, emptyTally());
    expect(sessions.next().value).toMatchObject({ id: 'first' });
  });

  test('at most 1000 unreadable parts are listed, and all are counted', () => {
    const path = written('broken.jsonl', `${row('a')}\n${'{"input_length": 0}\n'.repeat(1500)}`);
    const { report } = readTrace([path]);
    expect(report.unreadable).toHaveLength(1000);
    expect(report.warnings.at(-1)).toMatch(/^1500 parts .* the first 1000 of them listed$/);
    expect(refusal(() => readTrace([path], { strict: true })).message).toMatch(
      /broken\.jsonl:2: input_length is 0.*\(and 1499 more\)/,
    );
  });

  test('a folder may hold several formats, and files of one name in two folders are kept apart', () => {
    const fixtures = ['mooncake', 'azure', 'vidur'].map(name => at(`test/fixtures/${name}`));
    const { sessions, report } = readTrace([...fixtures, at('test/fixtures/mooncake')]);
    expect(report.format).toBe('mooncake, azure, vidur');
    expect(new Set(sessions.map(session => session.id)).size).toBe(sessions.length);
    const scopes = new Set(sessions.map(session => session.blockScope));
    expect(scopes).toContain('mooncake/file:two-chats');
    expect(scopes).toContain('mooncake/file:two-chats~2');
  });

  test('a repeated session_id gets an id of its own and stays in the blocks of its file', () => {
    const files = [written('one.jsonl', row('same')), written('two.jsonl', row('same'))];
    const { sessions, report } = readTrace(files);
    expect(sessions.map(({ id, blockScope }) => [id, blockScope])).toEqual([
      ['same', 'mooncake/file:one'],
      ['same~2', 'mooncake/file:two'],
    ]);
    expect(report.warnings.join()).toMatch(/1 sessions repeat an id/);
  });

  test('an id that begins with the name of its file is still told apart', () => {
    const turn = (session_id: string): string => JSON.stringify({ session_id, text: 'hello' });
    const path = written('claude.jsonl', ['claude:a', 'codex:a', 'claude:a'].map(turn).join('\n'));
    expect(readTrace([path]).sessions.map(({ id }) => id)).toEqual(['claude:a', 'codex:a', 'claude:a~2']);
  });

  test('one document beyond 256 MB is refused with the way to stream it', () => {
    const path = written('huge.json', '{"requests": [');
    truncateSync(path, 2 ** 28 + 1);
    const error = refusal(() => readTrace([path], { format: 'weka' }));
    expect(error.message).toMatch(/one document of 257 MB; the limit is 256 MB/);
    expect(error.hint).toMatch(/JSONL is streamed/);
  });

  test('a compressed trace is refused with the way to unpack it', () => {
    const error = refusal(() => readTrace([written('rows.jsonl.gz', gzipSync(row('a')))]));
    expect(error.message).toMatch(/rows\.jsonl\.gz is compressed/);
    expect(error.hint).toMatch(/^unpack it first: gunzip -k .*rows\.jsonl\.gz$/);
  });

  test('UTF-16 text, as PowerShell writes it, is refused with what to do', () => {
    const error = refusal(() =>
      readTrace([written('wide.csv', Buffer.from(`\uFEFF${row('a')}`, 'utf16le'))]),
    );
    expect(error.message).toMatch(/wide\.csv is UTF-16 text/);
    expect(error.hint).toMatch(/save it as UTF-8/);
  });

  test('a subfolder is passed over, whatever it is called', () => {
    mkdirSync(join(folder, 'nested', 'old.jsonl'), { recursive: true });
    written('nested/rows.jsonl', row('a'));
    written('nested/old.jsonl/rows.jsonl', row('b'));
    expect(readTrace([join(folder, 'nested')]).sessions.map(({ id }) => id)).toEqual(['a']);
  });

  test.skipIf(process.platform === 'win32')(
    'a pipe, which gives its bytes once, is refused and not waited for; so is what the disk refuses',
    () => {
      const pipe = join(folder, 'pipe.jsonl');
      execFileSync('mkfifo', [pipe]);
      expect(refusal(() => readTrace([pipe])).message).toMatch(
        /pipe\.jsonl is no file but a pipe or a device/,
      );
      symlinkSync('loop', join(folder, 'loop'));
      for (const path of [join(folder, 'loop'), 'x'.repeat(5000)]) {
        expect(refusal(() => readTrace([path])).message).toMatch(/^cannot read .*(ELOOP|ENAMETOOLONG)/);
        expect(refusal(() => isServegen([path])).message).toMatch(/^cannot read /);
      }
    },
  );

  test('a log that was cut out of a longer one begins inside a row, and is recognised by the next', () => {
    const cut = row('lost').slice(9);
    const { sessions, report } = readTrace([written('cut.jsonl', `${cut}\n${row('a')}\n`)]);
    expect(sessions.map(({ id }) => id)).toEqual(['a']);
    expect(report.unreadable).toMatchObject([{ where: expect.stringMatching(/cut\.jsonl:1$/) }]);
    const [line = ''] = readFileSync(fixture('sessions.jsonl'), 'utf8').split('\n');
    const sessionsOf = (name: string) =>
      readTrace([written(name, `${line.slice(9)}\n${line}\n`)]).sessions.map(({ id }) => id);
    expect(sessionsOf('cut-weka.jsonl')).toEqual(['first']);
    expect(sessionsOf('cut-weka.json')).toEqual(['first']);
  });

  test('what JSON reads but cannot write, nested too deeply, is named like any bad row', () => {
    const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
    const bad = [deep, `{"input_length":${deep}}`].join('\n');
    const { report } = readTrace([written('deep.jsonl', `${row('a')}\n${bad}\n`)]);
    expect(report.unreadable.map(({ why }) => why)).toEqual([
      'is nested too deeply, not an object',
      expect.stringMatching(/^input_length is nested too deeply, expected/),
    ]);
    const turn = { messages: [{ role: 'user', content: 'x' }], tools: [{ a: 'DEEP' }] };
    const graph = JSON.stringify({ session_id: 'a', turns: [turn] }).replace('"DEEP"', deep);
    const error = refusal(() => readTrace([written('deep-graph.jsonl', graph)]));
    expect(error.message).toMatch(/turns\[0\]: it is nested too deeply/);
  });

  test('what is quoted from a trace neither steers a terminal nor fills it', () => {
    const hostile = `\u001b[31m\u009b2J\u202e${'x'.repeat(5000)}`;
    const path = written('quoted.csv', `TIMESTAMP,${hostile}\n1,2\n`);
    const error = refusal(() => readTrace([path], { format: 'azure' }));
    expect(error.message).toMatch(
      /no column ContextTokens, GeneratedTokens; there are TIMESTAMP, \uFFFD\[31m/,
    );
    expect(error.message).not.toMatch(/[\p{Cc}\p{Cf}]/u);
    expect(error.message.length).toBeLessThan(1000);
  });

  test('an empty trace and a binary file are refused', () => {
    for (const content of ['', '\n\n', new Uint8Array([0, 255, 7, 10, 200])]) {
      const error = refusal(() => readTrace([written('odd.jsonl', content)]));
      expect(error.message).toMatch(/no importer recognises its format/);
      expect(error.hint).toMatch(/formats that can be read: weka, .*mooncake/);
    }
    const header = written('none.csv', 'TIMESTAMP,ContextTokens,GeneratedTokens\n');
    expect(refusal(() => readTrace([header])).message).toMatch(/no sessions in .*none\.csv/);
  });
});

// Counted independently (EXPECTED.tsv beside the samples): an infinite cache, in file order.
const samples = '../shared/data/traces/weka-claude-code';
describe.skipIf(!existsSync(at(samples)))(
  'the shared Weka samples (skipped where ../shared is absent)',
  () => {
    test('flat: totals as expected', () => {
      const { report } = readTrace([at(`${samples}/flat`)], { strict: true });
      expect(report.subagents).toBe(0);
      expect(report.totals).toEqual({
        sessions: 17,
        calls: 209,
        inputTokens: 13_038_377,
        outputTokens: 149_748,
        hitBlocks: 181_497,
        hitTokens: 11_688_095,
      });
      expect(report.provenance.gap).toEqual({ recorded: 166, inferred: 43, defaulted: 0 });
    });

    test('subagents: totals as expected, and siblings start together', () => {
      const { sessions, report } = readTrace([at(`${samples}/subagents`)], { strict: true });
      expect(report.subagents).toBe(5);
      expect(report.totals).toEqual({
        sessions: 2,
        calls: 135,
        inputTokens: 8_995_395,
        outputTokens: 92_690,
        hitBlocks: 131_189,
        hitTokens: 8_458_161,
      });
      const firsts = sessions.map(session => session.calls.filter(call => /^agent_\d+\/0$/.test(call.id)));
      expect(firsts[0]!.map(call => call.recorded.startMs)).toEqual([78_257, 78_257, 78_257]);
      expect(firsts.flat().every(call => call.gapMs < 1000)).toBe(true);
    });

    test('tails and outputs add between 0.15 and 1.6 % of hit tokens', () => {
      for (const folder of ['flat', 'subagents']) {
        const { totals } = readTrace([at(`${samples}/${folder}`)]).report;
        const added = totals.hitTokens / (totals.hitBlocks * 64) - 1;
        expect(added).toBeGreaterThan(0.0015);
        expect(added).toBeLessThan(0.016);
      }
    });
  },
);
