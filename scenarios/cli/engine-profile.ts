// Reads the engine profile that a pool's step names, and says what is wrong with it by file and key.
import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { type InputPath, type Issue, issue } from '../base/issue.ts';
import { type EngineProfile, engineProfileSchema } from '../formats/engine-profile.ts';
import { checkSchema } from '../formats/source.ts';

/** The profile in `file`, seen from `folder`; null and issues at `path` where it is none. */
export function readProfile(
  file: string,
  folder: string,
  path: InputPath,
): { profile: EngineProfile | null; issues: Issue[] } {
  const refuse = (code: string, message: string, hint: string | null) => ({
    profile: null,
    issues: [issue(path, code, message, hint)],
  });
  const at = resolve(folder, file);
  if (!existsSync(at))
    return refuse('WT1001', `there is no file ${file}`, "the path is seen from this file's folder");
  let content: unknown;
  try {
    content = JSON.parse(readFileSync(at, 'utf8'));
  } catch (error) {
    return refuse('WT1002', `${file}: ${(error as Error).message}`, 'an engine profile is a JSON file');
  }
  const { value, issues } = checkSchema(engineProfileSchema, content, []);
  const told = issues.map(({ path: key, code, message, hint }) =>
    issue(path, code, `${file}: ${key.length === 0 ? '' : `${key.join('.')}: `}${message}`, hint),
  );
  return { profile: value, issues: told };
}
