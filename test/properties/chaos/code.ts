import type { View } from '../../../src/view.ts';
import { isCursed } from '../world/views.ts';
import type { Row } from './table.ts';

/** Deployed code. `broken`: no view can project anything. `limping`: this view cannot. */
export type Code = { readonly kind: 'good' | 'broken' } | { readonly kind: 'limping'; readonly view: string };

export const GOOD: Code = { kind: 'good' };

/** The views of the application in this code. Until they are mended they throw on cursed items. */
export function viewsOf(code: Code, views: readonly View[], bug: { readonly mended: boolean }): readonly View[] {
  return views.map((view) => ({
    ...view,
    project(item: unknown) {
      if (stumbles(code, view.name, !bug.mended && isCursed(view.name, item))) throw new Error(`${view.name} stumbles`);
      return view.project(item) as never;
    },
  }));
}

export function stumblesOver(code: Code, { cursed }: Row, view: string, bug: { readonly mended: boolean }): boolean {
  return stumbles(code, view, !bug.mended && cursed.has(view));
}

function stumbles(code: Code, view: string, isCursed: boolean): boolean {
  return isCursed || code.kind === 'broken' || (code.kind === 'limping' && code.view === view);
}
