// A report page as it is served while its run goes on: it may listen to its own server, and carries the script that does.
// The file on disk may ask for nothing. Pure.

const POLICY = '<meta http-equiv="Content-Security-Policy" content="';
const RUNTIME = /(<script type="text\/plain" id="runtime">)[^<]*(<\/script>)/;
const STYLE_OR_SCRIPT = /<style>[\s\S]*?<\/style>|<script>[\s\S]*?<\/script>/g;

/** The page with its right to listen, and what listens. */
export function served(page: string, version: number, script: string): string {
  return page
    .replace(POLICY, () => `${POLICY}connect-src &#39;self&#39;; `)
    .replace('<html lang="en">', () => `<html lang="en" data-version="${version}">`)
    .replace('</body>', () => `<script>${script}</script>\n</body>`);
}

/** What changes from version to version: the page without what never does, which is most of its bytes. */
export const changing = (page: string): string => page.replace(STYLE_OR_SCRIPT, '').replace(RUNTIME, '$1$2');
