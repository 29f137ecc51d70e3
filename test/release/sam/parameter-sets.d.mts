type Sets = Readonly<Record<string, Readonly<Record<string, string>>>>;
type Environment = 'default' | 'network' | 'valkey' | 'prod' | 'shop';
export const PARAMETER_SETS: Readonly<Record<string, Sets>>;
export const FILLED_IN: Readonly<Record<Environment, Sets>>;
