import { describe, expect, it } from 'vitest';
import { type Answers, only, readTemplate, stackOf, TEMPLATES } from './template.ts';

interface Statement {
  readonly Effect: 'Allow' | 'Deny';
  readonly Principal?: unknown;
  readonly Action: string | readonly string[];
  readonly Resource: string | readonly string[];
  readonly Condition?: { readonly ArnNotEquals?: Readonly<Record<string, readonly string[]>>; readonly Bool?: unknown };
}

const template = readTemplate(TEMPLATES.default);
const VALKEY: Answers = { CacheBackend: 'valkey', ValkeyUrl: 'valkeys://cache.example:6379' };
const WRITER = 'arn:aws:iam::123456789012:role/ops/LetterWriter';
const ARN = (name: string) => `arn:aws:any:eu-west-1:123456789012:${name}`;

/** Whether the bucket's policy denies the action to a principal that comes by TLS. For a session of a role, `aws:PrincipalArn` is the role. */
function isDenied(answers: Answers, principal: string, action = 's3:PutObject'): boolean {
  const policy = only(stackOf(template, answers).resources, 'DeadLettersPolicy').Properties.PolicyDocument;
  const { Statement } = policy as { Statement: readonly Statement[] };
  return Statement.some(({ Effect, Principal, Action, Resource, Condition }) => {
    if (Effect !== 'Deny' || Condition?.Bool) return false;
    expect(Principal).toBe('*');
    const isOfAction = [Action].flat().some((one) => one === action || one === 's3:*');
    const isOfLetters = [Resource].flat().includes(`${ARN('DeadLetters')}/*`);
    return isOfAction && isOfLetters && !Condition?.ArnNotEquals?.['aws:PrincipalArn']?.includes(principal);
  });
}

describe('the bucket of dead letters', () => {
  it.each([{}, VALKEY])('lets the worker write letters, and Lambda by the worker’s role: %j', (answers) => {
    expect(isDenied(answers, ARN('SyncRole'))).toBe(false);
  });

  it('lets the redrive write letters, where there is one', () => {
    expect(isDenied(VALKEY, ARN('RedriveRole'))).toBe(false);
    expect(isDenied({}, ARN('RedriveRole'))).toBe(true);
  });

  it.each([{}, VALKEY])('lets the principal write letters that DeadLetterWriterArn names, and only if it does: %j', (answers) => {
    expect(isDenied({ ...answers, DeadLetterWriterArn: WRITER }, WRITER)).toBe(false);
    expect(isDenied(answers, WRITER)).toBe(true);
  });

  it.each([
    'arn:aws:iam::123456789012:root',
    'arn:aws:iam::123456789012:role/Admin',
    'arn:aws:iam::999999999999:role/ops/LetterWriter',
    'arn:aws:iam::123456789012:role/ops/LetterWriter2',
    '',
  ])('refuses letters of anybody else, whatever that principal’s own policies allow: %s', (principal) => {
    expect(isDenied({ ...VALKEY, DeadLetterWriterArn: WRITER }, principal)).toBe(true);
  });

  it('restricts neither reading nor removing of letters beyond the principal’s own policies', () => {
    for (const action of ['s3:GetObject', 's3:DeleteObject', 's3:ListBucket'])
      expect(isDenied(VALKEY, 'arn:aws:iam::123456789012:role/Admin', action)).toBe(false);
  });

  it.each<[string, boolean]>([
    ['', true],
    [WRITER, true],
    ['arn:aws-us-gov:iam::123456789012:user/jo', true],
    ['arn:aws:iam::123456789012:role/aws-reserved/sso.amazonaws.com/eu-west-1/AWSReservedSSO_Ops_0a1b2c3d4e5f', true],
    ['*', false],
    ['arn:aws:iam::123456789012:role/*', false],
    ['arn:aws:iam::123456789012:root', false],
    ['arn:aws:sts::123456789012:assumed-role/LetterWriter/jo', false],
    ['lambda.amazonaws.com', false],
  ])('takes one principal as DeadLetterWriterArn, and no pattern: %s is allowed: %s', (value, isAllowed) => {
    expect(new RegExp(template.Parameters.DeadLetterWriterArn?.AllowedPattern as string).test(value)).toBe(isAllowed);
  });
});
