// The lines of samconfig.toml that are commented out, because only its user knows the value.

/** `  # "Name=value",` and nothing else. */
const SUGGESTION = /^( *)# ("(\w+)=[^"]*",)$/;

/** Line number, section (`prod.deploy.parameters`) and parameter of each line that is commented out. */
export function suggestionsIn(text) {
  let section = '';
  return text.split('\n').flatMap((line, number) => {
    section = /^\[([\w.]+)\]$/.exec(line)?.[1] ?? section;
    const name = SUGGESTION.exec(line)?.[3];
    return name === undefined ? [] : [{ number, section, name }];
  });
}

/** The text with these lines, by number, as its user would uncomment them. `values` replaces the values that it suggests, by parameter. */
export function uncomment(text, numbers, values = {}) {
  const lines = text.split('\n');
  for (const number of numbers) {
    lines[number] = lines[number].replace(SUGGESTION, (_, indent, entry, name) =>
      name in values ? `${indent}"${name}=${values[name]}",` : indent + entry,
    );
  }
  return lines.join('\n');
}

/** The text with a value for each of these parameters of an environment. @throws Error when no line suggests a parameter. */
export function fill(text, environment, values) {
  const suggested = suggestionsIn(text).filter(({ section }) => section === `${environment}.deploy.parameters`);
  const numbers = Object.keys(values).map((name) => {
    const line = suggested.find((it) => it.name === name);
    if (!line) throw new Error(`${environment} suggests no ${name}`);
    return line.number;
  });
  return uncomment(text, numbers, values);
}

/** The parameters in a list of `Name=value`. As with sam, the last value of a name counts. */
export function overridesOf(entries) {
  return Object.fromEntries(entries.map((entry) => [entry.slice(0, entry.indexOf('=')), entry.slice(entry.indexOf('=') + 1)]));
}
