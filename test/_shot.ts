import { chromium } from 'playwright-core';
const b = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox','--disable-gpu'] });
for (const name of process.argv.slice(2)) for (const dark of [false,true]) for (const w of [1280,390]) {
 const p = await b.newPage({ viewport: { width: w, height: 900 }, colorScheme: dark?'dark':'light' });
 p.on('console', m => { if (['error','warning'].includes(m.type())) console.log(name, m.text()); });
 await p.goto('file:///tmp/tp/'+name+'.html'); await p.waitForSelector('html[data-ready]');
 const f = p.locator('figure[data-chart]'); for (let i=0;i<await f.count();i++){ await f.nth(i).scrollIntoViewIfNeeded(); await f.nth(i).locator('.plot svg').waitFor(); }
 await p.waitForTimeout(200);
 console.log(name,dark,w, await p.evaluate('document.documentElement.scrollWidth - innerWidth'));
 await p.screenshot({ path: `/tmp/tp/${name}-${dark?'dark':'light'}-${w}.png`, fullPage: true }); await p.close();
}
await b.close();
