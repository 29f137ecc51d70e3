/** The tables of docs/costs.md, and what follows from its assumptions. */

export const CHANGES = [1, 10, 100, 1_000] as const;
export const BATCHES = [1, 10, 100] as const;

/** Cells of all tables whose first heading is `heading`. */
export function tableOf(text: string, heading: string): readonly (readonly string[])[] {
  const [, after = ''] = text.split(`\n| ${heading} |`);
  const lines = after.split('\n').slice(2);
  const end = lines.findIndex((line) => !line.startsWith('|'));
  return lines.slice(0, end).map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

/** Numbers by symbol, one for each batch size or one for all. */
export function numbersOf(text: string, heading: string): Readonly<Record<string, readonly number[]>> {
  return Object.fromEntries(
    tableOf(text, heading).map(([symbol = '', value = '']) => [symbol.replaceAll('`', ''), value.split(',').map((part) => Number(part))]),
  );
}

/** The rows of the table of costs. */
export function costs(text: string): readonly (readonly string[])[] {
  const [assumed, prices] = [numbersOf(text, 'symbol'), numbersOf(text, 'price')];
  const price = (name: string): number => numberOf(prices, name, 0);
  const value = (name: string, batch: number): number => numberOf(assumed, name, batch);
  return CHANGES.flatMap((million) =>
    BATCHES.map((batch, i) => {
      const changes = million * 1e6;
      const invocations = changes / batch;
      const lambda = (ms: number) =>
        (invocations / 1e6) * price('request') + ((invocations * ms) / 1_000) * value('memory', i) * price('gbSecond');
      const logs = ((invocations * value('logBytes', i)) / 1e9) * price('logGb');
      const monitoring = value('metrics', i) * price('metric') + value('alarmMetrics', i) * price('alarmMetric') + price('dashboard');
      const valkey = value('storedGb', i) * 730 * price('valkeyGbHour') + ((changes * value('ecpu', i)) / 1e6) * price('ecpuMillion');
      const lists = value('sharedLists', i) / batch + value('ownLists', i);
      const bytes = (value('documents', i) * value('documentKib', i) + lists * value('listKib', i)) * 1_024;
      const momento = ((changes * bytes) / 1e9) * price('momentoGb');
      const [withValkey, withMomento] = [lambda(value('valkeyMs', i)), lambda(value('momentoMs', i))];
      const all = [withValkey + logs + monitoring + valkey, withMomento + logs + monitoring + momento];
      const amounts = [withValkey, withMomento, logs, monitoring, valkey, momento, ...all];
      return [million.toLocaleString('en-US'), String(batch), ...amounts.map(shown)];
    }),
  );
}

function numberOf(numbers: Readonly<Record<string, readonly number[]>>, name: string, batch: number): number {
  const number = numbers[name]?.[batch] ?? numbers[name]?.[0];
  if (number === undefined || Number.isNaN(number)) throw new Error(`docs/costs.md has no ${name}`);
  return number;
}

/** Small amounts with cents, others without. */
function shown(usd: number): string {
  return usd < 10 ? usd.toFixed(2) : Math.round(usd).toLocaleString('en-US');
}
