// Certificates made for a test by openssl: an authority, and what it signs for this machine.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Certificates {
  /** Path of the PEM file of `ca`, `server`, `client`, and with -key of their keys. */
  path(name: string): string;
  pem(name: string): string;
  remove(): void;
}

export function makeCertificates(): Certificates {
  const folder = mkdtempSync(join(tmpdir(), 'windtunnel-tls-'));
  const path = (name: string): string => join(folder, `${name}.pem`);
  const certify = (name: string, subject: string, authority?: string): void => {
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
    const signed =
      authority === undefined
        ? []
        : [
            '-addext',
            'subjectAltName=DNS:localhost,IP:127.0.0.1',
            '-CA',
            path(authority),
            '-CAkey',
            path(`${authority}-key`),
          ];
    const files = ['-keyout', path(`${name}-key`), '-out', path(name)];
    const args = ['req', '-x509', ...key, '-days', '2', '-subj', subject, ...files, ...signed];
    execFileSync('openssl', args, { stdio: 'pipe' });
  };
  certify('ca', '/CN=an authority');
  certify('server', '/CN=localhost', 'ca');
  certify('client', '/CN=a client', 'ca');
  return {
    path,
    pem: name => readFileSync(path(name), 'utf8'),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
