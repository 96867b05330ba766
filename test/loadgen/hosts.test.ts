import { describe, expect, test } from 'vitest';
import { hostIsAllowed, refuseHosts } from '../../loadgen/hosts.ts';

describe('hosts of live runs', () => {
  test.each([
    'http://127.0.0.1:8000/v1',
    'http://127.8.9.1/v1',
    'http://localhost:1/v1',
    'http://a.localhost/v1',
    'http://[::1]:8000/v1',
    'http://[::ffff:127.0.0.1]/v1',
    // As URLs write it.
    'http://2130706433/v1',
  ])('%s is this machine', url => {
    expect(hostIsAllowed(url, [])).toBe(true);
  });

  test.each([
    'https://api.openai.com/v1',
    'http://10.0.0.1:8000/v1',
    'http://0.0.0.0:8000/v1',
    'http://127.0.0.1.example.com/v1',
    'http://localhost.example.com/v1',
    'http://[2001:db8::1]/v1',
    'nowhere',
  ])('%s is not, and needs a word in the deployment', url => {
    expect(hostIsAllowed(url, [])).toBe(false);
  });

  test('a host is allowed by its whole name, and names below one by *.suffix, which is not itself', () => {
    const allowed = ['Staging.Example.com', '*.corp.net', '2001:db8::1'];
    const yes = ['https://staging.example.com/v1', 'http://a.b.corp.net:1/v1', 'http://[2001:db8::1]/v1'];
    const no = ['https://x.staging.example.com/v1', 'https://corp.net/v1', 'https://evilcorp.net/v1'];
    expect(yes.map(url => hostIsAllowed(url, allowed))).toEqual([true, true, true]);
    expect(no.map(url => hostIsAllowed(url, allowed))).toEqual([false, false, false]);
  });

  test('what is refused is named, with what to add', () => {
    const addresses = [
      { url: 'http://127.0.0.1/v1', what: '--endpoint' },
      { url: 'https://staging.example.com/v1', what: 'pool "main"' },
    ];
    expect(() => refuseHosts(addresses, [], 'lab')).toThrow(
      expect.objectContaining({
        message: 'pool "main": staging.example.com is not on this machine, and "lab" does not allow it',
        hint: 'if you may load that host, add `allow_hosts: [staging.example.com]` to the deployment',
        exitCode: 104,
      }),
    );
    expect(() => refuseHosts(addresses, ['*.example.com'], 'lab')).not.toThrow();
  });
});
