import type { Command } from 'commander';
import { type View, viewName } from '../../view.ts';

/** The option that chooses some of the views. */
export interface ViewChoice {
  readonly view?: readonly string[];
}

/** Adds the option of `ViewChoice`. */
export function addViewOption(command: Command): Command {
  return command.option(
    '--view <name>',
    'only this view, NAME or NAME@REVISION; may be repeated. Default: all views',
    (name: string, names: readonly string[] = []) => [...names, name],
  );
}

/** The chosen views, in their own order. @throws Error if a name is of no view */
export function chosenViews(views: readonly View[], { view: names }: ViewChoice): readonly View[] {
  if (!names) return views;
  const matches = (view: View, name: string) => name === view.name || name === viewName(view);
  const unknown = names.find((name) => !views.some((view) => matches(view, name)));
  if (unknown !== undefined) throw new Error(`--view ${unknown}: there is no such view: give ${views.map(viewName).join(', ')}`);
  return views.filter((view) => names.some((name) => matches(view, name)));
}
