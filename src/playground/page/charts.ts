import uPlot from 'uplot';
import type { Point } from '../wire.ts';

interface Series {
  readonly title: string;
  readonly unit: string;
  readonly value: (point: Point) => number;
}

const SERIES: readonly Series[] = [
  { title: 'Lag', unit: 'ms', value: ({ lagMs }) => lagMs },
  { title: 'Records', unit: 'a second', value: ({ records }) => records },
  { title: 'Calls of the cache', unit: 'a second', value: ({ roundTrips }) => roundTrips },
];

const HEIGHT = 110;

/** Draws three small charts into an element, and keeps them as wide as it. */
export function charts(root: HTMLElement): (points: readonly Point[]) => void {
  const dark = matchMedia('(prefers-color-scheme: dark)');
  let points: readonly Point[] = [];
  let plots: { plot: uPlot; series: Series; figure: HTMLElement; now: HTMLElement }[] = [];

  const draw = (): void => {
    for (const { plot } of plots) plot.destroy();
    root.replaceChildren();
    const style = getComputedStyle(document.documentElement);
    const colour = (name: string): string => resolved(style.getPropertyValue(name));
    const figures = SERIES.map((series) => {
      const figure = document.createElement('figure');
      const caption = document.createElement('figcaption');
      const now = document.createElement('strong');
      caption.append(`${series.title} `, now);
      figure.append(caption);
      return { series, figure, now };
    });
    // All of them first, because the width of each depends on how many there are.
    root.append(...figures.map(({ figure }) => figure));
    plots = figures.map(({ series, figure, now }) => {
      const axis = {
        stroke: colour('--soft'),
        grid: { stroke: colour('--line'), width: 1 },
        font: '11px system-ui',
        ticks: { show: false },
      };
      const plot = new uPlot(
        {
          width: Math.max(200, figure.clientWidth),
          height: HEIGHT,
          legend: { show: false },
          cursor: { show: false },
          scales: { x: { time: true }, y: { range: (_, __, max) => [0, Math.max(4, max * 1.15)] } },
          axes: [
            { ...axis, show: false },
            { ...axis, size: 44 },
          ],
          series: [{}, { stroke: colour('--accent'), fill: colour('--tint'), width: 1.5, points: { show: false } }],
        },
        [[], []],
        figure,
      );
      plot.root.setAttribute('aria-hidden', 'true');
      return { plot, series, figure, now };
    });
    update(points);
  };
  const update = (next: readonly Point[]): void => {
    points = next;
    for (const { plot, series, now } of plots) {
      plot.setData([points.map(({ at }) => at), points.map(series.value)]);
      const last = points.at(-1);
      now.textContent = last ? `${series.value(last)} ${series.unit}` : '';
    }
  };
  dark.addEventListener('change', draw);
  new ResizeObserver(() => {
    for (const { plot, figure } of plots) {
      if (figure.clientWidth > 0 && plot.width !== figure.clientWidth) plot.setSize({ width: figure.clientWidth, height: HEIGHT });
    }
  }).observe(root);
  draw();
  return update;
}

/** The colour that a canvas understands: it knows neither variables nor `light-dark()`. */
function resolved(value: string): string {
  const probe = document.createElement('span');
  probe.style.color = value;
  document.body.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}
