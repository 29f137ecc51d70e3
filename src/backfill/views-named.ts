import { type View, viewName } from '../view.ts';

/**
 * The views of some names, NAME or NAME@REVISION, in the order of the views. All views, where no names are given.
 *
 * @throws what `noView` makes of a name that is of no view, and of the names that there are
 */
export function viewsNamed(
  views: readonly View[],
  names: readonly string[] | undefined,
  noView: (name: string, known: string) => Error,
): readonly View[] {
  if (!names) return views;
  const matches = (view: View, name: string) => name === view.name || name === viewName(view);
  const unknown = names.find((name) => !views.some((view) => matches(view, name)));
  if (unknown !== undefined) throw noView(unknown, views.map(viewName).join(', '));
  return views.filter((view) => names.some((name) => matches(view, name)));
}
