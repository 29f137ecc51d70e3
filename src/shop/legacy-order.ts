import * as z from 'zod/mini';

/** Half a surrogate pair becomes a replacement character in the table, so two ids would become one. */
const wellFormed = z.refine((value) => typeof value !== 'string' || value.isWellFormed(), 'must be well-formed Unicode');
const text = (maximum: number) => z.string().check(z.minLength(1), z.maxLength(maximum), wellFormed);

/** In UTC, a year beyond 0000 to 9999 has more digits, which the views refuse. */
const time = z.iso.datetime({ offset: true }).check(
  z.refine((value) => {
    const year = new Date(value).getUTCFullYear();
    // What is no time at all has a fault of its own.
    return !(year < 0 || year > 9_999);
  }, 'must be a time of the years 0000 to 9999 in UTC'),
);

/** Refuses further fields, because the import would lose them. */
const legacyOrder = z.strictObject({
  /** The legacy id. */
  id: text(256),
  createdAt: time,
  status: text(64),
  /** Default: the number of `items`. */
  numItems: z.optional(z.int().check(z.minimum(0))),
  items: z
    .array(
      z.strictObject({
        size: text(64),
        crust: text(64),
        sauce: text(64),
        toppings: z.array(text(64)).check(z.maxLength(50)),
      }),
    )
    .check(z.maxLength(100)),
  creator: text(256),
  lastUpdated: z.optional(time),
});

export type LegacyOrder = z.infer<typeof legacyOrder>;

/** Returns the order, or its faults: each with the field and the allowed form, without the value. */
export function parseLegacyOrder(given: unknown): LegacyOrder | { readonly faults: readonly string[] } {
  const parsed = legacyOrder.safeParse(given);
  if (parsed.success) return parsed.data;
  return { faults: parsed.error.issues.map((issue) => `${issue.path.join('.') || 'order'}: ${ruleOf(issue)}`) };
}

function ruleOf(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return `must be of type ${issue.expected}`;
    case 'too_small':
      return `must have ${issue.minimum} or more`;
    case 'too_big':
      return `must have ${issue.maximum} or less`;
    case 'invalid_format':
      return `must be a ${issue.format}`;
    case 'unrecognized_keys':
      return `does not have ${issue.keys.join(', ')}`;
    default:
      return issue.message;
  }
}
