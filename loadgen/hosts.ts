// Which hosts a live run may load: this machine, and those that the deployment allows. Whoever opens a connection to a
// host that a user named asks here first.
import { UserError } from '../scenarios/base/errors.ts';

/** Without the brackets of IPv6, in lower case. */
const hostOf = (url: string): string =>
  (URL.parse(url)?.hostname ?? '').replace(/^\[|\]$/g, '').toLowerCase();

/** 127.0.0.0/8, ::1 (as such, or as IPv4 inside), and names that mean nothing else [RFC 6761]. */
const isLoopback = (host: string): boolean =>
  host === 'localhost' ||
  host.endsWith('.localhost') ||
  /^127(\.\d{1,3}){3}$/.test(host) ||
  host === '::1' ||
  /^::ffff:(127\.|7f[0-9a-f]{2}:)/.test(host);

/** `allowed`: hosts, or *.suffix for all names below one. */
export function hostIsAllowed(url: string, allowed: readonly string[]): boolean {
  const host = hostOf(url);
  if (isLoopback(host)) return true;
  return allowed
    .map(each => each.toLowerCase())
    .some(each => (each.startsWith('*.') ? host.endsWith(each.slice(1)) : host === each));
}

/** A UserError for the first address that may not be loaded. `what` says where it stands. */
export function refuseHosts(
  addresses: readonly { url: string; what: string }[],
  allowed: readonly string[],
  deployment: string,
): void {
  const wrong = addresses.find(({ url }) => !hostIsAllowed(url, allowed));
  if (wrong === undefined) return;
  const host = hostOf(wrong.url);
  throw new UserError(
    `${wrong.what}: ${host} is not on this machine, and "${deployment}" does not allow it`,
    {
      hint: `if you may load that host, add \`allow_hosts: [${/:/.test(host) ? `"${host}"` : host}]\` to the deployment`,
    },
  );
}
