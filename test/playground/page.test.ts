import { writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import axe from 'axe-core';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Playground, startPlayground } from '../../src/playground/playground.ts';
import { TROUBLE_BUTTONS } from '../../src/playground/troubles.ts';
import { chromiumAvailable, HOW_TO_GET_CHROMIUM, startChromium } from '../servers/chromium.ts';
import { missing } from '../servers/requires.ts';
import { buildPage } from './built-page.ts';
import { memoryOptions } from './stage.ts';

const ROOT = join(import.meta.dirname, '../..');
const SHOTS = join(import.meta.dirname, 'screenshots');
const WIDE = { width: 1440, height: 900 };
const NARROW = { width: 360, height: 780 };

let built: ReturnType<typeof buildPage>;
let playground: Playground;

beforeAll(() => {
  built = buildPage();
});
afterAll(() => built?.remove());
beforeEach(async () => {
  playground = await startPlayground({ ...memoryOptions(), page: built.page, seed: true });
});
afterEach(() => playground?.close());

/** Asks the server with any headers. */
function ask(
  path: string,
  headers: Readonly<Record<string, string>>,
  body?: string,
): Promise<{ status: number; headers: unknown; text: string }> {
  const url = new URL(path, playground.url);
  return new Promise((resolve, reject) => {
    const sent = request(url, { method: body === undefined ? 'GET' : 'POST', headers }, (response) => {
      let text = '';
      response.on('data', (part) => {
        text += part;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }));
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

describe('the server of the playground', () => {
  const create = JSON.stringify({ do: 'create' });
  const json = { 'content-type': 'application/json' };

  it('listens on this machine only, and serves the page with a policy that loads nothing from elsewhere', async () => {
    expect(playground.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/$/);
    const { status, headers, text } = await ask('/', {});
    expect(status).toBe(200);
    expect(text).toContain('<div id="root">');
    expect(headers).toMatchObject({
      'content-security-policy': expect.stringMatching(/^default-src 'none'; script-src 'self'; style-src 'self'/),
    });
    expect(text + (await ask('/main.css', {})).text).not.toMatch(/(src|href|url\()\s*=?\s*["']?(https?:)?\/\//);
  });

  it.each(['/', '/main.js', '/events', '/do'])('refuses a foreign Host at %s', async (path) => {
    const { port } = new URL(playground.url);
    for (const host of ['example.com', `example.com:${port}`, '127.0.0.1', `127.0.0.1.example.com:${port}`]) {
      expect((await ask(path, { host, ...json }, path === '/do' ? create : undefined)).status).toBe(403);
    }
  });

  it('refuses a foreign Origin, and none where something would be done', async () => {
    const before = playground.world.items.size;
    const { origin } = new URL(playground.url);
    for (const foreign of ['https://example.com', 'null', origin.replace('http:', 'https:'), 'http://127.0.0.1:1']) {
      expect((await ask('/do', { origin: foreign, ...json }, create)).status).toBe(403);
      expect((await ask('/events', { origin: foreign })).status).toBe(403);
    }
    expect((await ask('/do', json, create)).status).toBe(403);
    expect((await ask('/', { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors' })).status).toBe(403);
    expect((await ask('/do', { origin, 'content-type': 'text/plain' }, create)).status).toBe(415);
    expect(playground.world.items.size).toBe(before);
    expect((await ask('/do', { origin, ...json }, create)).status).toBe(200);
    expect(playground.world.items.size).toBe(before + 1);
  });

  it('answers what it does not know, and what is too large, with an error', async () => {
    const { origin } = new URL(playground.url);
    const post = (body: string) => ask('/do', { origin, ...json }, body);
    expect(await post('{"do":"nothing"}')).toMatchObject({ status: 400, text: expect.stringContaining('does not know') });
    expect(await post('no JSON')).toMatchObject({ status: 400 });
    expect(await post(`{"do":"write","item":{"pk":"${'x'.repeat(500_000)}"}}`)).toMatchObject({ status: 400 });
    expect(await post('{"do":"write","item":{"pk":"order#1"}}')).toMatchObject({ status: 400, text: expect.stringContaining('sk') });
    expect((await ask('/../package.json', {})).status).toBe(404);
  });
});

describe.skipIf(missing(chromiumAvailable(), HOW_TO_GET_CHROMIUM))('the page of the playground', () => {
  let browser: Browser;
  let page: Page;
  let faults: string[];

  beforeAll(async () => {
    browser = await startChromium();
  });
  afterAll(() => browser?.close());
  beforeEach(async () => {
    page = await browser.newPage({ viewport: WIDE, colorScheme: 'light' });
    faults = [];
    page.on('pageerror', ({ message }) => faults.push(message));
    page.on('console', (message) => {
      if (message.type() === 'error') faults.push(message.text());
    });
    page.on('request', (request) => {
      if (!request.url().startsWith(playground.url) && !request.url().startsWith('data:')) faults.push(`asks for ${request.url()}`);
    });
    await page.goto(playground.url);
    await page.waitForSelector('[data-entry^="detail@1:"]');
  });
  afterEach(async () => {
    await page?.close();
    expect(faults).toEqual([]);
  });

  const shoot = (name: string, fullPage = false) => page.screenshot({ path: join(SHOTS, `${name}.png`), fullPage });
  /** Saves an image for the README. Chromium takes no screenshots in the small format, but its canvas writes it. */

  const draw = async (name: string): Promise<void> => {
    const shot = (await page.screenshot()).toString('base64');
    const canvas = await browser.newPage();
    const url = await canvas.evaluate(`(async () => {
      const image = await createImageBitmap(await (await fetch('data:image/png;base64,${shot}')).blob());
      const canvas = Object.assign(document.createElement('canvas'), { width: image.width, height: image.height });
      canvas.getContext('2d').drawImage(image, 0, 0);
      return canvas.toDataURL('image/webp', 0.6);
    })()`);
    await canvas.close();
    writeFileSync(join(ROOT, 'docs/images', `${name}.webp`), Buffer.from(String(url).split(',')[1] ?? '', 'base64'));
  };
  const scoreOf = async (id: string) => {
    const [wrong, ever] = await Promise.all(['data-wrong', 'data-ever'].map((name) => page.getAttribute(`[data-score=${id}]`, name)));
    return { wrong: Number(wrong), ever: Number(ever) };
  };
  const trouble = async (id: string): Promise<string> => {
    await page.click(`[data-trouble="${id}"]`);
    await page.waitForSelector(`[data-told="${id}"][data-done="yes"]`, { timeout: 40_000 });
    return (await page.textContent(`[data-told="${id}"]`)) ?? '';
  };
  const withWorkshop = async (): Promise<void> => {
    await page.click('[data-workshop]');
    await page.waitForSelector('[data-score=theirs]');
  };
  const findings = async (): Promise<readonly string[]> => {
    // Axe takes colours in the middle of a transition for those that stay.
    await page.waitForTimeout(700);
    await page.evaluate(axe.source);
    const { violations } = (await page.evaluate('axe.run(document, { resultTypes: ["violations"] })')) as {
      violations: readonly { id: string; impact: string; nodes: readonly { html: string }[] }[];
    };
    return violations
      .filter(({ impact }) => impact === 'serious' || impact === 'critical')
      .map(({ id, nodes }) => `${id}: ${nodes[0]?.html}`);
  };
  /** Visible elements that reach beyond the right edge, outside of what scrolls by itself. */
  const cutOff = async (): Promise<unknown> =>
    await page.evaluate(`[...document.querySelectorAll('body *')]
      .filter((element) => !element.closest('.hidden, .flight, .uplot') && !element.parentElement.closest('.line'))
      .filter((element) => { const box = element.getBoundingClientRect(); return box.width > 0 && (box.right > innerWidth + 0.5 || box.left < -0.5); })
      .map((element) => element.outerHTML.slice(0, 120))
      .concat(document.documentElement.scrollWidth > innerWidth ? ['the page scrolls sideways'] : [])`);

  it('shows each trouble: ours stays equal to the table, the usual worker does not', async () => {
    await withWorkshop();
    for (const { id, before } of TROUBLE_BUTTONS) {
      expect(await page.textContent(`#t-${id}`)).toBe(before);
      const told = await trouble(id);
      expect(told).toContain(before);
      expect(told.length).toBeGreaterThan(before.length + 40);
      expect(told).not.toContain('could not be done');
      if (id === 'poison') {
        await page.waitForSelector('[data-do=redrive]:not([disabled])');
        await shoot('trouble-poison-letter');
        await page.click('[data-do=mend]');
        await page.waitForSelector('[data-do=mend][disabled]');
        await page.click('[data-do=redrive]');
        await page.waitForSelector('[data-do=redrive]', { state: 'detached' });
      }
      await playground.world.settled();
      await page.waitForTimeout(700);
      await shoot(`trouble-${id}`);
      expect({ id, ...(await scoreOf('ours')) }).toEqual({ id, wrong: 0, ever: 0 });
    }
    expect((await scoreOf('theirs')).wrong).toBeGreaterThan(5);
    expect(await page.locator('td.wrong').count()).toBeGreaterThan(5);
    await shoot('troubles', true);
    await page.emulateMedia({ colorScheme: 'dark' });
    await page.waitForTimeout(500);
    await shoot('troubles-dark', true);
    await page.setViewportSize(NARROW);
    await page.waitForTimeout(500);
    expect(await cutOff()).toEqual([]);
    await shoot('troubles-narrow-dark', true);
  }, 180_000);

  it('writes, edits and deletes items with forms that are made from the schemas', async () => {
    await page.getByRole('button', { name: 'New order…' }).click();
    const form = page.locator('dialog form');
    for (const name of ['pk', 'sk', 'id', 'createdAt', 'status', 'numItems', 'items', 'creator', 'lastUpdated']) {
      await form.locator(`[name=${name}]`).waitFor();
    }
    await form.locator('[name=pk]').fill('order#77');
    await form.locator('[name=id]').fill('77');
    await form.locator('[name=creator]').fill('zoe');
    await form.locator('[name=items]').fill('[');
    await form.getByRole('button', { name: 'Write to the table' }).click();
    await page.getByText('items is not JSON').waitFor();
    await form.locator('[name=items]').fill('[]');
    await shoot('form');
    await form.getByRole('button', { name: 'Write to the table' }).click();
    await page.waitForSelector('[data-entry="detail@1:77"]');
    await page.waitForSelector('[data-entry="orders@1:creator:zoe"]');
    await page.getByRole('button', { name: 'Edit order#77 order' }).click();
    await form.locator('[name=creator]').fill('yan');
    await form.getByRole('button', { name: 'Write to the table' }).click();
    await page.waitForSelector('[data-entry="orders@1:creator:yan"]');
    await page.getByRole('button', { name: 'Delete order#77 order' }).click();
    await page.locator('[data-entry="detail@1:77"]', { hasText: 'gone' }).waitFor();
    expect(await scoreOf('ours')).toEqual({ wrong: 0, ever: 0 });
  });

  it('shows the history of an entry, with the records that were stale', async () => {
    await trouble('disorder');
    const { id } = [...playground.world.items.values()].at(-1) ?? {};
    await page.click(`[data-entry="detail@1:${id}"]`);
    await page.locator('dialog').getByText('stale').first().waitFor();
    await page.getByRole('button', { name: 'Evict it' }).click();
    await page.locator('dialog').getByText('was dropped').waitFor();
    await page.getByRole('button', { name: 'Read it' }).click();
    await page.locator('dialog').getByText('the table answers').waitFor();
    await page.getByRole('button', { name: 'Read it' }).click();
    await page.locator('dialog').getByText('the cache answers').waitFor();
    await shoot('history');
    await page.keyboard.press('Escape');
    await page.waitForSelector('dialog:not([open])', { state: 'attached' });
  });

  it('shows values as text, whatever they are', async () => {
    const evil = '<script>window.hurt=1</script><img src=x onerror="window.hurt=1">';
    await playground.world.write({
      ...{ pk: `order#${evil}`, sk: 'order', id: evil, createdAt: '2026-01-31T18:00:00Z', numItems: 0, items: [] },
      ...{ status: evil, creator: evil, [evil]: evil },
    });
    await page.locator('[data-item]', { hasText: evil }).first().waitFor();
    await page.locator('[data-view="detail@1"]', { hasText: evil }).first().waitFor();
    await page.locator('[data-view="orders@1"]', { hasText: evil }).first().waitFor();
    await page.locator('[data-view="detail@1"] [data-entry]', { hasText: evil }).first().click();
    await page.locator('dialog', { hasText: evil }).waitFor();
    await page.keyboard.press('Escape');
    expect(await page.evaluate('[window.hurt, document.querySelectorAll("#root script, #root img").length]')).toEqual([undefined, 0]);
  });

  it.each([
    ['light', WIDE],
    ['dark', WIDE],
    ['light', NARROW],
    ['dark', NARROW],
  ] as const)('has no serious finding of axe, and nothing cut off (%s, %o)', async (colorScheme, size) => {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    await page.setViewportSize(size);
    await withWorkshop();
    playground.world.caption = { step: 1, steps: 2, title: 'A title', text: 'A text of the story.' };
    for (const id of ['twice', 'poison']) await trouble(id);
    await page.waitForTimeout(600);
    expect(await findings()).toEqual([]);
    expect(await cutOff()).toEqual([]);
    await shoot(`page-${size.width}-${colorScheme}`, true);
    await page.locator('[data-entry^="detail@1:"]').first().click();
    await page.waitForSelector('dialog[open]');
    expect(await findings()).toEqual([]);
    expect(await cutOff()).toEqual([]);
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: 'New order…' }).click();
    await page.waitForSelector('dialog form');
    expect(await findings()).toEqual([]);
    expect(await cutOff()).toEqual([]);
    await shoot(`form-${size.width}-${colorScheme}`);
  });

  it('can be used with the keyboard alone, and says what happened', async () => {
    const before = playground.world.items.size;
    for (let i = 0; i < 10; i += 1) {
      await page.keyboard.press('Tab');
      if ((await page.evaluate('document.activeElement.textContent.trim()')) === 'Write an item') break;
    }
    await page.keyboard.press('Enter');
    await page.locator('.told [aria-live=polite]', { hasText: 'A new item was written' }).waitFor();
    expect(playground.world.items.size).toBe(before + 1);
    await page.focus('[data-trouble=twice]');
    await page.keyboard.press('Space');
    await page.locator('.told [aria-live=polite]', { hasText: 'The record came twice' }).waitFor();
  });

  it('moves records from column to column', async () => {
    await page.click('text=Write an item');
    await page.waitForSelector('.flight', { state: 'attached' });
    await page.waitForSelector('.flight', { state: 'detached' });
  });

  it('stays smooth at 200 records a second', async () => {
    await withWorkshop();
    await page.fill('#rate', '200');
    await page.click('[data-evening]');
    await page.waitForTimeout(1_000);
    const before = playground.world.counts.records;
    const frames = await page.evaluate(`new Promise((resolve) => {
      const begun = performance.now();
      let frames = 0;
      const step = () => { frames += 1; if (performance.now() - begun > 4_000) resolve(frames / 4); else requestAnimationFrame(step); };
      requestAnimationFrame(step);
    })`);
    const records = (playground.world.counts.records - before) / 4;
    await shoot('evening');
    await page.click('[data-evening]');
    await playground.world.settled();
    await page.waitForTimeout(800);
    console.log({ frames, records });
    expect(records).toBeGreaterThan(120);
    expect(frames).toBeGreaterThan(12);
    expect(await scoreOf('ours')).toEqual({ wrong: 0, ever: 0 });
    expect((await scoreOf('theirs')).wrong).toBeGreaterThan(0);
  });

  it.runIf(process.env.UPDATE_IMAGES)('draws the images of the README', { timeout: 120_000 }, async () => {
    await page.setViewportSize({ width: 1320, height: 820 });
    await page.click('[data-story]');
    await page.locator('.caption', { hasText: 'Each change travels through the stream' }).waitFor({ timeout: 20_000 });
    await page.waitForSelector('.flight', { state: 'attached' });
    await page.waitForTimeout(150);
    await draw('playground-story');
    await page.locator('.caption', { hasText: 'The worker dies' }).waitFor({ timeout: 60_000 });
    await page.setViewportSize({ width: 1320, height: 1_060 });
    await page.waitForTimeout(6_000);
    await draw('playground-compare');
    await page.emulateMedia({ colorScheme: 'dark' });
    await page.setViewportSize({ width: 390, height: 820 });
    await page.waitForTimeout(1_000);
    await draw('playground-narrow');
  });

  it('tells the story with captions', async () => {
    await page.click('[data-story]');
    await page.locator('.caption', { hasText: 'A table, and a cache beside it' }).waitFor();
    await page.locator('.caption', { hasText: 'Each change travels through the stream' }).waitFor({ timeout: 20_000 });
    await page.waitForTimeout(1_500);
    await shoot('story');
  });
});
