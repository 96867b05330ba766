// A file that only grows: lines are kept in memory and handed to the system now and then, never while somebody waits.
import { close, fstatSync, openSync, write, writeSync } from 'node:fs';
import { promisify } from 'node:util';

const writeSome = promisify(write);
const closeFile = promisify(close);

export class AppendFile {
  private readonly file: number;
  private lines = '';
  /** Encoded and not yet written: what is left of an earlier flush comes before newer lines. */
  private bytes: Buffer = Buffer.alloc(0);
  /** Of them, those that the system is writing now. */
  private underWay = 0;

  /** Empties a file of that name. */
  constructor(path: string) {
    this.file = openSync(path, 'w');
  }

  /** Somebody has removed the file: what is written to it is lost. */
  get isGone(): boolean {
    return fstatSync(this.file).nlink === 0;
  }

  /** Hot: once per record. */
  add(line: string): void {
    this.lines += line;
    this.lines += '\n';
  }

  /** What came so far is what `flush` writes. */
  take(): void {
    if (this.lines === '') return;
    const fresh = Buffer.from(this.lines);
    this.lines = '';
    this.bytes = this.bytes.length === 0 ? fresh : Buffer.concat([this.bytes, fresh]);
  }

  /** Rejects as the system does; what did not fit stays and is tried again. Not twice at once. */
  async flush(): Promise<void> {
    while (this.bytes.length > 0) {
      this.underWay = this.bytes.length;
      try {
        const { bytesWritten } = await writeSome(this.file, this.bytes, 0, this.underWay, null);
        this.bytes = this.bytes.subarray(bytesWritten);
      } finally {
        this.underWay = 0;
      }
    }
  }

  /** As the process ends: what a flush has handed over already is not written twice. */
  flushSync(): void {
    this.take();
    let rest = this.bytes.subarray(this.underWay);
    while (rest.length > 0) rest = rest.subarray(writeSync(this.file, rest));
    this.bytes = this.bytes.subarray(0, this.underWay);
  }

  async close(): Promise<void> {
    await closeFile(this.file);
  }
}
