import type { Move } from '../wire.ts';

const MS = 650;
const MOST = 16;
/** Of a number in flight, px. */
const HEIGHT = 24;
let flying = 0;

/** Lets the numbers of records fly from column to column. People who want less motion see the changes in the columns only. */
export function fly(moves: readonly Move[]): void {
  if (matchMedia('(prefers-reduced-motion: reduce)').matches || document.hidden) return;
  for (const { number, from, views } of moves) {
    const targets = from === 'table' ? ['stream'] : views.map((view) => `view-${view}`);
    for (const target of targets) flyOne(number, from, target);
  }
}

function flyOne(number: number, from: string, to: string): void {
  const [start, end] = [place(from), place(to)];
  if (!start || !end || flying >= MOST) return;
  const chip = document.createElement('span');
  chip.className = 'flight';
  chip.setAttribute('aria-hidden', 'true');
  chip.textContent = `#${number}`;
  document.body.append(chip);
  flying += 1;
  const at = ({ x, y }: Place): string => `translate(${x}px, ${y}px)`;
  const animation = chip.animate(
    [
      { transform: at(start), opacity: 0.2 },
      { transform: at(start), opacity: 1, offset: 0.15 },
      { transform: at(end), opacity: 1, offset: 0.85 },
      { transform: at(end), opacity: 0 },
    ],
    { duration: MS, easing: 'ease-in-out' },
  );
  animation.onfinish = animation.oncancel = () => {
    chip.remove();
    flying -= 1;
  };
}

interface Place {
  readonly x: number;
  readonly y: number;
}

/** Where a column or a view is, if it can be seen. */
function place(name: string): Place | undefined {
  const element = document.querySelector(`[data-place="${CSS.escape(name)}"]`);
  if (!element) return undefined;
  const box = element.getBoundingClientRect();
  // What is scrolled out of its column is beyond the column's edge.
  const around = element.closest('.scroll')?.getBoundingClientRect();
  const top = around ? Math.min(Math.max(box.top, around.top), around.bottom - HEIGHT) : box.top;
  if (top < 0 || top > innerHeight) return undefined;
  return { x: Math.min(innerWidth - 60, box.right - 64), y: top + 4 };
}
