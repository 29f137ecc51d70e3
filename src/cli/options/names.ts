import { ConfigurationError } from '../../errors.ts';

/**
 * Parses a configuration. The faults of a variable that came from an option name the option instead.
 *
 * @param optionOf the option of each such variable.
 * @throws ConfigurationError
 */
export function inOptionNames<T>(optionOf: Readonly<Record<string, string>>, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    const [title, ...faults] = error.message.split('\n  ');
    const renamed = faults.map((fault) => fault.replace(/^[A-Z_]+/, (name) => optionOf[name] ?? name));
    const ofOptions = renamed.filter((fault, i) => fault !== faults[i]).length;
    if (ofOptions === 0) throw error;
    const what = ofOptions === faults.length ? 'the options are wrong:' : `the options are wrong, and ${title}`;
    throw new ConfigurationError([what, ...renamed].join('\n  '));
  }
}
