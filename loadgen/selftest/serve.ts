// The process of the deadline server: started by `child.ts`, ends with its parent.
import { listen } from './server.ts';

const { behaviour, zero } = JSON.parse(process.argv[2] as string);
const { port } = await listen(behaviour, zero);
process.once('disconnect', () => process.exit());
process.send?.({ port });
