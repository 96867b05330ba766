import { chromium } from 'playwright-core';
const b = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox','--disable-gpu'] });
const [name, theme, w] = process.argv.slice(2);
 const p = await b.newPage({ viewport: { width: Number(w), height: 1500 }, colorScheme: theme as 'dark' });
 await p.goto('file:///tmp/tp/'+name+'.html'); await p.waitForSelector('html[data-ready]');
 const f = p.locator('figure[data-chart]'); for (let i=0;i<await f.count();i++){ await f.nth(i).scrollIntoViewIfNeeded(); await f.nth(i).locator('.plot svg').waitFor(); }
 const h = Number(await p.evaluate('document.documentElement.scrollHeight'));
 for (let y=0,k=0;y<h;y+=1450,k++){ await p.evaluate(`scrollTo(0,${y})`); await p.waitForTimeout(150); await p.screenshot({ path: `/tmp/tp/v-${k}.png` }); }
await b.close();
