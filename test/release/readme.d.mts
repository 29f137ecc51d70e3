/** The blocks of code in the README's section on applications: those that a reader copies. */
export function readmeApplication(): {
  /** By their names: `src/views.ts`, `src/handler.ts`, `src/api.ts` and `template.yaml`. */
  readonly files: Readonly<Record<string, string>>;
  /** The commands that install packages. */
  readonly commands: readonly string[];
};

/** An event of the table that the handler's views follow, with one customer. */
export const CUSTOMER_EVENT: { readonly Records: readonly object[] };
