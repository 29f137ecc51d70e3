import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Command } from 'commander';
import { appViews } from '../../app.ts';
import { asError } from '../../errors.ts';
import { type View, viewName } from '../../view.ts';

/** The option that chooses the views. */
export interface ViewsChoice {
  readonly views?: string;
}

/** Containers of views in a module's exports are not nested deeper than this: `exports.default.views.detail`. */
const DEEPEST = 3;

/** Whether this code runs from an installed package, which contains the views of the sample and not those of the user. */
const isInstalledPackage = import.meta.url.includes('/node_modules/');

/** Whether these are the sample's views, in a package that its user cannot edit. */
export function areForeign({ views }: ViewsChoice): boolean {
  return views === undefined && isInstalledPackage;
}

/** Adds the option of `ViewsChoice`. */
export function addViewsOption(command: Command): Command {
  return command.option('--views <module>', 'JavaScript module that exports your views, ./views.js. Default: the views of src/views');
}

/**
 * The views of the module that `--views` names, else those of this code. An installed package has only the sample's views, and says so on stderr.
 *
 * @throws Error that says why the module gives no views, and the way out.
 */
export async function viewsOf(choice: ViewsChoice): Promise<readonly View[]> {
  if (choice.views !== undefined) return await loadViews(choice.views);
  if (areForeign(choice)) {
    process.stderr.write(
      'millrace: this installed package uses the views of its sample, a pizza shop. Give yours by --views ./views.js, a module that exports them.\n',
    );
  }
  return appViews;
}

async function loadViews(path: string): Promise<readonly View[]> {
  try {
    return viewsIn(await importModule(path));
  } catch (error) {
    throw new Error(`--views ${path}: ${(error as Error).message}`, { cause: error });
  }
}

async function importModule(path: string): Promise<Readonly<Record<string, unknown>>> {
  const file = resolve(path);
  const found = await stat(file).catch(() => undefined);
  if (!found) throw new Error('there is no such file: check the path');
  if (found.isDirectory()) throw new Error('it is a folder: give the module in it, such as index.js');
  // Node ends without a word if the module waits for something that never comes.
  const onExit = (): void => {
    process.stderr.write(`millrace: --views ${path}: it ended this process while it was loaded: correct its top-level await or exit\n`);
  };
  process.once('exit', onExit);
  try {
    return await import(pathToFileURL(file).href);
  } catch (error) {
    throw explained(asError(error), path);
  } finally {
    process.off('exit', onExit);
  }
}

/** The error of an import with the way out. */
function explained(error: NodeJS.ErrnoException, path: string): Error {
  const { code, message = String(error) } = error;
  const compile = `compile it: npx esbuild ${path} --bundle --packages=external --platform=node --format=esm --outfile=views.mjs, and give --views views.mjs`;
  const isTypeScript = /\.[mc]?tsx?$/.test(path);
  const [, packageName] = (code === 'ERR_MODULE_NOT_FOUND' && /^Cannot find package '([^']+)'/.exec(message)) || [];
  if (packageName !== undefined) return new Error(`it needs a package that is not installed: npm install ${packageName}`);
  if (code === 'ERR_UNKNOWN_FILE_EXTENSION' && /"\.[mc]?tsx?"/.test(message)) {
    const what = isTypeScript ? 'it is TypeScript' : 'it imports TypeScript';
    return new Error(
      `${what}, and Node ${process.version} does not strip the types of such a file. Use Node 22.18 or later (not for .tsx), or ${compile}`,
    );
  }
  if (isTypeScript && /^ERR_(INVALID_TYPESCRIPT_SYNTAX|UNSUPPORTED_|MODULE_NOT_FOUND)/.test(code ?? '')) {
    return new Error(
      `Node ${process.version} strips types only, and cannot load it (${message}): import files by their own names (./order.ts), or ${compile}`,
    );
  }
  return new Error(`it cannot be loaded (${message}): correct it`);
}

/** The views of a module: those in its export `views` if it has one, else those in all of its exports. */
function viewsIn(module: Readonly<Record<string, unknown>>): readonly View[] {
  const exportNames = new Map<View, string>();
  const visit = (value: unknown, name: string, depth: number): void => {
    if (isView(value)) {
      if (!exportNames.has(value)) exportNames.set(value, name);
      return;
    }
    if (!isContainer(value) || depth > DEEPEST) return;
    if (typeof (value as { project?: unknown }).project === 'function')
      throw new Error(`its export ${name} is no valid view: make it by documentView or listView of millrace`);
    for (const [key, part] of Object.entries(value)) visit(part, name === '' ? key : `${name}.${key}`, depth + 1);
  };
  visit('views' in module ? { views: module.views } : { ...module }, '', 0);
  if (exportNames.size === 0) {
    const names = Object.keys(module).filter((name) => name !== 'module.exports');
    const has = names.length > 0 ? `it exports ${names.join(', ')}` : 'it exports nothing';
    throw new Error(`${has}, and no views: export what documentView and listView of millrace return, such as export const views = { ... }`);
  }
  const byKeys = new Map<string, string>();
  for (const [view, name] of exportNames) {
    const other = byKeys.get(viewName(view));
    if (other !== undefined) {
      throw new Error(
        `its exports ${other} and ${name} have the same keys, ${viewName(view)}:…: give one of them another name or revision`,
      );
    }
    byKeys.set(viewName(view), name);
  }
  return [...exportNames.keys()];
}

/** An array, a plain object, or a module. Other objects, such as clients, have no views. */
function isContainer(value: unknown): value is object {
  if (typeof value !== 'object' || value === null) return false;
  return [Object.prototype, Array.prototype, null].includes(Object.getPrototypeOf(value));
}

/** Checks the form only: an application may have another copy of millrace, which made its views. */
function isView(value: unknown): value is View {
  if (typeof value !== 'object' || value === null) return false;
  const { kind, name, revision, entity, project, keep } = value as Partial<Record<keyof View | 'keep', unknown>>;
  const { owns, schema } = (entity ?? {}) as { owns?: unknown; schema?: { parse?: unknown } };
  const hasName = typeof name === 'string' && /^[\w-]+$/.test(name) && isPositive(revision);
  const hasCode = [project, owns, schema?.parse].every((part) => typeof part === 'function');
  return hasName && hasCode && (kind === 'document' || (kind === 'list' && isPositive(keep)));
}

function isPositive(value: unknown): boolean {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 1;
}
