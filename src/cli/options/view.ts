import type { Command } from 'commander';
import { viewsNamed } from '../../backfill/views-named.ts';
import type { View } from '../../view.ts';

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
  return viewsNamed(views, names, (name, known) => new Error(`--view ${name}: there is no such view: give ${known}`));
}
