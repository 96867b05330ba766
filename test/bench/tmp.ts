import { EVERYTHING, planned, play } from './gateway.ts';
import { DEPLOYMENT, deploymentOf } from '../builders/worlds.ts';
const off = deploymentOf(DEPLOYMENT('', undefined, 8, 'least-outstanding'));
const n = Number(process.argv[2] ?? 2000);
for (let i=0;i<Number(process.argv[3]??3);i++)
for (const d of process.argv[4]==="on" ? [{ ...off, gateway: EVERYTHING }] : [off, { ...off, gateway: EVERYTHING }]) {
  let calls=0;
  const t=process.cpuUsage();
  play(planned(n), d, () => {calls++});
  const c=process.cpuUsage(t);
  console.log(calls, (c.user/calls).toFixed(1));
}
