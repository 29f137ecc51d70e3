/**
 * The value of a CloudWatch math expression in one period. `undefined`: the period has no data.
 *
 * Knows arithmetic, comparisons, AND, OR, IF and FILL. An operation on missing data has no value, except that FILL replaces it.
 * Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html
 *
 * @throws Error when the expression names an unknown id, or is not understood.
 */
export function evaluateMath(expression: string, data: Readonly<Record<string, number | undefined>>): number | undefined {
  const tokens = expression.match(/[\w.]+|>=|<=|==|!=|[-+*/(),<>]/g) ?? [];
  if (tokens.join('') !== expression.replaceAll(' ', '')) throw new Error(`cannot read ${expression}`);
  let at = 0;
  const next = () => tokens[at++] ?? '';
  const expect = (token: string) => {
    const found = next();
    if (found !== token) throw new Error(`${token} is missing before "${found}" in ${expression}`);
  };

  type Operation = (a: number, b: number) => number;
  const leftToRight = (operations: Readonly<Record<string, Operation>>, operand: () => number | undefined) => () => {
    let left = operand();
    for (let operation = operations[tokens[at] ?? '']; operation; operation = operations[tokens[at] ?? '']) {
      at += 1;
      const right = operand();
      left = left === undefined || right === undefined ? undefined : operation(left, right);
    }
    return left;
  };

  const product = leftToRight({ '*': (a, b) => a * b, '/': (a, b) => a / b }, operand);
  const sum = leftToRight({ '+': (a, b) => a + b, '-': (a, b) => a - b }, product);
  const comparison = leftToRight(
    {
      '>': (a, b) => Number(a > b),
      '<': (a, b) => Number(a < b),
      '>=': (a, b) => Number(a >= b),
      '<=': (a, b) => Number(a <= b),
      '==': (a, b) => Number(a === b),
      '!=': (a, b) => Number(a !== b),
    },
    sum,
  );
  const and = leftToRight({ AND: (a, b) => Number(a !== 0 && b !== 0) }, comparison);
  const or = leftToRight({ OR: (a, b) => Number(a !== 0 || b !== 0) }, and);

  function operand(): number | undefined {
    const token = next();
    if (token === '(') {
      const value = or();
      expect(')');
      return value;
    }
    if (tokens[at] === '(') return call(token);
    if (/^[\d.]+$/.test(token)) return Number(token);
    if (!Object.hasOwn(data, token)) throw new Error(`there is no metric ${token}`);
    return data[token];
  }

  function call(name: string): number | undefined {
    const values: (number | undefined)[] = [];
    do {
      at += 1;
      values.push(or());
    } while (tokens[at] === ',');
    expect(')');
    const [first, second, third] = values;
    if (name === 'FILL') return first ?? second;
    if (name !== 'IF') throw new Error(`${name} is not implemented`);
    if (first === undefined) return undefined;
    return first !== 0 ? second : third;
  }

  const value = or();
  if (at !== tokens.length) throw new Error(`cannot read ${expression} from "${tokens[at]}" on`);
  return value;
}
