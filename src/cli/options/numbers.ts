import { InvalidArgumentError } from 'commander';

export function positive(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError('Give a positive whole number.');
  return Number(text);
}
