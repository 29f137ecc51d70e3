export interface Suggestion {
  readonly number: number;
  readonly section: string;
  readonly name: string;
}
export function suggestionsIn(text: string): readonly Suggestion[];
export function uncomment(text: string, numbers: readonly number[], values?: Readonly<Record<string, string>>): string;
export function fill(text: string, environment: string, values: Readonly<Record<string, string>>): string;
export function overridesOf(entries: readonly string[]): Record<string, string>;
